import type { WireHeader } from './canonical.ts'
import { AccessError } from './fault.ts'

/** A number that must be, and one that must not be; null: whichever. What is not there has the number 0. */
export type Wish = { readonly is: number | null; readonly isNot: number | null }
/** What a request wants to be so when it is performed. */
export type Preconditions = { readonly generation: Wish; readonly metageneration: Wish }

export const NO_WISH: Wish = { is: null, isNot: null }

/** int64, as Google counts; none of ours is above 2^53 */
const NUMBER = /^[0-9]{1,19}$/

/**
 * @param prefix - `x-goog-if-`, or `x-goog-copy-source-if-` of a copy's source
 * @returns null: the request names none
 * @throws AccessError "malformed-precondition" - no number, or the same header twice
 */
export function parsePreconditions(headers: readonly WireHeader[], prefix: string): Preconditions | null {
  const numbers = new Map<string, number>()
  for (const [raw, value] of headers) {
    const name = raw.toLowerCase()
    if (!name.startsWith(prefix)) continue
    const what = name.slice(prefix.length)
    if (prefix === OF_SOURCE && BY_TAG_OR_DATE.includes(what)) continue
    if (!NAMES.includes(what)) throw malformed(`${name} is not known here`)
    if (numbers.has(what)) throw malformed(`${name} came more than once`)
    const text = value.trim()
    if (!NUMBER.test(text)) throw malformed(`${name}: want a whole number, got ${JSON.stringify(text.slice(0, 40))}`)
    numbers.set(what, Number(text))
  }
  if (numbers.size === 0) return null
  const wish = (what: string): Wish => ({
    is: numbers.get(`${what}-match`) ?? null,
    isNot: numbers.get(`${what}-not-match`) ?? null,
  })
  return { generation: wish('generation'), metageneration: wish('metageneration') }
}

const OF_SOURCE = 'x-goog-copy-source-if-'
/** Judged as HTTP's own are. */
const BY_TAG_OR_DATE = ['match', 'none-match', 'modified-since', 'unmodified-since']
const NAMES = ['generation-match', 'generation-not-match', 'metageneration-match', 'metageneration-not-match']

export function isWish({ is, isNot }: Wish): boolean {
  return is !== null || isNot !== null
}

/** Whether what is there is as it is wanted. */
export function fulfils({ is, isNot }: Wish, found: number): boolean {
  return (is === null || is === found) && (isNot === null || isNot !== found)
}

function malformed(message: string): AccessError {
  return new AccessError('malformed-precondition', message)
}
