import { randomBytes } from 'node:crypto'
import * as s3 from '@aws-sdk/client-s3'
import { type Client, type ClientTarget, multipartBytes, oddNames, sdkClient } from './client.ts'
import { equals } from './expect.ts'

export function sdk(target: ClientTarget): Client {
  const client = sdkClient(target)
  const at = (key: string) => ({ Bucket: target.bucket, Key: `sdk/${key}` })
  const one = randomBytes(100_004)
  const get = async (key: string, Range?: string) => {
    const { Body } = await client.send(new s3.GetObjectCommand({ ...at(key), ...(Range && { Range }) }))
    return Buffer.from((await Body?.transformToByteArray()) ?? [])
  }
  const keys = async () =>
    (await client.send(new s3.ListObjectsV2Command({ Bucket: target.bucket, Prefix: 'sdk/' }))).Contents?.map(
      item => item.Key ?? '',
    ) ?? []
  const same = (found: Buffer, wanted: Buffer) => {
    if (!found.equals(wanted)) throw new Error('other bytes came back')
  }
  return {
    name: 'AWS SDK v3',
    run: {
      put: async () => void (await client.send(new s3.PutObjectCommand({ ...at('one'), Body: one }))),
      list: async () => equals((await keys()).join(), 'sdk/one'),
      get: async () => same(await get('one'), one),
      range: async () => same(await get('one', 'bytes=10-99'), one.subarray(10, 100)),
      head: async () =>
        equals(String((await client.send(new s3.HeadObjectCommand(at('one')))).ContentLength), '100004'),
      async multipart() {
        const big = randomBytes(multipartBytes)
        const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand(at('big')))
        const half = 6 * 1024 * 1024
        const Parts: s3.CompletedPart[] = []
        for (const [index, Body] of [big.subarray(0, half), big.subarray(half)].entries()) {
          const PartNumber = index + 1
          const { ETag } = await client.send(new s3.UploadPartCommand({ ...at('big'), UploadId, PartNumber, Body }))
          Parts.push({ PartNumber, ETag })
        }
        await client.send(new s3.CompleteMultipartUploadCommand({ ...at('big'), UploadId, MultipartUpload: { Parts } }))
        same(await get('big'), big)
      },
      async metadata() {
        await client.send(
          new s3.PutObjectCommand({
            ...at('meta'),
            Body: one,
            Metadata: { colour: 'blue' },
            ContentType: 'text/x-odd',
          }),
        )
        const head = await client.send(new s3.HeadObjectCommand(at('meta')))
        equals(`${head.Metadata?.colour} ${head.ContentType}`, 'blue text/x-odd')
      },
      async 'odd names'() {
        for (const name of oddNames) {
          await client.send(new s3.PutObjectCommand({ ...at(name), Body: one }))
          same(await get(name), one)
        }
        const found = await keys()
        for (const name of oddNames)
          if (!found.includes(`sdk/${name}`)) throw new Error(`${name} is not in the listing`)
      },
      async delete() {
        await client.send(new s3.DeleteObjectCommand(at('one')))
        if ((await keys()).includes('sdk/one')) throw new Error('still listed')
      },
      async 'delete many'() {
        const Objects = (await keys()).map(Key => ({ Key }))
        await client.send(new s3.DeleteObjectsCommand({ Bucket: target.bucket, Delete: { Objects } }))
        equals((await keys()).join(), '')
        client.destroy()
      },
      form: null,
    },
  }
}
