import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import * as s3 from '@aws-sdk/client-s3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { presignQuery, signRequest } from '../../../access/sign.ts'
import { type Hosted, openHosted } from '../../../provision/hosted/serve.ts'
import { type Listener, listen } from '../../../store/s3/listen.ts'
import { openAuthority } from '../authority.ts'

const test = suite('hosted store over a socket')
const directory = mkdtempSync(join(tmpdir(), 'sealift-hosted-'))
const authority = openAuthority()
const errors: unknown[] = []
const at = { Bucket: 'bkt' }
const md5 = (bytes: string | Buffer): string => createHash('md5').update(bytes).digest('hex')
let hosted: Hosted
let listener: Listener
let owner: s3.S3Client
let other: s3.S3Client
const keys = authority.addKey('acme', 'Acme')

function clientWith(key: { accessKey: string; secretKey: string }): s3.S3Client {
  return new s3.S3Client({
    endpoint: listener.url,
    region: 'eu-anything-1',
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId: key.accessKey, secretAccessKey: key.secretKey },
  })
}

async function open(): Promise<void> {
  hosted = await openHosted(
    { directory, region: 'r1', clock: () => new Date(), onError: error => errors.push(error) },
    authority,
  )
  listener = await listen({ face: hosted.face, host: '127.0.0.1', port: 0 })
  owner = clientWith(keys)
  other = clientWith(authority.addKey('other', 'Other'))
}
async function close(): Promise<void> {
  owner.destroy()
  other.destroy()
  await listener.close({ graceSeconds: 0 })
  await hosted.close()
}

test.before(async () => {
  await open()
  await owner.send(new s3.CreateBucketCommand(at))
})
test.after(async () => {
  await close()
  rmSync(directory, { recursive: true, force: true })
})
test.before.each(() => {
  authority.refused.clear()
  authority.down = false
})

async function code(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'none',
    error => error.name,
  )
}
async function text(client: s3.S3Client, Key: string, Range?: string): Promise<string | undefined> {
  const got = await client.send(new s3.GetObjectCommand({ ...at, Key, ...(Range !== undefined && { Range }) }))
  return got.Body?.transformToString()
}

test('SDK: put, head, range, metadata, list, after a restart too', async () => {
  const put = new s3.PutObjectCommand({ ...at, Key: 'dir/ä b', Body: 'hello world', Metadata: { one: '1' } })
  const answer = await owner.send(put)
  assert.is(answer.ETag, `"${md5('hello world')}"`)
  await close()
  await open()
  assert.is(await text(owner, 'dir/ä b'), 'hello world')
  assert.is(await text(owner, 'dir/ä b', 'bytes=-5'), 'world')
  const head = await owner.send(new s3.HeadObjectCommand({ ...at, Key: 'dir/ä b' }))
  assert.equal(head.Metadata, { one: '1' })
  const list = await owner.send(new s3.ListObjectsV2Command({ ...at, Delimiter: '/' }))
  assert.equal(
    list.CommonPrefixes?.map(each => each.Prefix),
    ['dir/'],
  )
})

test('SDK: a stream in signed chunks is judged by the authority', async () => {
  const bytes = Buffer.alloc(300_000, 'chunks')
  const body = Readable.from([bytes.subarray(0, 100_000), bytes.subarray(100_000)])
  const put = { ...at, Key: 'stream', Body: body, ContentLength: bytes.length, ChecksumAlgorithm: 'CRC32C' as const }
  await owner.send(new s3.PutObjectCommand(put))
  const got = await owner.send(new s3.GetObjectCommand({ ...at, Key: 'stream' }))
  assert.ok(bytes.equals(Buffer.from((await got.Body?.transformToByteArray()) ?? [])))
})

