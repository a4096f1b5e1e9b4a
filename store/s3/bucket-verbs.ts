import { childText } from '../../access/xml.ts'
import { StoreError } from '../object-store.ts'
import { checkAskedAcl } from './acl-verbs.ts'
import { type BucketCall, type Call, emptyResponse, type ObjectCall, ownerElement, xmlResponse } from './call.ts'
import { answerOf, S3Error } from './fault.ts'
import { readGenerations, readVersion, versionIn } from './generations.ts'
import type { S3Response } from './message.ts'
import { openPayload } from './payload.ts'
import { checkedKey, isBucketName } from './target.ts'
import { longXml, readXml } from './xml-in.ts'
import { element, s3Element, type Xml } from './xml-out.ts'

export async function listBuckets({ store, admission, query }: Call): Promise<S3Response> {
  const prefix = query.get('prefix') ?? ''
  const buckets = (await store.listBuckets()).filter(bucket => bucket.name.startsWith(prefix))
  const items = buckets.map(({ name, createdAt }) =>
    element('Bucket', [element('Name', name), element('CreationDate', createdAt.toISOString())]),
  )
  return xmlResponse(
    s3Element('ListAllMyBucketsResult', [ownerElement(admission.principal), element('Buckets', items)]),
  )
}

export async function createBucket(call: BucketCall): Promise<S3Response> {
  const { store, bucket, request } = call
  if (!isBucketName(bucket)) throw new S3Error('InvalidBucketName', 'The specified bucket is not valid.')
  checkAskedAcl(call)
  // a location may come along: every region is this one
  let size = 0
  for await (const chunk of request.body) {
    size += chunk.length
    if (size > 64 * 1024) throw new S3Error('EntityTooLarge', 'The configuration is too long.')
  }
  await store.createBucket(bucket)
  return emptyResponse(200, [['location', `/${bucket}`]])
}

export async function headBucket(call: BucketCall): Promise<S3Response> {
  await requireBucket(call)
  return emptyResponse(200, [['x-amz-bucket-region', call.settings.region]])
}

export async function deleteBucket({ store, bucket }: BucketCall): Promise<S3Response> {
  await store.deleteBucket(bucket)
  return emptyResponse(204)
}

export async function bucketLocation(call: BucketCall): Promise<S3Response> {
  await requireBucket(call)
  // S3's name for its first region is none at all
  return xmlResponse(s3Element('LocationConstraint', call.settings.region === 'us-east-1' ? '' : call.settings.region))
}

export async function bucketVersioning(call: BucketCall): Promise<S3Response> {
  await requireBucket(call)
  return xmlResponse(s3Element('VersioningConfiguration', ''))
}

export async function deleteObject(call: ObjectCall): Promise<S3Response> {
  const { store, bucket, key } = call
  const [version, generations] = [readVersion(call), readGenerations(call)]
  await store.delete(bucket, key, { ...(version !== undefined && { version }), ...(generations && { generations }) })
  return emptyResponse(204)
}

const mostDeletes = 1000

export async function deleteObjects(call: BucketCall): Promise<S3Response> {
  const { store, bucket, request, admission } = call
  const payload = await openPayload(request, admission, 'md5')
  const root = await readXml(payload.body, longXml)
  payload.finish()
  await requireBucket(call)
  const objects = root.children.filter(child => child.name === 'Object')
  if (root.name !== 'Delete' || objects.length === 0 || objects.length > mostDeletes) {
    throw new S3Error('MalformedXML', `Delete with 1..${mostDeletes} Object elements expected.`)
  }
  const quiet = childText(root, 'Quiet')?.trim() === 'true'
  const results: Xml[] = []
  for (const object of objects) {
    const key = childText(object, 'Key') ?? ''
    try {
      if (checkedKey(key) === null) throw new S3Error('InvalidArgument', 'An object needs a key.')
      const named = childText(object, 'VersionId')
      const version = versionIn(named === undefined ? [] : [named], store)
      await store.delete(bucket, key, version === undefined ? {} : { version })
      if (!quiet) results.push(element('Deleted', [element('Key', key)]))
    } catch (error) {
      const answer = answerOf(error)
      if (!answer) throw error
      results.push(
        element('Error', [element('Key', key), element('Code', answer.code), element('Message', answer.message)]),
      )
    }
  }
  return xmlResponse(s3Element('DeleteResult', results))
}

export async function requireBucket({ store, bucket }: BucketCall): Promise<void> {
  if (!(await store.headBucket(bucket))) throw new StoreError('no-bucket', 'The specified bucket does not exist')
}
