import { percentEncode } from '../../access/canonical.ts'
import type { Checksum, ListPage, ObjectRecord } from '../object-store.ts'
import { requireBucket } from './bucket-verbs.ts'
import { type BucketCall, readCount, xmlResponse } from './call.ts'
import { S3Error } from './fault.ts'
import { isoTimes } from './iso-times.ts'
import type { S3Response } from './message.ts'
import { type OwnerElements, ownerElements } from './owners.ts'
import type { Query } from './target.ts'
import { element, escapeXml, s3Element, type Xml } from './xml-out.ts'

export async function listObjects(call: BucketCall): Promise<S3Response> {
  const { query, bucket } = call
  const marker = query.get('marker') ?? ''
  const { page, limit, prefix, delimiter, name } = await readPage(call, marker)
  return xmlResponse(
    s3Element('ListBucketResult', [
      element('Name', bucket),
      element('Prefix', name(prefix)),
      element('Marker', name(marker)),
      page.more && delimiter && page.last !== undefined ? element('NextMarker', name(page.last)) : null,
      ...common(query, delimiter, name, limit, page.more),
      contents(page.objects, name, await ownerElements(call, page.objects)),
      ...page.prefixes.map(item => element('CommonPrefixes', [element('Prefix', name(item))])),
    ]),
  )
}

export async function listObjectsV2(call: BucketCall): Promise<S3Response> {
  const { query, bucket } = call
  const token = query.get('continuation-token')
  const startAfter = query.get('start-after') ?? ''
  const { page, limit, prefix, delimiter, name } = await readPage(call, token ? readToken(token) : startAfter)
  const owner = query.get('fetch-owner') === 'true'
  return xmlResponse(
    s3Element('ListBucketResult', [
      element('Name', bucket),
      element('Prefix', name(prefix)),
      query.has('start-after') ? element('StartAfter', name(startAfter)) : null,
      token === undefined ? null : element('ContinuationToken', token),
      page.more && page.last !== undefined ? element('NextContinuationToken', writeToken(page.last)) : null,
      element('KeyCount', page.objects.length + page.prefixes.length),
      ...common(query, delimiter, name, limit, page.more),
      contents(page.objects, name, owner ? await ownerElements(call, page.objects) : null),
      ...page.prefixes.map(item => element('CommonPrefixes', [element('Prefix', name(item))])),
    ]),
  )
}

/** No versions are kept: of each object there is one, `null`, as S3 calls what was written to a bucket without versions. */
export async function listVersions(call: BucketCall): Promise<S3Response> {
  const { query, bucket } = call
  const marker = query.get('key-marker') ?? ''
  if (query.has('version-id-marker') && marker === '')
    throw new S3Error('InvalidArgument', 'A version-id marker cannot be specified without a key marker.')
  const { page, limit, prefix, delimiter, name } = await readPage(call, marker)
  return xmlResponse(
    s3Element('ListVersionsResult', [
      element('Name', bucket),
      element('Prefix', name(prefix)),
      element('KeyMarker', name(marker)),
      element('VersionIdMarker', ''),
      ...(page.more && page.last !== undefined
        ? [element('NextKeyMarker', name(page.last)), element('NextVersionIdMarker', 'null')]
        : []),
      ...common(query, delimiter, name, limit, page.more),
      contents(page.objects, name, await ownerElements(call, page.objects), VERSION),
      ...page.prefixes.map(item => element('CommonPrefixes', [element('Prefix', name(item))])),
    ]),
  )
}

const OBJECT = { tag: 'Contents', more: '' }
const VERSION = { tag: 'Version', more: '<VersionId>null</VersionId><IsLatest>true</IsLatest>' }

type Page = {
  page: ListPage
  limit: number
  prefix: string
  delimiter: string | undefined
  name: (text: string) => string
}

async function readPage(call: BucketCall, after: string): Promise<Page> {
  const { query, store, bucket } = call
  const prefix = query.get('prefix') ?? ''
  const delimiter = query.get('delimiter') || undefined
  const limit = readCount(query, 'max-keys', 1000, 1000)
  const name = encoder(query)
  if (limit === 0) {
    await requireBucket(call)
    return { page: { objects: [], prefixes: [], more: false }, limit, prefix, delimiter, name }
  }
  const page = await store.list(bucket, {
    prefix,
    limit,
    ...(delimiter && { delimiter }),
    ...(after !== '' && { after }),
  })
  return { page, limit, prefix, delimiter, name }
}

function common(
  query: Query,
  delimiter: string | undefined,
  name: (text: string) => string,
  limit: number,
  more: boolean,
): (Xml | null)[] {
  return [
    element('MaxKeys', limit),
    delimiter ? element('Delimiter', name(delimiter)) : null,
    query.has('encoding-type') ? element('EncodingType', 'url') : null,
    element('IsTruncated', more),
  ]
}

/** An element for each: a thousand of them are most of a listing's time, so they are put together as text. */
function contents(
  records: ObjectRecord[],
  name: (text: string) => string,
  ownerOf: ((record: ObjectRecord) => OwnerElements) | null,
  as = OBJECT,
): Xml {
  const time = isoTimes()
  let xml = ''
  for (const record of records) {
    const { key, modifiedAt, etag, checksum, size } = record
    xml += `<${as.tag}><Key>${escapeXml(name(key))}</Key>${as.more}<LastModified>${time(modifiedAt)}</LastModified>`
    xml += `<ETag>&quot;${escapeXml(etag)}&quot;</ETag>${checksumTags(checksum)}<Size>${size}</Size>${ownerOf?.(record).owner.xml ?? ''}`
    xml += `<StorageClass>STANDARD</StorageClass></${as.tag}>`
  }
  return { xml }
}

function checksumTags(checksum: Checksum | undefined): string {
  if (checksum === undefined) return ''
  const type = element('ChecksumType', checksum.type).xml
  return element('ChecksumAlgorithm', checksum.name).xml + type
}

/** How names are written: as they are, or percent-encoded when the client asked, which carries what XML cannot. */
export function encoder(query: Query): (text: string) => string {
  const type = query.get('encoding-type')
  if (type === undefined) return text => text
  if (type !== 'url') throw new S3Error('InvalidArgument', 'Invalid Encoding Method specified in Request')
  return text => percentEncode(Buffer.from(text, 'utf8'), { path: true })
}

function writeToken(after: string): string {
  return Buffer.from(after, 'utf8').toString('base64url')
}

function readToken(token: string): string {
  const bytes = Buffer.from(token, 'base64url')
  if (bytes.toString('base64url') !== token) {
    throw new S3Error('InvalidArgument', 'The continuation token provided is incorrect')
  }
  return bytes.toString('utf8')
}
