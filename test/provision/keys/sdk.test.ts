import * as s3 from '@aws-sdk/client-s3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { listen } from '../../../store/s3/listen.ts'
import { openWorld } from '../acl/world.ts'

const test = suite('named keys: SDK')

test('a client as it is out there puts under a key, in one piece and in parts, copies, and reads what it is told', async () => {
  const world = await openWorld()
  const { anna, bert, administration } = world
  const { id } = await administration.createKey('anna', 'film')
  await administration.grantKey('anna/film', 'user', 'anna')
  const Bucket = await world.bucket()
  const listener = await listen({ face: world.hosted.face, host: '127.0.0.1', port: 0 })
  const clientOf = ({ accessKey: accessKeyId, secretKey: secretAccessKey }: typeof anna) =>
    new s3.S3Client({
      ...{ endpoint: listener.url, region: 'r1', forcePathStyle: true, maxAttempts: 1 },
      credentials: { accessKeyId, secretAccessKey },
    })
  const [client, other] = [clientOf(anna), clientOf(bert)]
  const context = Buffer.from('{"reel":"7"}').toString('base64')
  const under = { Bucket, ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'anna/film' } as const
  const open = { ACL: 'public-read' } as const
  const put = await client.send(
    new s3.PutObjectCommand({ ...under, ...open, Key: 'a', Body: 'frames', SSEKMSEncryptionContext: context }),
  )
  assert.equal([put.ServerSideEncryption, put.SSEKMSKeyId], ['aws:kms', id])
  const get = await client.send(new s3.GetObjectCommand({ Bucket, Key: 'a' }))
  assert.equal([await get.Body?.transformToString(), get.SSEKMSKeyId], ['frames', id])
  const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand({ ...under, Key: 'b' }))
  const part = await client.send(new s3.UploadPartCommand({ Bucket, Key: 'b', UploadId, PartNumber: 1, Body: 'more' }))
  const Parts = [{ ETag: part.ETag, PartNumber: 1 }]
  await client.send(new s3.CompleteMultipartUploadCommand({ Bucket, Key: 'b', UploadId, MultipartUpload: { Parts } }))
  const head = await client.send(new s3.HeadObjectCommand({ Bucket, Key: 'b' }))
  assert.equal([head.ServerSideEncryption, head.SSEKMSKeyId], ['aws:kms', id])
  await client.send(new s3.CopyObjectCommand({ Bucket, Key: 'c', CopySource: `${Bucket}/b`, ...open }))
  const copy = await other.send(new s3.GetObjectCommand({ Bucket, Key: 'c' }))
  assert.equal([await copy.Body?.transformToString(), copy.ServerSideEncryption], ['more', 'AES256'])
  const refused = await other.send(new s3.GetObjectCommand({ Bucket, Key: 'a' })).then(
    () => '',
    (error: Error) => error.name,
  )
  assert.is(refused, 'AccessDenied')
  for (const each of [client, other]) each.destroy()
  await listener.close({ graceSeconds: 0 })
  await world.remove()
})

test.run()
