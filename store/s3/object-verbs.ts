import { NO_WISH } from '../../access/precondition.ts'
import { hasCopy } from '../ability.ts'
import {
  type ByteRange,
  HeldBody,
  type ObjectAttributes,
  type ObjectRecord,
  type ObjectStore,
  type PutOptions,
} from '../object-store.ts'
import { doneWith } from '../own-body.ts'
import { checkAskedAcl } from './acl-verbs.ts'
import { checksumHeaders, objectHeaders, readAttributes } from './attributes.ts'
import { emptyResponse, type ObjectCall, xmlResponse } from './call.ts'
import { judgeConditions, readConditions, readPutCondition, readRange } from './conditions.ts'
import { checkAskedEncryption, checkNoCustomerKey, encryptionHeaders } from './encryption.ts'
import { S3Error } from './fault.ts'
import {
  generationHeaders,
  judgeGenerations,
  readGenerations,
  readVersion,
  requireVersion,
  versionIn,
} from './generations.ts'
import { eitherHeader, header, type S3Response } from './message.ts'
import { openPayload } from './payload.ts'
import { checkedKey, decodePath, type Query } from './target.ts'
import { element, s3Element } from './xml-out.ts'

export async function putObject(call: ObjectCall): Promise<S3Response> {
  const { request, admission, store, bucket, key, settings } = call
  checkAskedAcl(call)
  checkAskedEncryption(call)
  const attributes = readAttributes(request)
  const condition = readPutCondition(request)
  const generations = readGenerations(call)
  const { body, length, finish } = await openPayload(request, admission, settings.etags)
  const options = { attributes, length, finish, ...(condition && { condition }), ...(generations && { generations }) }
  const record = await store.put(bucket, key, body, options)
  return emptyResponse(200, [
    ['etag', `"${record.etag}"`],
    ...checksumHeaders(record.checksum),
    ...generationHeaders(record),
    ...encryptionHeaders(record),
  ])
}

export async function headObject(call: ObjectCall): Promise<S3Response> {
  const record = await call.store.head(call.bucket, call.key)
  if (!record) throw noSuchKey()
  const { status, headers, length } = objectHead(call, record)
  if (length !== null) headers.push(contentLength(length))
  return { status, headers, body: null }
}

export async function getObject(call: ObjectCall): Promise<S3Response> {
  const found: { head: ObjectHead | null; fault: unknown } = { head: null, fault: null }
  const read = await call.store.get(call.bucket, call.key, record => {
    try {
      found.head = objectHead(call, record)
      return found.head.length === null ? 'nothing' : (found.head.range ?? 'all')
    } catch (fault) {
      found.fault = fault
      return 'nothing'
    }
  })
  if (!read) throw noSuchKey()
  if (found.head === null) throw found.fault
  const { status, headers, length } = found.head
  if (length === null) return { status, headers, body: null }
  const { body } = read
  if (body instanceof HeldBody) return { status, headers, body: body.bytes, sent: () => doneWith(body, body.bytes) }
  return { status, headers: [...headers, contentLength(length)], body }
}

type ObjectHead = {
  status: 200 | 206 | 304
  /** all but the length, which of a body at hand follows from it */
  headers: [string, string][]
  /** null: of no part alone */
  range: ByteRange | null
  /** null: no body is described */
  length: number | null
}

