import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import * as s3 from '@aws-sdk/client-s3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type ChunkClaim, signChunk } from '../../access/chunk-claim.ts'
import { presignQuery, signRequest } from '../../access/sign.ts'
import { signingKey } from '../../access/signing-key.ts'
import { openFilesStore } from '../../store/files-store.ts'
import type { MultipartStore } from '../../store/object-store.ts'
import { s3Face } from '../../store/s3/face.ts'
import { localGate } from '../../store/s3/gate.ts'
import { type Listener, listen } from '../../store/s3/listen.ts'

const credentials = { accessKey: 'AKIDEXAMPLE', secretKey: 'a secret/with+signs' }
const directory = mkdtempSync(join(tmpdir(), 'sealift-s3-'))
const test = suite('S3 over a socket')
const errors: unknown[] = []
let store: MultipartStore
let listener: Listener
let client: s3.S3Client

test.before(async () => {
  store = await openFilesStore({ directory, clock: () => new Date() })
  const principal = { id: 'me', displayName: 'Me' }
  const gate = localGate({
    lookup: key => (key === credentials.accessKey ? { secretKey: credentials.secretKey, principal } : null),
    store: () => store,
    clock: () => new Date(),
  })
  const face = s3Face({ gate, settings: { etags: 'md5', region: 'r1' }, onError: error => errors.push(error) })
  listener = await listen({ face, host: '127.0.0.1', port: 0, idleSeconds: 1 })
  client = clientWith(credentials.secretKey)
  await client.send(new s3.CreateBucketCommand({ Bucket: 'bkt' }))
})
test.after(async () => {
  client.destroy()
  await listener.close({ graceSeconds: 0 })
  await listener.close()
  await store.close()
  rmSync(directory, { recursive: true, force: true })
})

function clientWith(secretAccessKey: string): s3.S3Client {
  return new s3.S3Client({
    endpoint: listener.url,
    region: 'eu-anything-1',
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId: credentials.accessKey, secretAccessKey },
  })
}

const at = { Bucket: 'bkt' }

test('SDK: put with default checksum, head, get, range, metadata', async () => {
  const Key = "odd/ä b+c%2F'()*!~//../x"
  const put = await client.send(
    new s3.PutObjectCommand({
      ...at,
      Key,
      Body: 'hello world',
      ContentType: 'text/plain',
      CacheControl: 'no-store',
      Metadata: { one: '1' },
    }),
  )
  assert.is(put.ETag, `"${md5('hello world')}"`)
  assert.is(put.ChecksumCRC32, 'DUoRhQ==')
  const head = await client.send(new s3.HeadObjectCommand({ ...at, Key, ChecksumMode: 'ENABLED' }))
  assert.is(head.ContentLength, 11)
  assert.is(head.ChecksumCRC32, 'DUoRhQ==')
  assert.is(head.ChecksumType, 'FULL_OBJECT')
  assert.equal(head.Metadata, { one: '1' })
  assert.is(head.CacheControl, 'no-store')
  const get = await client.send(new s3.GetObjectCommand({ ...at, Key }))
  assert.is(await get.Body?.transformToString(), 'hello world')
  const range = await client.send(new s3.GetObjectCommand({ ...at, Key, Range: 'bytes=-5' }))
  assert.is(await range.Body?.transformToString(), 'world')
  assert.is(range.ContentRange, 'bytes 6-10/11')
  const list = await client.send(new s3.ListObjectsV2Command({ ...at, Prefix: 'odd/' }))
  assert.equal(
    list.Contents?.map(item => item.Key),
    [Key],
  )
  await client.send(new s3.DeleteObjectCommand({ ...at, Key }))
  assert.is(await code(client.send(new s3.GetObjectCommand({ ...at, Key }))), 'NoSuchKey')
})

