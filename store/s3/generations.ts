import { fulfils, isWish, type Preconditions, parsePreconditions } from '../../access/precondition.ts'
import { hasGenerations, type Numbers } from '../ability.ts'
import { StoreError } from '../object-store.ts'
import type { Call } from './call.ts'
import { S3Error } from './fault.ts'
import type { Query } from './target.ts'

/** Google's numbers of what is kept: which object is meant, and what must be so. Only for stores that number. */

/**
 * @param prefix - of a copy's source: `x-goog-copy-source-if-`
 * @throws S3Error "NotImplemented" - the store does not number; AccessError "malformed-precondition"
 */
export function readGenerations(
  { request, store }: Pick<Call, 'request' | 'store'>,
  prefix = 'x-goog-if-',
): Preconditions | undefined {
  const found = parsePreconditions(request.headers, prefix)
  if (found === null) return undefined
  if (!hasGenerations(store)) throw new S3Error('NotImplemented', 'This store does not number what it keeps.')
  return found
}

/** The generation that `?generation=` or `?versionId=` names; undefined: whichever is there. @throws S3Error "InvalidArgument" */
export function readVersion({ query, store }: Pick<Call, 'query' | 'store'>): number | undefined {
  return versionIn(
    ['generation', 'versionId'].flatMap(name => query.get(name) ?? []),
    store,
  )
}

/** @param given - what names it, once or twice; `null` as S3 says it: whichever is there */
export function versionIn(given: readonly string[], store: Call['store']): number | undefined {
  const [first, second] = given.filter(text => text !== 'null')
  if (first === undefined) return undefined
  if (!hasGenerations(store)) throw new S3Error('NotImplemented', 'No versions are kept here.')
  if (!/^[0-9]{1,19}$/.test(first) || (second !== undefined && second !== first))
    throw new S3Error('InvalidArgument', 'Invalid version id specified: want one generation, digits.')
  return Number(first)
}

export function namesVersion(query: Query): boolean {
  return query.has('generation') || (query.get('versionId') ?? 'null') !== 'null'
}

/** @throws StoreError "no-version" */
export function requireVersion(version: number | undefined, { generation }: Numbers): void {
  if (version !== undefined && version !== generation) throw noVersion()
}

export function noVersion(): StoreError {
  return new StoreError('no-version', 'The specified version does not exist.')
}

/** For reads, where what must not match and does is not news (304). */
export function judgeGenerations(wanted: Preconditions | undefined, found: Numbers): 'go' | 'not-modified' | 'failed' {
  const pairs = wanted && [
    [wanted.generation, found.generation ?? 0] as const,
    [wanted.metageneration, found.metageneration ?? 0] as const,
  ]
  if (pairs?.some(([{ is }, number]) => !fulfils({ is, isNot: null }, number))) return 'failed'
  return pairs?.some(([wish, number]) => !fulfils(wish, number)) ? 'not-modified' : 'go'
}

/** @throws S3Error "InvalidArgument" - of a bucket, which has none */
export function requireNoGeneration(wanted: Preconditions | undefined): void {
  if (wanted && isWish(wanted.generation))
    throw new S3Error('InvalidArgument', 'A bucket has a metageneration, and no generation.')
}

export function generationHeaders({ generation, metageneration }: Numbers): [string, string][] {
  const headers: [string, string][] = []
  if (generation !== undefined) headers.push(['x-goog-generation', String(generation)])
  if (metageneration !== undefined) headers.push(['x-goog-metageneration', String(metageneration)])
  return headers
}