function objectHead(call: ObjectCall, record: ObjectRecord): ObjectHead {
  const { request, query, admission } = call
  checkNoCustomerKey(request)
  requireVersion(readVersion(call), record)
  const overrides: Query = new Map([...query].filter(([name]) => name.startsWith('response-')))
  if (overrides.size > 0 && !admission.principal) {
    throw new S3Error('InvalidRequest', 'Request specific response headers cannot be used for anonymous GET requests.')
  }
  if ([...overrides.values()].some(value => /\p{Cc}/u.test(value))) {
    throw new S3Error('InvalidArgument', 'A response header cannot hold control characters.')
  }
  const part = query.get('partNumber')
  if (part !== undefined && (part !== '1' || (record.parts ?? 1) > 1)) {
    throw new S3Error('NotImplemented', 'Reading by part number is not implemented here; use a range.')
  }
  const headers = [...objectHeaders(record, overrides), ...generationHeaders(record), ...encryptionHeaders(record)]
  if (header(request, 'x-amz-checksum-mode')?.toUpperCase() === 'ENABLED')
    headers.push(...checksumHeaders(record.checksum))
  const verdicts = [judgeConditions(readConditions(request), record), judgeGenerations(readGenerations(call), record)]
  if (verdicts.includes('failed')) throw preconditionFailed()
  if (verdicts.includes('not-modified')) return { status: 304, headers, range: null, length: null }
  const range = readRange(header(request, 'range'), record.size)
  if (!range) return { status: 200, headers, range, length: record.size }
  // a checksum is of the whole object: with a part of it clients would compare in vain
  const partial = headers.filter(([name]) => !name.startsWith('x-amz-checksum-'))
  partial.push(['content-range', `bytes ${range.first}-${range.last}/${record.size}`])
  return { status: 206, headers: partial, range, length: range.last - range.first + 1 }
}

function contentLength(length: number): [string, string] {
  return ['content-length', String(length)]
}

export type CopySource = { bucket: string; key: string; record: ObjectRecord }