test('SDK: multipart, its range over the seam, its copy, and what is left of it afterwards', async () => {
  const one = Buffer.alloc(5 << 20, 'part one ')
  const { UploadId } = await owner.send(new s3.CreateMultipartUploadCommand({ ...at, Key: 'big' }))
  const Parts: s3.CompletedPart[] = []
  for (const [index, Body] of [one, Buffer.from('the end')].entries()) {
    const PartNumber = index + 1
    const part = await owner.send(new s3.UploadPartCommand({ ...at, Key: 'big', UploadId, PartNumber, Body }))
    Parts.push({ PartNumber, ...(part.ETag !== undefined && { ETag: part.ETag }) })
  }
  const complete = { ...at, Key: 'big', UploadId, MultipartUpload: { Parts } }
  await owner.send(new s3.CompleteMultipartUploadCommand(complete))
  assert.is(await text(owner, 'big', `bytes=${one.length - 2}-${one.length + 2}`), `${one.subarray(-2)}the`)
  await owner.send(new s3.CopyObjectCommand({ ...at, Key: 'copy', CopySource: 'bkt/big' }))
  await owner.send(new s3.DeleteObjectCommand({ ...at, Key: 'big' }))
  const got = await owner.send(new s3.GetObjectCommand({ ...at, Key: 'copy' }))
  const whole = Buffer.concat([one, Buffer.from('the end')])
  assert.ok(whole.equals(Buffer.from((await got.Body?.transformToByteArray()) ?? [])))
  const blobs = () =>
    readdirSync(join(directory, 'blobs')).flatMap(name => readdirSync(join(directory, 'blobs', name))).length
  const before = blobs()
  await owner.send(new s3.DeleteObjectCommand({ ...at, Key: 'copy' }))
  // a blob goes when its last reader has let go, which is after the answer
  for (const end = Date.now() + 2000; blobs() !== before - 2 && Date.now() < end; ) await sleep(20)
  assert.is(blobs(), before - 2)
})

test('the data alone is not enough: where the authority refuses the key the answer is 403', async () => {
  await owner.send(new s3.PutObjectCommand({ ...at, Key: 'k', Body: 'secret' }))
  authority.refused.add('acme')
  assert.is(await code(owner.send(new s3.HeadObjectCommand({ ...at, Key: 'k' }))), 'none')
  assert.is(await code(owner.send(new s3.GetObjectCommand({ ...at, Key: 'k' }))), 'AccessDenied')
})

test('the key alone is not enough: where the store says no the authority is not even asked', async () => {
  await owner.send(new s3.PutObjectCommand({ ...at, Key: 'mine', Body: 'secret' }))
  authority.calls.length = 0
  // as somebody new, and as somebody who was seen before
  for (let time = 0; time < 2; time++)
    assert.is(await code(other.send(new s3.GetObjectCommand({ ...at, Key: 'mine' }))), 'AccessDenied')
  assert.equal(authority.calls, [])
})

test('a read of a caller who was seen before asks the authority once, and a wrong secret under that name is refused', async () => {
  await owner.send(new s3.PutObjectCommand({ ...at, Key: 'once', Body: 'one trip' }))
  authority.calls.length = 0
  authority.authentications = 0
  assert.is(await text(owner, 'once'), 'one trip')
  assert.is(await text(owner, 'once', 'bytes=4-6'), 'tri')
  assert.equal([authority.authentications, ...authority.calls], [0, 'release', 'release'])
  const unmatched = new s3.GetObjectCommand({ ...at, Key: 'once', IfMatch: '"another"' })
  assert.is(await code(owner.send(unmatched)), 'PreconditionFailed')
  assert.equal([authority.authentications, ...authority.calls], [1, 'release', 'release'])
  const forger = clientWith({ accessKey: keys.accessKey, secretKey: 'guessed' })
  assert.is(await code(text(forger, 'once')), 'SignatureDoesNotMatch')
  assert.is(await code(text(forger, 'not there')), 'SignatureDoesNotMatch')
  assert.is(await code(forger.send(unmatched)), 'SignatureDoesNotMatch')
  forger.destroy()
})

test('a stranger learns nothing: a missing object, a list, a write, an ACL, a delete are all refused alike', async () => {
  await owner.send(new s3.PutObjectCommand({ ...at, Key: 'mine', Body: 'secret' }))
  for (const call of [
    () => other.send(new s3.GetObjectCommand({ ...at, Key: 'not there' })),
    () => other.send(new s3.ListObjectsV2Command(at)),
    () => other.send(new s3.PutObjectCommand({ ...at, Key: 'x', Body: 'x' })),
    () => other.send(new s3.DeleteObjectCommand({ ...at, Key: 'mine' })),
    () => other.send(new s3.PutObjectAclCommand({ ...at, Key: 'mine', ACL: 'public-read' })),
    () => other.send(new s3.CopyObjectCommand({ ...at, Key: 'y', CopySource: 'bkt/mine' })),
    () => other.send(new s3.CreateMultipartUploadCommand({ ...at, Key: 'z' })),
    () => other.send(new s3.DeleteBucketCommand(at)),
  ])
    assert.is(await code(call()), 'AccessDenied')
  assert.is(await text(owner, 'mine'), 'secret')
})

