import type { WireHeader } from '../canonical.ts'
import { AccessError } from '../fault.ts'
import { FULL, R, RA, type Rights, W, WA } from './acl.ts'
import { parseAclName } from './acl-name.ts'
import type { AclAsk, Dialect, Grant } from './ask.ts'
import { granteeOfUri } from './group-uri.ts'

const CANNED_HEADERS: Readonly<Record<string, Dialect>> = { 'x-amz-acl': 's3', 'x-goog-acl': 'google' }
const GRANT_HEADERS: Readonly<Record<string, Rights>> = {
  'x-amz-grant-read': R,
  'x-amz-grant-write': W,
  'x-amz-grant-read-acp': RA,
  'x-amz-grant-write-acp': WA,
  'x-amz-grant-full-control': FULL,
}
const MODE = 'x-storage-acl-mode'
const FLAGS = 'x-storage-acl-flags'

/** Every header that says something of an ACL: a signature must cover those that are there. */
export const ACL_HEADERS: readonly string[] = [
  ...Object.keys(CANNED_HEADERS),
  ...Object.keys(GRANT_HEADERS),
  'x-storage-acl',
  'x-storage-custom-acl',
  MODE,
]

/**
 * What a request's headers ask for (rules 22, 23, 30).
 *
 * @throws AccessError "acl-sources" - in more than one way, or twice in one
 * @throws AccessError "malformed-acl" | "unknown-grantee" - a value that says nothing
 */
export function askOfHeaders(headers: readonly WireHeader[]): AclAsk {
  const values = new Map<string, string>()
  for (const [raw, value] of headers) {
    const name = raw.toLowerCase()
    if (!ACL_HEADERS.includes(name)) continue
    // repeated headers would be joined by some on the way and not by others
    if (values.has(name)) throw new AccessError('acl-sources', `${name} came more than once`)
    values.set(name, value.trim())
  }
  return askOf(values)
}

export type AclFlags = { specificOverrides: boolean }

/**
 * Flags that the ACL is to have (rule 1): `x-storage-acl-flags: specific-overrides`.
 * @throws AccessError "malformed-acl" - an unknown flag; "acl-sources" - twice
 */
export function flagsOfHeaders(headers: readonly WireHeader[]): AclFlags {
  const given = headers.filter(([name]) => name.toLowerCase() === FLAGS)
  const [first, second] = given
  if (second !== undefined) throw new AccessError('acl-sources', `${FLAGS} came more than once`)
  const words = (first?.[1] ?? '').split(',').map(word => word.trim().toLowerCase())
  const unknown = words.find(word => word !== '' && word !== SPECIFIC_OVERRIDES)
  if (unknown !== undefined)
    throw new AccessError(
      'malformed-acl',
      `${FLAGS}: want ${SPECIFIC_OVERRIDES}, got ${JSON.stringify(unknown.slice(0, 40))}`,
    )
  return { specificOverrides: words.includes(SPECIFIC_OVERRIDES) }
}

/** The header's value for an ACL that has flags; null: none. */
export function flagsText({ specificOverrides }: AclFlags): string | null {
  return specificOverrides ? SPECIFIC_OVERRIDES : null
}

const SPECIFIC_OVERRIDES = 'specific-overrides'

/** A request that says it in its headers, or a form that says it in its fields. */
export type AclCarrier =
  | { readonly headers: readonly WireHeader[] }
  | { readonly fields: readonly (readonly [name: string, value: string])[] }
  /** says nothing: whatever began it did */
  | { readonly kind: 'upload' }

/** @throws as `askOfHeaders` */
export function askOfCarrier(carrier: AclCarrier): AclAsk {
  if ('fields' in carrier) return askOfForm(new Map(carrier.fields))
  return askOfHeaders('headers' in carrier ? carrier.headers : [])
}

/** @throws as `flagsOfHeaders` */
export function flagsOfCarrier(carrier: AclCarrier): AclFlags {
  if ('fields' in carrier) return flagsOfHeaders(carrier.fields)
  return flagsOfHeaders('headers' in carrier ? carrier.headers : [])
}