for (const algorithm of ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const) {
  test(`SDK: a stream with a ${algorithm} trailer is verified, kept and given back`, async () => {
    const bytes = Buffer.alloc(300_000, 'trailer')
    const put = await client.send(
      new s3.PutObjectCommand({
        ...at,
        Key: algorithm,
        Body: Readable.from([bytes.subarray(0, 100_000), bytes.subarray(100_000)]),
        ContentLength: bytes.length,
        ChecksumAlgorithm: algorithm,
      }),
    )
    const field = `Checksum${algorithm}` as const
    assert.ok(put[field])
    const get = await client.send(new s3.GetObjectCommand({ ...at, Key: algorithm, ChecksumMode: 'ENABLED' }))
    assert.is(get[field], put[field])
    // the SDK compares the checksum while it reads
    assert.ok(bytes.equals(Buffer.from((await get.Body?.transformToByteArray()) ?? [])))
  })
}

for (const [algorithm, type] of [
  ['CRC32', 'COMPOSITE'],
  ['SHA256', 'COMPOSITE'],
  ['CRC32', 'FULL_OBJECT'],
  ['CRC32C', 'FULL_OBJECT'],
  ['CRC64NVME', 'FULL_OBJECT'],
] as const) {
  test(`SDK: multipart with ${algorithm} ${type}`, async () => {
    const Key = `multi-${algorithm}-${type}`
    const bytes = [Buffer.alloc(5 * 1024 * 1024, 'one'), Buffer.alloc(5 * 1024 * 1024 + 7, 'two'), Buffer.from('three')]
    const { UploadId } = await client.send(
      new s3.CreateMultipartUploadCommand({
        ...at,
        Key,
        ChecksumAlgorithm: algorithm,
        ChecksumType: type,
        Metadata: { m: 'v' },
      }),
    )
    const field = `Checksum${algorithm}` as const
    const parts: s3.CompletedPart[] = []
    for (const [index, Body] of bytes.entries()) {
      const part = await client.send(
        new s3.UploadPartCommand({ ...at, Key, UploadId, PartNumber: index + 1, Body, ChecksumAlgorithm: algorithm }),
      )
      parts.push({ PartNumber: index + 1, ETag: part.ETag, [field]: part[field] })
    }
    assert.is((await client.send(new s3.ListPartsCommand({ ...at, Key, UploadId }))).Parts?.length, 3)
    const uploads = await client.send(new s3.ListMultipartUploadsCommand(at))
    assert.equal(
      uploads.Uploads?.map(item => item.Key),
      [Key],
    )
    const whole = Buffer.concat(bytes)
    const done = await client.send(
      new s3.CompleteMultipartUploadCommand({
        ...at,
        Key,
        UploadId,
        MultipartUpload: { Parts: parts },
        MpuObjectSize: whole.length,
      }),
    )
    const tags = Buffer.concat(bytes.map(part => createHash('md5').update(part).digest()))
    assert.is(done.ETag, `"${createHash('md5').update(tags).digest('hex')}-3"`)
    if (type === 'FULL_OBJECT') {
      const again = await client.send(
        new s3.PutObjectCommand({ ...at, Key: 'plain', Body: whole, ChecksumAlgorithm: algorithm }),
      )
      assert.is(done[field], again[field], 'the combined checksum is that of the whole')
    } else assert.match(done[field] ?? '', /-3$/)
    const get = await client.send(new s3.GetObjectCommand({ ...at, Key, Range: 'bytes=5242879-5242881' }))
    assert.is(await get.Body?.transformToString(), whole.toString('latin1', 5242879, 5242882))
    await client.send(new s3.DeleteObjectCommand({ ...at, Key }))
  })
}

