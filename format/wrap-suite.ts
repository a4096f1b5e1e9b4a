/**
 * Wrap suites: how a 32-byte secret (epoch key, index key, share) is sealed to a key that only a token holds.
 *
 * Sealing to a public key needs no token and is done here. Every suite binds the secret to a context that both sides
 * build alike: HPKE and GCM carry it as associated data, RSA-OAEP and AES-KWP, which have none, inside the plaintext.
 *
 * @see FORMAT.md §14
 */
import { constants, createHash, createPublicKey, type KeyObject, publicEncrypt, timingSafeEqual } from 'node:crypto'
import { FormatError } from './fault.ts'
import { hpkeSeal } from './hpke.ts'

export const HPKE_P256 = 0x0010
export const RSA_OAEP_SHA256 = 0x0020
export const AES_GCM_IN_TOKEN = 0x0030
export const AES_KWP_IN_TOKEN = 0x0031
/** MLKEM768-P256: the number is taken, this version neither seals nor opens it. */
export const MLKEM768_P256_RESERVED = 0x0040

export const WRAP_SUITES = [HPKE_P256, RSA_OAEP_SHA256, AES_GCM_IN_TOKEN, AES_KWP_IN_TOKEN] as const
export type OpeningSuite = typeof HPKE_P256 | typeof RSA_OAEP_SHA256
export type SymmetricSuite = typeof AES_GCM_IN_TOKEN | typeof AES_KWP_IN_TOKEN
export type WrapSuite = OpeningSuite | SymmetricSuite

/** SubjectPublicKeyInfo, DER. */
export type PublicKey = { suite: 'ecdsa-p256' | OpeningSuite; spki: Buffer }

/** `encapsulated` is the HPKE `enc`, the GCM nonce, or empty. */
export type SealedSecret = { suite: WrapSuite; encapsulated: Buffer; ciphertext: Buffer }

/** What the secret is bound to. Both sides build it alike, it is never transported with the secret. */
export type SealContext = { info: string; aad: Uint8Array }

export const SECRET_BYTES = 32
export const BOUND_SECRET_BYTES = SECRET_BYTES + 32
export const CONTEXT_BYTES_MAX = 65_536
const RSA_BITS_MIN = 3072
const RSA_BITS_MAX = 8192

/** Reads a suite id off the wire. @throws FormatError "unsupported" - reserved or unknown */
export function wrapSuite(id: number): WrapSuite {
  const suite = WRAP_SUITES.find(each => each === id)
  if (suite !== undefined) return suite
  const reserved = id === MLKEM768_P256_RESERVED ? ' (MLKEM768-P256, reserved)' : ''
  throw new FormatError('unsupported', `wrap suite 0x${id.toString(16).padStart(4, '0')}${reserved} is not supported`)
}

/** Names a public key on the wire: first 16 bytes of SHA-256 over its SPKI. */
export function keyId(spki: Uint8Array): Buffer {
  return createHash('sha256').update(spki).digest().subarray(0, 16)
}

/**
 * Seals a secret to a public key, in software.
 *
 * @param secret - 32 bytes
 * @throws FormatError "malformed" - the key or the secret has not the shape that the suite asks for
 * @throws FormatError "unsupported" - RSA below 3072 bits, or a key that can only sign
 */
export function sealTo(publicKey: PublicKey, secret: Uint8Array, context: SealContext): SealedSecret {
  requireSecret(secret)
  requireContext(context)
  if (publicKey.suite === HPKE_P256)
    return { suite: HPKE_P256, ...hpkeSeal(publicKey.spki, Buffer.from(context.info), context.aad, secret) }
  if (publicKey.suite !== RSA_OAEP_SHA256)
    throw new FormatError('unsupported', `sealing to a key of suite ${String(publicKey.suite)}: it can not open`)
  const key = rsaPublicKey(publicKey.spki)
  const bound = bindSecret(secret, context)
  const padding = constants.RSA_PKCS1_OAEP_PADDING
  const ciphertext = publicEncrypt({ key, padding, oaepHash: 'sha256' }, bound) // MGF1 hash is the OAEP hash
  bound.fill(0)
  return { suite: RSA_OAEP_SHA256, encapsulated: Buffer.alloc(0), ciphertext }
}

/** Secret ‖ SHA-256 of the context: what RSA-OAEP and AES-KWP wrap. */
export function bindSecret(secret: Uint8Array, context: SealContext): Buffer {
  requireSecret(secret)
  return Buffer.concat([secret, contextHash(context)])
}

/** Takes the secret out again. @throws FormatError "tampered" - another length, or bound to another context */
export function unbindSecret(bound: Buffer, context: SealContext): Buffer {
  const fits = bound.length === BOUND_SECRET_BYTES
  if (!fits || !timingSafeEqual(bound.subarray(SECRET_BYTES), contextHash(context)))
    throw new FormatError('tampered', 'sealed secret: bound to another context')
  return Buffer.from(bound.subarray(0, SECRET_BYTES))
}

/** SHA-256(LP(info) ‖ LP(aad)), LP(x) = 32-bit big-endian length ‖ x. */
export function contextHash(context: SealContext): Buffer {
  requireContext(context)
  const hash = createHash('sha256')
  for (const part of [Buffer.from(context.info), context.aad]) {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(part.length)
    hash.update(length).update(part)
  }
  return hash.digest()
}

function rsaPublicKey(spki: Buffer): KeyObject {
  let key: KeyObject
  try {
    key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  } catch (cause) {
    throw new FormatError('malformed', 'RSA key: want SubjectPublicKeyInfo in DER', { cause })
  }
  if (key.asymmetricKeyType !== 'rsa')
    throw new FormatError('malformed', `RSA key: want rsaEncryption, got ${key.asymmetricKeyType}`)
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
  if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
    throw new FormatError('unsupported', `RSA key: want ${RSA_BITS_MIN} to ${RSA_BITS_MAX} bits, got ${bits}`)
  return key
}

function requireSecret(secret: Uint8Array): void {
  if (secret.length !== SECRET_BYTES)
    throw new FormatError('malformed', `secret: want ${SECRET_BYTES} bytes, got ${secret.length}`)
}

function requireContext(context: SealContext): void {
  if (Buffer.byteLength(context.info) > CONTEXT_BYTES_MAX || context.aad.length > CONTEXT_BYTES_MAX)
    throw new FormatError('limit', `seal context: info and aad may have ${CONTEXT_BYTES_MAX} bytes each`)
}
