import { percentDecode, utf8Text } from '../canonical.ts'
import { AccessError } from '../fault.ts'
import type { AclName } from './ask.ts'

const KEY_BYTES_MAX = 1024
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/
const GENERATION = /^[0-9]{1,18}$/

/**
 * The object that an ACL is, as a header names it: `bucket/object`, percent-encoded UTF-8, `#generation` behind it for one that stays
 * (rules 30, 34). A `#` of the name itself is written `%23`.
 *
 * @param wire - header value, a character a byte
 * @throws AccessError "malformed-acl"
 */
export function parseAclName(wire: string): AclName {
  const cut = wire.indexOf('#')
  const path = cut < 0 ? wire : wire.slice(0, cut)
  const generation = cut < 0 ? null : wire.slice(cut + 1)
  if (generation !== null && !GENERATION.test(generation)) throw unreadable(wire, 'after # want a generation, digits')
  const bytes = percentDecode(path.replace(/^\//, ''))
  const name = bytes && utf8Text(bytes)
  if (name === null) throw unreadable(wire, 'want percent-encoded UTF-8')
  const slash = name.indexOf('/')
  const [bucket, key] = [name.slice(0, Math.max(0, slash)), name.slice(slash + 1)]
  if (slash < 0 || !BUCKET.test(bucket) || key === '' || Buffer.byteLength(key) > KEY_BYTES_MAX)
    throw unreadable(wire, 'want bucket/object')
  return { bucket, key, generation }
}

function unreadable(wire: string, wanted: string): AccessError {
  return new AccessError(
    'malformed-acl',
    `the name of an ACL object: ${wanted}, got ${JSON.stringify(wire.slice(0, 120))}`,
  )
}
