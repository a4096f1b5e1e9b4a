import type { ByteRange, ObjectRecord, PutCondition } from '../object-store.ts'
import { S3Error } from './fault.ts'
import { header, type S3Request } from './message.ts'

type Judged = Pick<ObjectRecord, 'etag' | 'modifiedAt'>
export type Conditions = { match?: string; noneMatch?: string; modifiedSince?: string; unmodifiedSince?: string }

/** The four conditional headers, of the request or (`x-amz-copy-source-`) of a copy's source. */
export function readConditions(request: S3Request, prefix = ''): Conditions {
  const [match, noneMatch] = [header(request, `${prefix}if-match`), header(request, `${prefix}if-none-match`)]
  const modifiedSince = header(request, `${prefix}if-modified-since`)
  const unmodifiedSince = header(request, `${prefix}if-unmodified-since`)
  return {
    ...(match !== undefined && { match }),
    ...(noneMatch !== undefined && { noneMatch }),
    ...(modifiedSince !== undefined && { modifiedSince }),
    ...(unmodifiedSince !== undefined && { unmodifiedSince }),
  }
}

/** RFC 9110 §13.2.2: the date counts only where the tag is not given. */
export function judgeConditions(conditions: Conditions, record: Judged): 'go' | 'not-modified' | 'failed' {
  const seconds = Math.floor(record.modifiedAt.getTime() / 1000)
  const { match, noneMatch } = conditions
  if (match !== undefined) {
    if (!listsTag(match, record.etag)) return 'failed'
  } else {
    const limit = httpSeconds(conditions.unmodifiedSince)
    if (limit !== null && seconds > limit) return 'failed'
  }
  if (noneMatch !== undefined) return listsTag(noneMatch, record.etag) ? 'not-modified' : 'go'
  const since = httpSeconds(conditions.modifiedSince)
  return since !== null && seconds <= since ? 'not-modified' : 'go'
}

/** @throws S3Error "NotImplemented" - conditions on a write other than `If-None-Match: *` and `If-Match: <etag>` */
export function readPutCondition(request: S3Request): PutCondition | undefined {
  const { match, noneMatch } = readConditions(request)
  if (noneMatch !== undefined) {
    if (noneMatch !== '*' || match !== undefined)
      throw new S3Error('NotImplemented', 'On writes: If-None-Match: * alone.')
    return { absent: true }
  }
  if (match === undefined) return undefined
  if (match === '*' || match.includes(',')) throw new S3Error('NotImplemented', 'On writes: If-Match with one ETag.')
  return { etag: bareTag(match) }
}

/**
 * The range of a body of `size` bytes; `null`: the whole (none asked, several, or not understood: RFC 9110 §14.2).
 * @throws S3Error "InvalidRange" - understood, but nothing of it is there
 */
export function readRange(text: string | undefined, size: number): ByteRange | null {
  const [, from, to] = /^bytes=(\d{0,18})-(\d{0,18})$/.exec(text?.trim() ?? '') ?? []
  if (from === undefined || to === undefined || (from === '' && to === '')) return null
  if (from === '') {
    const first = Math.max(0, size - Number(to))
    if (first >= size) throw invalidRange(size)
    return { first, last: size - 1 }
  }
  const first = Number(from)
  const last = to === '' ? size - 1 : Math.min(Number(to), size - 1)
  if (to !== '' && Number(to) < first) return null
  if (first >= size) throw invalidRange(size)
  return { first, last }
}

export function bareTag(text: string): string {
  return text
    .trim()
    .replace(/^W\//, '')
    .replace(/^"(.*)"$/, '$1')
}

function listsTag(list: string, etag: string): boolean {
  return list.split(',').some(item => item.trim() === '*' || bareTag(item) === etag)
}

function httpSeconds(text: string | undefined): number | null {
  const time = Date.parse(text ?? '')
  return Number.isNaN(time) ? null : Math.floor(time / 1000)
}

function invalidRange(size: number): S3Error {
  return new S3Error('InvalidRange', 'The requested range is not satisfiable', {
    headers: [['content-range', `bytes */${size}`]],
  })
}
