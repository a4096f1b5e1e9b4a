import { percentDecode, queryPairs, utf8Text } from '../../access/canonical.ts'
import { longestKeyBytes } from '../key.ts'
import { S3Error } from './fault.ts'
import { header, type S3Request } from './message.ts'

/** What a request is about. No bucket: the service; no key: the bucket. */
export type Target = { bucket: string | null; key: string | null; query: Query }

/** Query fields by name, first value; a field without `=` is the empty string. */
export type Query = ReadonlyMap<string, string>

/**
 * Bucket and key from the raw path, decoded once and not normalised: `..`, `//` and `%2F` are what they are.
 * @param hostSuffix - `bucket.<suffix>` hosts name the bucket; undefined: path style only
 */
export function parseTarget(request: S3Request, hostSuffix: string | undefined): Target {
  const query = parseQuery(request.rawQuery)
  const path = decodePath(request.rawPath)
  if (!path.startsWith('/')) throw new S3Error('InvalidURI', "Couldn't parse the specified URI.")
  const host = (header(request, 'host') ?? '').toLowerCase().replace(/:\d+$/, '')
  const virtual = hostSuffix && host.endsWith(`.${hostSuffix}`) ? host.slice(0, -hostSuffix.length - 1) : null
  const rest = path.slice(1)
  if (virtual) return { bucket: virtual, key: checkedKey(rest), query }
  const cut = rest.indexOf('/')
  const bucket = cut < 0 ? rest : rest.slice(0, cut)
  if (bucket === '') {
    if (cut >= 0) throw new S3Error('InvalidBucketName', 'The bucket name is empty.')
    return { bucket: null, key: null, query }
  }
  return { bucket, key: cut < 0 ? null : checkedKey(rest.slice(cut + 1)), query }
}

export function parseQuery(rawQuery: string): Query {
  const pairs = queryPairs(rawQuery)
  const query = new Map<string, string>()
  for (const [name, value] of pairs ?? []) {
    const key = utf8Text(name)
    const text = utf8Text(value)
    if (key === null || text === null) throw new S3Error('InvalidURI', 'The query is not UTF-8.')
    if (!query.has(key)) query.set(key, text)
  }
  if (!pairs) throw new S3Error('InvalidURI', 'A % in the query is not followed by two hex digits.')
  return query
}

/** @throws S3Error "InvalidURI" - a broken percent sequence, or not UTF-8 */
export function decodePath(raw: string): string {
  const bytes = percentDecode(raw)
  const text = bytes && utf8Text(bytes)
  if (text === null) throw new S3Error('InvalidURI', "Couldn't parse the specified URI.")
  return text
}

/** S3's rules for a new bucket. */
export function isBucketName(name: string): boolean {
  return (
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) &&
    !/\.\.|\.-|-\./.test(name) &&
    !/^\d+\.\d+\.\d+\.\d+$/.test(name) &&
    !name.startsWith('xn--')
  )
}

export function checkedKey(key: string): string | null {
  if (Buffer.byteLength(key, 'utf8') > longestKeyBytes) {
    throw new S3Error('KeyTooLongError', `Your key is too long: at most ${longestKeyBytes} bytes.`)
  }
  return key === '' ? null : key
}
