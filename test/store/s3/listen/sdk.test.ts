import { Readable } from 'node:stream'
import * as s3 from '@aws-sdk/client-s3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { at, code, md5, onlyLeftEarly, type Served, serveFiles } from './served.ts'

const test = suite('S3 over a socket: SDK')
let served: Served

test.before(async () => {
  served = await serveFiles()
})
test.after(() => served.close())

test('SDK: put with default checksum, head, get, range, metadata', async () => {
  const Key = "odd/ä b+c%2F'()*!~//../x"
  const put = await served.client.send(
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
  const head = await served.client.send(new s3.HeadObjectCommand({ ...at, Key, ChecksumMode: 'ENABLED' }))
  assert.is(head.ContentLength, 11)
  assert.is(head.ChecksumCRC32, 'DUoRhQ==')
  assert.is(head.ChecksumType, 'FULL_OBJECT')
  assert.equal(head.Metadata, { one: '1' })
  assert.is(head.CacheControl, 'no-store')
  const get = await served.client.send(new s3.GetObjectCommand({ ...at, Key }))
  assert.is(await get.Body?.transformToString(), 'hello world')
  const range = await served.client.send(new s3.GetObjectCommand({ ...at, Key, Range: 'bytes=-5' }))
  assert.is(await range.Body?.transformToString(), 'world')
  assert.is(range.ContentRange, 'bytes 6-10/11')
  const list = await served.client.send(new s3.ListObjectsV2Command({ ...at, Prefix: 'odd/' }))
  assert.equal(
    list.Contents?.map(item => item.Key),
    [Key],
  )
  await served.client.send(new s3.DeleteObjectCommand({ ...at, Key }))
  assert.is(await code(served.client.send(new s3.GetObjectCommand({ ...at, Key }))), 'NoSuchKey')
})

for (const algorithm of ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const) {
  test(`SDK: a stream with a ${algorithm} trailer is verified, kept and given back`, async () => {
    const bytes = Buffer.alloc(300_000, 'trailer')
    const put = await served.client.send(
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
    const get = await served.client.send(new s3.GetObjectCommand({ ...at, Key: algorithm, ChecksumMode: 'ENABLED' }))
    assert.is(get[field], put[field])
    // the SDK compares the checksum while it reads
    assert.ok(bytes.equals(Buffer.from((await get.Body?.transformToByteArray()) ?? [])))
  })
}

test('SDK: copy, part copy, abort, delete many, wrong secret', async () => {
  await served.client.send(new s3.PutObjectCommand({ ...at, Key: 'src ü', Body: 'source', Metadata: { a: '1' } }))
  const CopySource = encodeURI('bkt/src ü')
  await served.client.send(new s3.CopyObjectCommand({ ...at, Key: 'dst', CopySource }))
  const get = await served.client.send(new s3.GetObjectCommand({ ...at, Key: 'dst' }))
  assert.is(await get.Body?.transformToString(), 'source')
  assert.equal(get.Metadata, { a: '1' })
  const { UploadId } = await served.client.send(new s3.CreateMultipartUploadCommand({ ...at, Key: 'pc' }))
  const part = await served.client.send(
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
  await served.client.send(
    new s3.CompleteMultipartUploadCommand({ ...at, Key: 'pc', UploadId, MultipartUpload: { Parts } }),
  )
  assert.is(
    await (await served.client.send(new s3.GetObjectCommand({ ...at, Key: 'pc' }))).Body?.transformToString(),
    'our',
  )
  const second = await served.client.send(new s3.CreateMultipartUploadCommand({ ...at, Key: 'pc' }))
  await served.client.send(new s3.AbortMultipartUploadCommand({ ...at, Key: 'pc', UploadId: second.UploadId }))
  const gone = await served.client.send(
    new s3.DeleteObjectsCommand({
      ...at,
      Delete: { Objects: [{ Key: 'src ü' }, { Key: 'dst' }, { Key: 'pc' }, { Key: 'never & was' }] },
    }),
  )
  assert.is(gone.Deleted?.length, 4)
  const stranger = served.clientWith('wrong')
  assert.is(await code(stranger.send(new s3.ListBucketsCommand({}))), 'SignatureDoesNotMatch')
  stranger.destroy()
})

test('nothing unexpected was reported', () => assert.ok(onlyLeftEarly(served.errors), String(served.errors)))

test.run()
