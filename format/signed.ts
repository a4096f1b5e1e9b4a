import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { asBuffer } from './bytes.ts'
import { type CborValue, decodeCbor, encodeCbor, Fields } from './cbor.ts'
import { FormatError } from './fault.ts'

/** Every signed message names its kind inside what is signed, so that none passes for another. FORMAT.md §2.4 */
export type MessageKind =
  | 'grant'
  | 'key-record'
  | 'checkpoint'
  | 'custody-event'
  | 'receipt'
  | 'device-request'
  | 'job-order'
  | 'export-job'
  | 'freshness'
  | 'erase-certificate'
  | 'destruction'

/** ECDSA P-256 over SHA-256 of `message`, 64 bytes r ‖ s: a token's `sign` bound to one key. */
export type Sign = (message: Uint8Array) => Promise<Buffer>

export const SIGNATURE_BYTES = 64
export const MESSAGE_LIMIT = 4 << 20

function signedBytes(kind: MessageKind, payload: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`sealift/v1 ${kind}\0`, 'ascii'), payload])
}

/** @returns CBOR [kind, payload, signature]. @throws FormatError "limit" - longer than any reader takes */
export async function signMessage(kind: MessageKind, payload: CborValue, sign: Sign): Promise<Buffer> {
  const body = encodeCbor(payload)
  const signature = await sign(signedBytes(kind, body))
  if (signature.length !== SIGNATURE_BYTES)
    throw new FormatError('malformed', `signature: wanted ${SIGNATURE_BYTES} bytes, found ${signature.length}`)
  const message = encodeCbor([kind, body, signature])
  if (message.length > MESSAGE_LIMIT)
    throw new FormatError('limit', `${kind}: ${message.length} bytes; no reader takes more than ${MESSAGE_LIMIT}`)
  return message
}

/** A signed message taken apart, its signature not yet judged. */
export type Unverified = { kind: MessageKind; payload: Buffer; signature: Buffer }

export function parseSigned(bytes: Uint8Array, kind: MessageKind, limit = MESSAGE_LIMIT): Unverified {
  const value = decodeCbor(bytes, limit, kind)
  if (!Array.isArray(value) || value.length !== 3)
    throw new FormatError('malformed', `${kind}: wanted [kind, payload, signature]`)
  const [found, payload, signature] = value
  if (found !== kind) throw new FormatError('mismatch', `wanted a ${kind}, found ${JSON.stringify(found).slice(0, 40)}`)
  if (!(payload instanceof Uint8Array) || !(signature instanceof Uint8Array) || signature.length !== SIGNATURE_BYTES)
    throw new FormatError('malformed', `${kind}: payload or signature has the wrong shape`)
  return { kind, payload: asBuffer(payload), signature: asBuffer(signature) }
}

/**
 * @param publicKey - P-256 SubjectPublicKeyInfo (DER) or a KeyObject
 * @returns the payload's fields; the caller takes them all and calls `end()`
 * @throws FormatError "tampered" - signature does not fit
 */
export function verifySigned(message: Unverified, publicKey: Uint8Array | KeyObject): Fields {
  const key = publicKey instanceof Uint8Array ? signingKey(publicKey) : publicKey
  if (!fitsSignature(signedBytes(message.kind, message.payload), message.signature, key))
    throw new FormatError('tampered', `${message.kind}: its signature does not fit the key that should have signed it`)
  return unverifiedFields(message)
}

/** ECDSA P-256 over SHA-256 of `bytes`, signature 64 bytes r ‖ s. */
export function fitsSignature(bytes: Uint8Array, signature: Uint8Array, key: KeyObject): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false
  return verify('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }, signature)
}

/** The fields before any judgement: only to learn which key ought to have signed. */
export function unverifiedFields(message: Unverified): Fields {
  return new Fields(decodeCbor(message.payload, MESSAGE_LIMIT, message.kind), message.kind)
}

/** @throws FormatError "malformed" | "unsupported" - not a P-256 SubjectPublicKeyInfo */
export function signingKey(spki: Uint8Array): KeyObject {
  let key: KeyObject
  try {
    key = createPublicKey({ key: asBuffer(spki), format: 'der', type: 'spki' })
  } catch (cause) {
    throw new FormatError('malformed', 'public key: not a SubjectPublicKeyInfo', { cause })
  }
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw new FormatError('unsupported', 'public key: wanted P-256')
  return key
}

/** SHA-256 of the whole signed message: how others name it. */
export function messageHash(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}
