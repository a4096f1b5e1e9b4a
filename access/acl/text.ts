import { AccessError } from '../fault.ts'
import {
  type Acl,
  type AclEntry,
  ENTRIES_MAX,
  FULL,
  makeAcl,
  NO_ENTRIES,
  R,
  RA,
  type Rights,
  type Scope,
  scopeKey,
  W,
  WA,
} from './acl.ts'

/**
 * An ACL in one line, as it is kept and as it is bound into envelopes: entries in canonical order, a blank between.
 *
 *     acl    = [ "specific-overrides" SP ] [ entry *( SP entry ) ]
 *     entry  = scope "=" right *( "+" right ) [ ";name=" percent-encoded ]
 *     scope  = "all" / "authenticated" / "bucket-owner" / "user:" id / "group:" id / "domain:" name
 *     right  = "R" / "W" / "RA" / "WA" / "FULL", in this order
 *
 * One ACL has one text. Older texts are the canned names `private` and `public-read`, whose owner is not among the entries.
 */
export function encodeAcl(acl: Acl): string {
  const entries = acl.entries.map(({ scope, rights, name }) => {
    const comment = name === undefined ? '' : `;name=${encodeURIComponent(name)}`
    return `${scopeKey(scope)}=${wordsOf(rights)}${comment}`
  })
  return [...(acl.specificOverrides ? [OVERRIDES] : []), ...entries].join(' ')
}

/** @throws AccessError "malformed-acl" - not what `encodeAcl` writes */
export function parseAcl(text: string): Acl {
  if (text === '' || text === 'private') return NO_ENTRIES
  if (text === 'public-read') return EVERYBODY_READS
  if (text.length > TEXT_MAX) throw unreadable()
  const words = text.split(' ', ENTRIES_MAX + 3)
  const specificOverrides = words[0] === OVERRIDES
  const acl = makeAcl(words.slice(specificOverrides ? 1 : 0).map(entryOf), { specificOverrides })
  // one ACL, one text: what is signed and bound is compared as bytes
  if (encodeAcl(acl) !== text) throw unreadable()
  return acl
}

const OVERRIDES = 'specific-overrides'
const EVERYBODY_READS = makeAcl([{ scope: { kind: 'all' }, rights: R }])
const TEXT_MAX = 48 << 10
const ENTRY = /^([a-z-]+)(?::([A-Za-z0-9._-]{1,253}))?=([A-Z+]{1,16})(?:;name=([A-Za-z0-9\-_.!~*'()%]{1,9216}))?$/
const WORDS: readonly (readonly [string, Rights])[] = [
  ['R', R],
  ['W', W],
  ['RA', RA],
  ['WA', WA],
  ['FULL', FULL],
]

function wordsOf(rights: Rights): string {
  return WORDS.filter(([, bit]) => (rights & bit) !== 0)
    .map(([word]) => word)
    .join('+')
}

function entryOf(word: string): AclEntry {
  const [, kind = '', value, words = '', comment] = ENTRY.exec(word) ?? []
  const rights = words.split('+').reduce((sum, each) => sum | (WORDS.find(([known]) => known === each)?.[1] ?? 0), 0)
  return { scope: scopeOf(kind, value), rights, ...(comment !== undefined && { name: decoded(comment) }) }
}

function scopeOf(kind: string, value: string | undefined): Scope {
  if (value === undefined) {
    if (kind === 'all' || kind === 'authenticated' || kind === 'bucket-owner') return { kind }
    throw unreadable()
  }
  if (kind === 'user' || kind === 'group') return { kind, id: value }
  if (kind === 'domain') return { kind, domain: value }
  throw unreadable()
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    if (cause instanceof URIError) throw unreadable()
    throw cause
  }
}

function unreadable(): AccessError {
  return new AccessError('malformed-acl', 'the text of an ACL is not as this store writes it')
}
