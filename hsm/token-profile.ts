/**
 * A token's profile as bytes: what it is and what it proved, signed with its own identity key.
 *
 * Deterministic CBOR (RFC 8949 §4.2.1), and only that: what does not encode back to the same bytes is refused.
 */
import { createPublicKey, verify } from 'node:crypto'
import { decode, encode, rfc8949EncodeOptions } from 'cborg'
import { FormatError } from '../format/fault.ts'
import { p256PublicKey } from '../format/hpke.ts'
import { wrapSuite } from '../format/wrap-suite.ts'
import type { SuiteOutcome, Token, TokenProfile } from './token.ts'

const VERSION = 1
const PROFILE_BYTES_MAX = 65_536
const SIGNATURE_BYTES = 64
const SUITES_MAX = 64
const TEXT_BYTES_MAX = 4096
/** In front of what is signed, so that this signature is good for nothing else. */
const DOMAIN = Buffer.from('sealift token profile v1\0')
const OUTCOMES = ['passed', 'absent', 'failed'] as const

/** A profile and the identity key that vouches for it. */
export type SignedTokenProfile = { profile: TokenProfile; identity: Buffer }

export function encodeTokenProfile({ profile, identity }: SignedTokenProfile): Buffer {
  const { label, manufacturer, model, serial, moduleDigest } = profile
  const suites = profile.suites.map(each => [each.suite, each.outcome, each.mechanism, each.detail])
  const value = { version: VERSION, label, manufacturer, model, serial, moduleDigest, suites, identity }
  return Buffer.from(encode(value, rfc8949EncodeOptions))
}

/**
 * @throws FormatError "malformed" - not the deterministic encoding of a profile
 * @throws FormatError "unsupported" - another version, or a suite that this reader does not know
 */
export function decodeTokenProfile(bytes: Uint8Array): SignedTokenProfile {
  if (bytes.length > PROFILE_BYTES_MAX)
    throw new FormatError('limit', `token profile: at most ${PROFILE_BYTES_MAX} bytes, got ${bytes.length}`)
  const map = decodedMap(bytes)
  if (map.get('version') !== VERSION) throw new FormatError('unsupported', `token profile: want version ${VERSION}`)
  const suites = map.get('suites')
  if (!Array.isArray(suites) || suites.length > SUITES_MAX) throw malformed('suites')
  const moduleDigest = bytesOf(map, 'moduleDigest')
  if (moduleDigest.length !== 32) throw malformed('moduleDigest')
  const profile: TokenProfile = {
    label: textOf(map, 'label'),
    manufacturer: textOf(map, 'manufacturer'),
    model: textOf(map, 'model'),
    serial: textOf(map, 'serial'),
    moduleDigest,
    suites: suites.map(suiteOutcome),
  }
  const signed = { profile, identity: bytesOf(map, 'identity') }
  if (!encodeTokenProfile(signed).equals(bytes)) throw malformed('encoding: not deterministic, or a field too many')
  return signed
}

/**
 * Signs the token's profile in the token: CBOR array [profile bytes, 64-byte signature].
 *
 * @param identityLabel - a signing key of this token
 * @throws TokenError "no-key"
 */
export async function signTokenProfile(token: Token, identityLabel: string): Promise<Buffer> {
  const identity = await token.publicKey(identityLabel)
  const body = encodeTokenProfile({ profile: token.profile, identity: identity?.spki ?? Buffer.alloc(0) })
  // Without the key this throws "no-key", so that an empty identity is never written.
  const signature = await token.sign(identityLabel, Buffer.concat([DOMAIN, body]))
  return Buffer.from(encode([body, signature], rfc8949EncodeOptions))
}

/**
 * Reads a signed profile. That the identity key is the one that was expected is for the caller to compare.
 *
 * @throws FormatError "tampered" - the signature is not of the identity key that the profile names
 */
export function verifyTokenProfile(bytes: Uint8Array): SignedTokenProfile {
  if (bytes.length > PROFILE_BYTES_MAX + 128)
    throw new FormatError('limit', `signed token profile: at most ${PROFILE_BYTES_MAX + 128} bytes`)
  const pair = decoded(bytes)
  const [body, signature] = Array.isArray(pair) ? pair : []
  const framed =
    Array.isArray(pair) && pair.length === 2 && body instanceof Uint8Array && signature instanceof Uint8Array
  if (!framed || signature.length !== SIGNATURE_BYTES) throw malformed('want [profile, signature]')
  if (!Buffer.from(encode([body, signature], rfc8949EncodeOptions)).equals(bytes)) throw malformed('encoding')
  const signed = decodeTokenProfile(body)
  p256PublicKey(signed.identity)
  const key = createPublicKey({ key: signed.identity, format: 'der', type: 'spki' })
  if (!verify('sha256', Buffer.concat([DOMAIN, body]), { key, dsaEncoding: 'ieee-p1363' }, signature))
    throw new FormatError('tampered', 'token profile: the signature is not of its identity key')
  return signed
}

function suiteOutcome(value: unknown): SuiteOutcome {
  if (!Array.isArray(value) || value.length !== 4) throw malformed('suite')
  const [id, found, mechanism, detail]: unknown[] = value
  const outcome = OUTCOMES.find(each => each === found)
  if (typeof id !== 'number' || outcome === undefined) throw malformed('suite')
  if (typeof mechanism !== 'number' || !Number.isSafeInteger(mechanism) || mechanism < 0) throw malformed('mechanism')
  if (typeof detail !== 'string' || Buffer.byteLength(detail) > TEXT_BYTES_MAX) throw malformed('detail')
  return { suite: wrapSuite(id), outcome, mechanism, detail }
}

function decodedMap(bytes: Uint8Array): Map<unknown, unknown> {
  const value = decoded(bytes)
  if (!(value instanceof Map)) throw malformed('want a map')
  return value
}

function decoded(bytes: Uint8Array): unknown {
  try {
    return decode(bytes, {
      strict: true,
      useMaps: true,
      rejectDuplicateMapKeys: true,
      allowIndefinite: false,
      allowUndefined: false,
      allowNaN: false,
      allowInfinity: false,
    })
  } catch (cause) {
    throw new FormatError('malformed', 'token profile: not strict CBOR', { cause })
  }
}

function textOf(map: Map<unknown, unknown>, name: string): string {
  const value = map.get(name)
  if (typeof value !== 'string' || Buffer.byteLength(value) > TEXT_BYTES_MAX) throw malformed(name)
  return value
}

function bytesOf(map: Map<unknown, unknown>, name: string): Buffer {
  const value = map.get(name)
  if (!(value instanceof Uint8Array) || value.length > TEXT_BYTES_MAX) throw malformed(name)
  return Buffer.from(value)
}

function malformed(what: string): FormatError {
  return new FormatError('malformed', `token profile: ${what}`)
}