/** The object that x-amz-copy-source or x-goog-copy-source names, its conditions judged. */
export async function readCopySource(call: ObjectCall): Promise<CopySource> {
  const { request, store } = call
  const raw = eitherHeader(request, 'copy-source')
  if (raw === undefined) throw new S3Error('InvalidRequest', 'A copy names one source, in one header.')
  const [name = '', version] = raw.split(/\?versionId=/)
  const generation = header(request, 'x-goog-copy-source-generation')
  const given = [version, generation].flatMap(text => text ?? [])
  const path = decodePath(name).replace(/^\//, '')
  const cut = path.indexOf('/')
  const key = checkedKey(path.slice(cut + 1))
  if (cut < 1 || key === null) throw new S3Error('InvalidArgument', 'The source of a copy must be bucket/key.')
  const bucket = path.slice(0, cut)
  const record = await store.head(bucket, key)
  if (!record) throw noSuchKey()
  requireVersion(versionIn(given, store), record)
  const numbers = readGenerations(call, 'x-goog-copy-source-if-')
  if (
    judgeConditions(readConditions(request, 'x-amz-copy-source-'), record) !== 'go' ||
    judgeConditions(readConditions(request, 'x-goog-copy-source-'), record) !== 'go' ||
    judgeGenerations(numbers, record) !== 'go'
  )
    throw preconditionFailed()
  return { bucket, key, record }
}

export async function copyObject(call: ObjectCall): Promise<S3Response> {
  const { request, store, bucket, key } = call
  const source = await readCopySource(call)
  const directive = (eitherHeader(request, 'metadata-directive') ?? 'COPY').toUpperCase()
  if (directive !== 'COPY' && directive !== 'REPLACE')
    throw new S3Error('InvalidArgument', 'Unknown metadata directive.')
  checkAskedAcl(call)
  checkAskedEncryption(call)
  const given = readAttributes(request)
  const anew = readReencrypt(call)
  const onItself = source.bucket === bucket && source.key === key
  if (directive === 'COPY' && onItself && !anew) {
    throw new S3Error(
      'InvalidRequest',
      'This copy request is illegal because it is trying to copy an object to itself without changing its metadata.',
    )
  }
  // the source's ACL never goes along: it is no attribute
  const attributes = directive === 'REPLACE' ? given : source.record.attributes
  const { etag: sourceEtag, generation: sourceGeneration } = source.record
  const record = anew
    ? await copyThrough(call, source, attributes, onItself ? termsOfItself(call, source.record) : termsOf(call))
    : hasCopy(store)
      ? await store.copy(
          source,
          { bucket, key },
          {
            ...{ attributes, sourceEtag },
            ...(sourceGeneration !== undefined && { sourceGeneration }),
            ...termsOf(call),
          },
        )
      : await copyThrough(call, source, attributes, termsOf(call))
  if (!record) throw noSuchKey()
  return xmlResponse(
    s3Element('CopyObjectResult', [
      element('LastModified', record.modifiedAt.toISOString()),
      element('ETag', `"${record.etag}"`),
      record.checksum ? element(`Checksum${record.checksum.name}`, record.checksum.value) : null,
    ]),
    [...generationHeaders(record), ...encryptionHeaders(record)],
  )
}

/** Whether the copy is to have a key and a body of its own, instead of sharing those of its source. @throws S3Error */
function readReencrypt({ request, admission }: ObjectCall): boolean {
  const value = header(request, 'x-storage-reencrypt')
  if (value === undefined) return false
  if (value.trim().toLowerCase() !== 'true') throw new S3Error('InvalidArgument', 'x-storage-reencrypt: want true.')
  if (admission.principal === null) throw new S3Error('AccessDenied', 'A copy is asked for by a signed request only.')
  return true
}

type CopyTerms = Pick<PutOptions, 'condition' | 'generations'>

function termsOf(call: ObjectCall): CopyTerms {
  const condition = readPutCondition(call.request)
  const generations = readGenerations(call)
  return { ...(condition && { condition }), ...(generations && { generations }) }
}

/** Of an object that replaces itself: what was written since it was read must not be lost. @throws S3Error "PreconditionFailed" */
function termsOfItself(call: ObjectCall, record: ObjectRecord): CopyTerms {
  const { condition, generations } = termsOf(call)
  const otherwise = condition !== undefined && ('absent' in condition || condition.etag !== record.etag)
  if (otherwise || judgeGenerations(generations, record) !== 'go') throw preconditionFailed()
  const { etag, generation } = record
  if (generation === undefined) return { condition: { etag } }
  return { condition: { etag }, generations: { generation: { is: generation, isNot: null }, metageneration: NO_WISH } }
}

/** The bytes pass through this process. */
async function copyThrough(
  call: ObjectCall,
  source: CopySource,
  attributes: ObjectAttributes,
  terms: CopyTerms,
): Promise<ObjectRecord> {
  const { request, store, bucket, key, admission } = call
  const { body, size } = await openSource(store, source)
  const carrier = { ...request, headers: [['content-length', String(size)] as const], body }
  const payload = await openPayload(carrier, { ...admission, payload: null }, 'md5', source.record.checksum?.name)
  return store.put(bucket, key, payload.body, {
    attributes,
    length: size,
    finish: payload.finish,
    ...terms,
  })
}

/** @throws S3Error "PreconditionFailed" - replaced since it was judged */
export async function openSource(store: ObjectStore, source: CopySource, rangeText?: string) {
  const range = readRange(rangeText, source.record.size)
  const judged = (record: ObjectRecord): boolean => sameVersion(source.record, record)
  const read = await store.get(source.bucket, source.key, record => (judged(record) ? (range ?? 'all') : 'nothing'))
  if (!read) throw noSuchKey()
  if (!judged(read.record)) throw new S3Error('PreconditionFailed', 'The source was replaced meanwhile.')
  return { body: read.body, size: range ? range.last - range.first + 1 : read.record.size }
}

function sameVersion(a: ObjectRecord, b: ObjectRecord): boolean {
  return a.etag === b.etag && a.size === b.size && a.modifiedAt.getTime() === b.modifiedAt.getTime()
}

function preconditionFailed(): S3Error {
  return new S3Error('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold')
}

export function noSuchKey(): S3Error {
  return new S3Error('NoSuchKey', 'The specified key does not exist.')
}
