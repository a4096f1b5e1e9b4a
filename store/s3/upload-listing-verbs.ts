import { compareKeys } from '../key.ts'
import type { UploadChecksum } from '../object-store.ts'
import { type BucketCall, multipart, type ObjectCall, readCount, xmlResponse } from './call.ts'
import { encoder } from './listing-verbs.ts'
import type { S3Response } from './message.ts'
import { findUpload, partChecksum } from './multipart-verbs.ts'
import { ownerElements } from './owners.ts'
import { element, s3Element, type Xml } from './xml-out.ts'

export async function listParts(call: ObjectCall): Promise<S3Response> {
  const { query, bucket, key } = call
  const upload = await findUpload(call)
  const marker = readCount(query, 'part-number-marker', 0, 10_000)
  const limit = Math.max(1, readCount(query, 'max-parts', 1000, 1000))
  const { parts, more } = await multipart(call).listParts(upload.id, marker, limit)
  const name = encoder(query)
  const { owner, initiator } = (await ownerElements(call, [upload]))(upload)
  return xmlResponse(
    s3Element('ListPartsResult', [
      element('Bucket', bucket),
      element('Key', name(key)),
      element('UploadId', upload.id),
      initiator,
      owner,
      element('StorageClass', 'STANDARD'),
      element('PartNumberMarker', marker),
      element('NextPartNumberMarker', parts.at(-1)?.partNumber ?? 0),
      element('MaxParts', limit),
      element('IsTruncated', more),
      ...checksumKind(upload.checksum),
      ...parts.map(part =>
        element('Part', [
          element('PartNumber', part.partNumber),
          element('LastModified', part.modifiedAt.toISOString()),
          element('ETag', `"${part.etag}"`),
          element('Size', part.size),
          ...partChecksum(part.checksum),
        ]),
      ),
    ]),
  )
}

export async function listUploads(call: BucketCall): Promise<S3Response> {
  const { query, bucket } = call
  const prefix = query.get('prefix') ?? ''
  const delimiter = query.get('delimiter') || undefined
  const keyMarker = query.get('key-marker') ?? ''
  const idMarker = query.get('upload-id-marker') ?? ''
  const limit = Math.max(1, readCount(query, 'max-uploads', 1000, 1000))
  const name = encoder(query)
  const { uploads, prefixes, more } = await multipart(call).listUploads(bucket, {
    prefix,
    limit,
    ...(delimiter && { delimiter }),
    ...(keyMarker !== '' && { afterKey: keyMarker }),
    ...(keyMarker !== '' && idMarker !== '' && { afterUpload: idMarker }),
  })
  const ownerOf = await ownerElements(call, uploads)
  const last = uploads.at(-1)
  const folded = prefixes.at(-1)
  const foldedLast = folded !== undefined && (!last || compareKeys(folded, last.key) > 0)
  return xmlResponse(
    s3Element('ListMultipartUploadsResult', [
      element('Bucket', bucket),
      element('KeyMarker', name(keyMarker)),
      element('UploadIdMarker', idMarker),
      more ? element('NextKeyMarker', name((foldedLast ? folded : last?.key) ?? '')) : null,
      more && !foldedLast ? element('NextUploadIdMarker', last?.id ?? '') : null,
      delimiter ? element('Delimiter', name(delimiter)) : null,
      element('Prefix', name(prefix)),
      query.has('encoding-type') ? element('EncodingType', 'url') : null,
      element('MaxUploads', limit),
      element('IsTruncated', more),
      ...uploads.map(upload =>
        element('Upload', [
          element('Key', name(upload.key)),
          element('UploadId', upload.id),
          ownerOf(upload).initiator,
          ownerOf(upload).owner,
          element('StorageClass', 'STANDARD'),
          element('Initiated', upload.startedAt.toISOString()),
          ...checksumKind(upload.checksum),
        ]),
      ),
      ...prefixes.map(item => element('CommonPrefixes', [element('Prefix', name(item))])),
    ]),
  )
}

function checksumKind(checksum: UploadChecksum | undefined): Xml[] {
  return checksum ? [element('ChecksumAlgorithm', checksum.name), element('ChecksumType', checksum.type)] : []
}
