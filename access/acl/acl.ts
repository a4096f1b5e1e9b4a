import { AccessError } from '../fault.ts'

/**
 * An access control list: who has which rights, and nothing about whose it is. Pure values; the design's rules are cited by number.
 */
export type Acl = {
  /** at most `ENTRIES_MAX`, one a scope, in canonical order (rules 1, 7) */
  readonly entries: readonly AclEntry[]
  /** only the most specific class of scopes that matches counts (rule 8, second form) */
  readonly specificOverrides: boolean
}

export type AclEntry = {
  readonly scope: Scope
  readonly rights: Rights
  /** a comment that came with the entry and goes back out; decides nothing */
  readonly name?: string
}

/** E-mail addresses are no scopes: they become ids when an ACL is written (rule 6). */
export type Scope =
  | { readonly kind: 'user'; readonly id: string }
  | { readonly kind: 'group'; readonly id: string }
  | { readonly kind: 'domain'; readonly domain: string }
  | { readonly kind: 'authenticated' }
  | { readonly kind: 'all' }
  /** whoever owns the bucket that the resource lies in; of an ACL object, that what refers to it lies in (rule 37) */
  | { readonly kind: 'bucket-owner' }

/**
 * Bits as they were granted. `FULL` is how all four are said in one word; it is kept apart so that a grant of it reads back as one
 * and four single grants as four.
 */
export type Rights = number
export const R = 1
export const W = 2
export const RA = 4
export const WA = 8
export const FULL = 16
export type Right = typeof R | typeof W | typeof RA | typeof WA

export const ALL_RIGHTS = R | W | RA | WA
export const ENTRIES_MAX = 100

export const NO_ENTRIES: Acl = { entries: [], specificOverrides: false }

/** What the bits give: `FULL` is all four. */
export function effective(rights: Rights): Rights {
  return (rights & FULL) !== 0 ? ALL_RIGHTS : rights & ALL_RIGHTS
}

/** A name for the scope that two equal ones share. */
export function scopeKey(scope: Scope): string {
  switch (scope.kind) {
    case 'user':
    case 'group':
      return `${scope.kind}:${scope.id}`
    case 'domain':
      return `domain:${scope.domain}`
    default:
      return scope.kind
  }
}

/**
 * Entries of one scope become one with the rights of all (rule 7); the order is that in which S3 clients want to read grants: everybody
 * first, users last.
 *
 * @throws AccessError "malformed-acl" - more than `ENTRIES_MAX`, or an entry without a right
 */
export function makeAcl(entries: Iterable<AclEntry>, options: { specificOverrides: boolean } = NO_ENTRIES): Acl {
  const merged = new Map<string, AclEntry>()
  for (const entry of entries) {
    if (!Number.isInteger(entry.rights) || entry.rights < 1 || entry.rights > (ALL_RIGHTS | FULL))
      throw new AccessError('malformed-acl', 'an entry of an ACL gives at least one of the rights that there are')
    const key = scopeKey(entry.scope)
    const before = merged.get(key)
    merged.set(key, before === undefined ? entry : together(before, entry))
    if (merged.size > ENTRIES_MAX)
      throw new AccessError(
        'malformed-acl',
        `an ACL has at most ${ENTRIES_MAX} entries: put users into a group, which counts as one`,
      )
  }
  const sorted = [...merged].sort(([a, x], [b, y]) => RANK[x.scope.kind] - RANK[y.scope.kind] || (a < b ? -1 : 1))
  return { entries: sorted.map(([, entry]) => entry), specificOverrides: options.specificOverrides }
}

const RANK: Record<Scope['kind'], number> = {
  all: 0,
  authenticated: 1,
  domain: 2,
  group: 3,
  'bucket-owner': 4,
  user: 5,
}

function together(a: AclEntry, b: AclEntry): AclEntry {
  const name = a.name ?? b.name
  return { scope: a.scope, rights: a.rights | b.rights, ...(name !== undefined && { name }) }
}