test('SDK: copy, part copy, abort, delete many, wrong secret', async () => {
  await client.send(new s3.PutObjectCommand({ ...at, Key: 'src ü', Body: 'source', Metadata: { a: '1' } }))
  const CopySource = encodeURI('bkt/src ü')
  await client.send(new s3.CopyObjectCommand({ ...at, Key: 'dst', CopySource }))
  const get = await client.send(new s3.GetObjectCommand({ ...at, Key: 'dst' }))
  assert.is(await get.Body?.transformToString(), 'source')
  assert.equal(get.Metadata, { a: '1' })
  const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand({ ...at, Key: 'pc' }))
  const part = await client.send(
    new s3.UploadPartCopyCommand({
      ...at,
      Key: 'pc',
      UploadId,
      PartNumber: 1,
      CopySource,
      CopySourceRange: 'bytes=1-3',
    }),
  )
  const Parts = [{ PartNumber: 1, ETag: part.CopyPartResult?.ETag }]
  await client.send(new s3.CompleteMultipartUploadCommand({ ...at, Key: 'pc', UploadId, MultipartUpload: { Parts } }))
  assert.is(await (await client.send(new s3.GetObjectCommand({ ...at, Key: 'pc' }))).Body?.transformToString(), 'our')
  const second = await client.send(new s3.CreateMultipartUploadCommand({ ...at, Key: 'pc' }))
  await client.send(new s3.AbortMultipartUploadCommand({ ...at, Key: 'pc', UploadId: second.UploadId }))
  const gone = await client.send(
    new s3.DeleteObjectsCommand({
      ...at,
      Delete: { Objects: [{ Key: 'src ü' }, { Key: 'dst' }, { Key: 'pc' }, { Key: 'never & was' }] },
    }),
  )
  assert.is(gone.Deleted?.length, 4)
  const stranger = clientWith('wrong')
  assert.is(await code(stranger.send(new s3.ListBucketsCommand({}))), 'SignatureDoesNotMatch')
  stranger.destroy()
})

test('a presigned GET and PUT work, an altered one does not', async () => {
  const host = new URL(listener.url).host
  const link = (method: string) => {
    const request = {
      method,
      rawPath: '/bkt/pre%20signed',
      rawQuery: method === 'GET' ? 'response-content-type=a%2Fb' : '',
      headers: [['host', host]] as const,
    }
    return `${listener.url}/bkt/pre%20signed?${presignQuery(request, credentials, { region: 'x', time: new Date(), expiresSeconds: 60 })}`
  }
  assert.is((await fetch(link('PUT'), { method: 'PUT', body: 'by link' })).status, 200)
  const got = await fetch(link('GET'))
  assert.is(await got.text(), 'by link')
  assert.is(got.headers.get('content-type'), 'a/b')
  const altered = await fetch(link('GET').replace('a%2Fb', 'a%2Fc'))
  assert.is(altered.status, 403)
  assert.match(await altered.text(), /<Code>SignatureDoesNotMatch</)
})

