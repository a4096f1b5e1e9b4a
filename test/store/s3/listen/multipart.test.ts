import { createHash } from 'node:crypto'
import * as s3 from '@aws-sdk/client-s3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { at, onlyLeftEarly, type Served, serveFiles } from './served.ts'

const test = suite('S3 over a socket: multipart')
let served: Served

test.before(async () => {
  served = await serveFiles()
})
test.after(() => served.close())

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
    const { UploadId } = await served.client.send(
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
      const part = await served.client.send(
        new s3.UploadPartCommand({ ...at, Key, UploadId, PartNumber: index + 1, Body, ChecksumAlgorithm: algorithm }),
      )
      parts.push({ PartNumber: index + 1, ETag: part.ETag, [field]: part[field] })
    }
    assert.is((await served.client.send(new s3.ListPartsCommand({ ...at, Key, UploadId }))).Parts?.length, 3)
    const uploads = await served.client.send(new s3.ListMultipartUploadsCommand(at))
    assert.equal(
      uploads.Uploads?.map(item => item.Key),
      [Key],
    )
    const whole = Buffer.concat(bytes)
    const done = await served.client.send(
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
      const again = await served.client.send(
        new s3.PutObjectCommand({ ...at, Key: 'plain', Body: whole, ChecksumAlgorithm: algorithm }),
      )
      assert.is(done[field], again[field], 'the combined checksum is that of the whole')
    } else assert.match(done[field] ?? '', /-3$/)
    const get = await served.client.send(new s3.GetObjectCommand({ ...at, Key, Range: 'bytes=5242879-5242881' }))
    assert.is(await get.Body?.transformToString(), whole.toString('latin1', 5242879, 5242882))
    await served.client.send(new s3.DeleteObjectCommand({ ...at, Key }))
  })
}

test('nothing unexpected was reported', () => assert.ok(onlyLeftEarly(served.errors), String(served.errors)))

test.run()