/** What a form's fields ask for, where `acl` is a canned one too. @throws as `askOfHeaders` */
export function askOfForm(fields: ReadonlyMap<string, string>): AclAsk {
  const values = new Map<string, string>()
  for (const name of ACL_HEADERS) {
    const value = fields.get(name)
    if (value !== undefined) values.set(name, Buffer.from(value.trim(), 'utf8').toString('latin1'))
  }
  const canned = fields.get('acl')
  if (canned !== undefined) {
    if (values.has('x-amz-acl')) throw twice(['acl', 'x-amz-acl'])
    values.set('x-amz-acl', canned.trim())
  }
  return askOf(values)
}

function askOf(values: ReadonlyMap<string, string>): AclAsk {
  const asks: { by: string; ask: AclAsk }[] = []
  for (const [by, dialect] of Object.entries(CANNED_HEADERS)) {
    const name = values.get(by)
    if (name !== undefined) asks.push({ by, ask: { kind: 'canned', dialect, name } })
  }
  const grants = grantsOf(values)
  if (grants.length > 0) asks.push({ by: 'x-amz-grant-*', ask: { kind: 'grants', dialect: 's3', grants, owner: null } })
  const mode = modeOf(values.get(MODE))
  const own = values.get('x-storage-acl')
  if (own !== undefined) {
    const ask: AclAsk = own.includes('/')
      ? { kind: 'named', name: parseAclName(own), mode }
      : { kind: 'canned', dialect: 'storage', name: own }
    asks.push({ by: 'x-storage-acl', ask })
  }
  const custom = values.get('x-storage-custom-acl')
  if (custom !== undefined)
    asks.push({ by: 'x-storage-custom-acl', ask: { kind: 'named', name: parseAclName(custom), mode } })
  const [first, second] = asks
  if (second !== undefined) throw twice(asks.map(each => each.by))
  const ask = first?.ask ?? { kind: 'none' }
  if (values.has(MODE) && ask.kind !== 'named')
    throw new AccessError('acl-sources', `${MODE} goes with the name of an ACL object, and there is none`)
  return ask
}

function modeOf(text: string | undefined): 'copy' | 'reference' {
  if (text === undefined) return 'copy'
  const mode = text.toLowerCase()
  if (mode === 'copy' || mode === 'reference') return mode
  throw new AccessError('malformed-acl', `${MODE}: want copy or reference, got ${JSON.stringify(text.slice(0, 40))}`)
}

function grantsOf(values: ReadonlyMap<string, string>): Grant[] {
  const grants: Grant[] = []
  for (const [header, rights] of Object.entries(GRANT_HEADERS)) {
    const value = values.get(header)
    if (value === undefined) continue
    for (const item of value.split(',')) grants.push({ grantee: granteeOf(item, header), rights })
  }
  return grants
}

/** `id="..."`, `uri="..."` or `emailAddress="..."`; the quotes may be missing. */
function granteeOf(item: string, header: string): Grant['grantee'] {
  const [, type = '', quoted, bare = ''] =
    /^\s*([A-Za-z]+)\s*=\s*(?:"([^"]{1,1024})"|([^"\s]{1,1024}))\s*$/.exec(item) ?? []
  const value = quoted ?? bare
  if (type.toLowerCase() === 'id') return { by: 'user-id', id: value }
  if (type.toLowerCase() === 'emailaddress') return { by: 'user-email', email: value }
  if (type.toLowerCase() === 'uri') return granteeOfUri(value)
  throw new AccessError(
    'malformed-acl',
    `${header}: want id="...", uri="..." or emailAddress="...", with commas between, got ${JSON.stringify(item.slice(0, 100))}`,
  )
}

function twice(by: string[]): AccessError {
  return new AccessError('acl-sources', `an ACL is asked for in one way at a time: ${by.join(' and ')} came together`)
}