for (const [name, spoil, status] of [
  ['good', (claim: ChunkClaim) => claim, 200],
  [
    'spoilt',
    (claim: ChunkClaim) => ({
      ...claim,
      signature: claim.signature.replace(/^./, digit => (digit === '0' ? '1' : '0')),
    }),
    403,
  ],
] as const) {
  test(`a body with ${name} chunk signatures answers ${status}`, async () => {
    const bytes = [Buffer.alloc(70_000, 'x'), Buffer.from('tail'), Buffer.alloc(0)]
    const request = signRequest(
      {
        method: 'PUT',
        rawPath: `/bkt/chunks-${name}`,
        rawQuery: '',
        headers: [
          ['host', new URL(listener.url).host],
          ['content-encoding', 'aws-chunked'],
          ['x-amz-decoded-content-length', '70004'],
        ],
      },
      credentials,
      { region: 'x', time: new Date(), payload: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD' },
    )
    const time = request.headers.find(([key]) => key === 'x-amz-date')?.[1] ?? ''
    const scope = { date: time.slice(0, 8), region: 'x' }
    let previous = request.signature
    const body = bytes.map((chunk, index) => {
      const digest = createHash('sha256').update(chunk).digest('hex')
      let claim = signChunk(
        { kind: 'chunk', time, ...scope, previous, digest },
        signingKey(credentials.secretKey, scope),
      )
      if (index === 1) claim = spoil(claim)
      previous = claim.signature
      return Buffer.concat([
        Buffer.from(`${chunk.length.toString(16)};chunk-signature=${claim.signature}\r\n`),
        chunk,
        Buffer.from('\r\n'),
      ])
    })
    const headers = request.headers.map(([key, value]): [string, string] => [key, value])
    const answer = await fetch(`${listener.url}${request.rawPath}`, {
      method: 'PUT',
      headers,
      body: Buffer.concat(body),
    })
    assert.is(answer.status, status)
    const head = await store.head('bkt', `chunks-${name}`)
    assert.is(head?.size, status === 200 ? 70_004 : undefined)
    assert.equal(head?.attributes.headers, status === 200 ? {} : undefined, 'aws-chunked is no encoding of the object')
  })
}

test('an upload cut half way leaves nothing', async () => {
  const socket = connect(listener.port, '127.0.0.1')
  socket.write(head('cut', 1_000_000))
  socket.write(Buffer.alloc(100_000))
  await sleep(100)
  assert.is(readdirSync(join(directory, 'incoming')).length, 1, 'the body is under way')
  socket.destroy()
  await settled(() => readdirSync(join(directory, 'incoming')).length === 0)
  assert.is(await store.head('bkt', 'cut'), null)
})

test('an upload that stalls is cut after the idle time and leaves nothing', async () => {
  const socket = connect(listener.port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(head('stall', 1_000_000))
  socket.write(Buffer.alloc(1000))
  const started = Date.now()
  await new Promise(resolve => socket.once('close', resolve).resume())
  assert.ok(Date.now() - started < 5000)
  await settled(() => readdirSync(join(directory, 'incoming')).length === 0)
  assert.is(await store.head('bkt', 'stall'), null)
})

test('Expect: 100-continue: a refused upload is answered before its body is asked for', async () => {
  const bad = await exchange(
    head('exp', 5, 'expect: 100-continue\r\n')
      .replace('Signature=', 'Signature=0')
      .replace(/([0-9a-f]{64})[0-9a-f]?\r/, '$1\r'),
  )
  assert.match(bad, /^HTTP\/1.1 403 /)
  const good = await exchange(head('exp', 5, 'expect: 100-continue\r\n'), 'hello')
  assert.match(good, /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 /)
})

test('a reader that goes away in the middle harms nothing, and nothing unexpected was reported', async () => {
  await client.send(new s3.PutObjectCommand({ ...at, Key: 'big', Body: Buffer.alloc(8_000_000) }))
  const get = await client.send(new s3.GetObjectCommand({ ...at, Key: 'big' }))
  if (get.Body instanceof Readable) get.Body.destroy()
  await sleep(50)
  await client.send(new s3.DeleteObjectCommand({ ...at, Key: 'big' }))
  assert.ok(
    errors.every(
      error =>
        error instanceof Error &&
        /aborted|stalled|ECONNRESET/.test(`${error.message} ${'code' in error ? error.code : ''}`),
    ),
    String(errors),
  )
})

function head(key: string, length: number, extra = ''): string {
  const request = signRequest(
    { method: 'PUT', rawPath: `/bkt/${key}`, rawQuery: '', headers: [['host', 'localhost']] },
    credentials,
    { region: 'x', time: new Date(), payload: 'UNSIGNED-PAYLOAD' },
  )
  const lines = request.headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return `PUT ${request.rawPath} HTTP/1.1\r\n${extra}content-length: ${length}\r\n${lines}\r\n`
}

async function exchange(start: string, body = ''): Promise<string> {
  const socket = connect(listener.port, '127.0.0.1')
  let text = ''
  let sent = false
  socket.on('data', chunk => {
    text += chunk.toString('latin1')
    if (text.includes('100 Continue') && !sent) {
      sent = true
      socket.write(body)
    }
    if (/HTTP\/1.1 [2-5]\d\d/.test(text)) socket.end()
  })
  socket.write(start)
  await new Promise(resolve => socket.once('close', resolve))
  return text
}

async function settled(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 100 && !holds(); turn++) await sleep(20)
  assert.ok(holds())
}

async function code(call: Promise<unknown>): Promise<string | undefined> {
  return call.then(
    () => undefined,
    error => (error instanceof Error ? error.name : String(error)),
  )
}

function md5(text: string): string {
  return createHash('md5').update(text).digest('hex')
}

test.run()