test('public-read: anonymous and others read the object from then on, and no longer once it is private again', async () => {
  await owner.send(new s3.PutObjectCommand({ ...at, Key: 'open', Body: 'for all', ACL: 'public-read' }))
  await owner.send(new s3.PutObjectCommand({ ...at, Key: 'later', Body: 'for all too' }))
  const anonymous = (key: string) => fetch(`${listener.url}/bkt/${key}`)
  assert.is(await (await anonymous('open')).text(), 'for all')
  assert.is(await text(other, 'open'), 'for all')
  assert.is((await anonymous('later')).status, 403)
  await owner.send(new s3.PutObjectAclCommand({ ...at, Key: 'later', ACL: 'public-read' }))
  assert.is(await (await anonymous('later')).text(), 'for all too')
  await owner.send(new s3.PutObjectAclCommand({ ...at, Key: 'later', ACL: 'private' }))
  assert.is((await anonymous('later')).status, 403)
  assert.is((await fetch(`${listener.url}/bkt`)).status, 403)
  await owner.send(new s3.PutBucketAclCommand({ ...at, ACL: 'public-read' }))
  assert.is((await fetch(`${listener.url}/bkt`)).status, 200)
  assert.is((await anonymous('not there')).status, 404)
  await owner.send(new s3.PutBucketAclCommand({ ...at, ACL: 'private' }))
})

test('credentials: unknown, wrong secret, and the authority away', async () => {
  const stranger = clientWith({ accessKey: 'AKNOBODY', secretKey: 'x' })
  assert.is(await code(stranger.send(new s3.ListBucketsCommand({}))), 'InvalidAccessKeyId')
  const liar = clientWith({ ...keys, secretKey: 'another' })
  assert.is(await code(liar.send(new s3.ListBucketsCommand({}))), 'SignatureDoesNotMatch')
  authority.down = true
  assert.is(await code(owner.send(new s3.ListBucketsCommand({}))), 'SlowDown')
  stranger.destroy()
  liar.destroy()
})

test('a link past its time and a clock that is off are named as S3 names them', async () => {
  await owner.send(new s3.PutObjectCommand({ ...at, Key: 'timely', Body: 'now' }))
  const host: [string, string] = ['host', new URL(listener.url).host]
  const head = { method: 'GET', rawPath: '/bkt/timely', rawQuery: '', headers: [host] }
  const ago = (seconds: number) => new Date(Date.now() - seconds * 1000)
  const link = (age: number) => presignQuery(head, keys, { region: 'r1', time: ago(age), expiresSeconds: 60 })
  assert.is((await fetch(`${listener.url}/bkt/timely?${link(10)}`)).status, 200)
  const late = await fetch(`${listener.url}/bkt/timely?${link(61)}`)
  assert.is(late.status, 403)
  assert.match(await late.text(), /<Code>AccessDenied<\/Code><Message>Request has expired<\/Message>/)
  const { headers } = signRequest(head, keys, { region: 'r1', time: ago(1000), payload: 'UNSIGNED-PAYLOAD' })
  const sent = headers.filter(([name]) => name !== 'host').map(([name, value]): [string, string] => [name, value])
  const skewed = await fetch(`${listener.url}/bkt/timely`, { headers: sent })
  assert.is(skewed.status, 403)
  assert.match(await skewed.text(), /<Code>RequestTimeTooSkewed</)
})

test('buckets: only one’s own are listed, a name is taken once', async () => {
  await other.send(new s3.CreateBucketCommand({ Bucket: 'theirs' }))
  const names = (await owner.send(new s3.ListBucketsCommand({}))).Buckets?.map(each => each.Name)
  assert.equal(names, ['bkt'])
  assert.is(await code(owner.send(new s3.CreateBucketCommand({ Bucket: 'theirs' }))), 'BucketAlreadyExists')
  assert.is(await code(other.send(new s3.CreateBucketCommand({ Bucket: 'theirs' }))), 'BucketAlreadyOwnedByYou')
})

test('nothing of the cleartext, and no name, is in a blob', async () => {
  await owner.send(new s3.PutObjectCommand({ ...at, Key: 'named-thing', Body: 'a sentence to look for' }))
  for (const shelf of readdirSync(join(directory, 'blobs')))
    for (const name of readdirSync(join(directory, 'blobs', shelf))) {
      const bytes = readFileSync(join(directory, 'blobs', shelf, name))
      assert.is(bytes.indexOf('a sentence to look for'), -1)
      assert.is(bytes.indexOf('named-thing'), -1)
    }
})

test('nobody was told of an inner error', () => assert.equal(errors, []))

test.run()
