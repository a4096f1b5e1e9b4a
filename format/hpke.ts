/**
 * HPKE, base mode, DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, one message per ephemeral key.
 *
 * The recipient's half of the key agreement is a function, because in Sealift a token performs it.
 *
 * @see RFC 9180 §4.1 (DHKEM), §5.1 (key schedule), §5.2 (seal and open at sequence number 0)
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto'
import { FormatError } from './fault.ts'

/** Uncompressed point: 0x04 ‖ X ‖ Y. */
export const POINT_BYTES = 65
const SHARED_BYTES = 32
const TAG_BYTES = 16

/** Of RFC 9180 table 5. Sealift seals with AES-256-GCM only; AES-128-GCM is here because appendix A.3 publishes vectors for it. */
export const HPKE_AES_128_GCM = 0x0001
export const HPKE_AES_256_GCM = 0x0002
export type HpkeAead = typeof HPKE_AES_128_GCM | typeof HPKE_AES_256_GCM

const AEADS = {
  [HPKE_AES_128_GCM]: { cipher: 'aes-128-gcm', keyBytes: 16 },
  [HPKE_AES_256_GCM]: { cipher: 'aes-256-gcm', keyBytes: 32 },
} as const

/** SubjectPublicKeyInfo of P-256 up to the point (RFC 5480 §2.1.1, named curve, uncompressed). */
const SPKI_PREFIX = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex')

const VERSION = Buffer.from('HPKE-v1')
const KEM_SUITE = Buffer.from('4b454d0010', 'hex') // "KEM" ‖ I2OSP(0x0010, 2)
const BASE_MODE = Buffer.of(0)
const EMPTY = Buffer.alloc(0)

export type HpkeMessage = { encapsulated: Buffer; ciphertext: Buffer }
export type EphemeralPair = { publicKey: KeyObject; privateKey: KeyObject }

/** Recipient's share of the key agreement: X coordinate, 32 bytes, of own private key times `point`. */
export type KeyAgreement = (point: Buffer) => Buffer

/**
 * Reads a P-256 public key.
 *
 * @param key - SPKI (DER, 91 bytes) or the uncompressed point (65 bytes)
 * @throws FormatError "malformed" - another length, another curve or encoding, a point that is not on the curve
 */
export function p256PublicKey(key: Uint8Array): KeyObject {
  const spki = key.length === POINT_BYTES ? Buffer.concat([SPKI_PREFIX, key]) : Buffer.from(key)
  const framed = spki.length === SPKI_PREFIX.length + POINT_BYTES && spki.subarray(0, 26).equals(SPKI_PREFIX)
  if (!framed || spki[SPKI_PREFIX.length] !== 0x04)
    throw new FormatError(
      'malformed',
      `P-256 key: want SPKI of 91 or uncompressed point of 65 bytes, got ${key.length} bytes`,
    )
  try {
    return createPublicKey({ key: spki, format: 'der', type: 'spki' }) // OpenSSL checks the curve equation here
  } catch (cause) {
    throw new FormatError('malformed', 'P-256 key: the point is not on the curve', { cause })
  }
}

/** Uncompressed point of a P-256 key, 65 bytes. @throws FormatError "malformed" - not a P-256 key */
export function p256Point(key: KeyObject): Buffer {
  const spki = key.export({ format: 'der', type: 'spki' })
  p256PublicKey(spki)
  return spki.subarray(SPKI_PREFIX.length)
}

/** Seals one message to `recipient` with a fresh ephemeral key. @throws FormatError "malformed" - recipient is no P-256 key */
export function hpkeSeal(
  recipient: Uint8Array,
  info: Uint8Array,
  aad: Uint8Array,
  plaintext: Uint8Array,
  aead: HpkeAead = HPKE_AES_256_GCM,
): HpkeMessage {
  return hpkeSealWith(generateKeyPairSync('ec', { namedCurve: 'P-256' }), recipient, info, aad, plaintext, aead)
}

/** As `hpkeSeal` with a given ephemeral pair: for known-answer tests. A pair that is used twice gives the same key and nonce twice. */
export function hpkeSealWith(
  ephemeral: EphemeralPair,
  recipient: Uint8Array,
  info: Uint8Array,
  aad: Uint8Array,
  plaintext: Uint8Array,
  aead: HpkeAead,
): HpkeMessage {
  const publicKey = p256PublicKey(recipient)
  const encapsulated = p256Point(ephemeral.publicKey)
  const shared = diffieHellman({ privateKey: ephemeral.privateKey, publicKey })
  const { key, nonce } = keySchedule(shared, encapsulated, p256Point(publicKey), info, aead)
  const cipher = createCipheriv(AEADS[aead].cipher, key, nonce)
  cipher.setAAD(aad)
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
  return { encapsulated, ciphertext }
}

/**
 * Opens one message.
 *
 * @param recipient - the recipient's own public key, SPKI or point
 * @throws FormatError "malformed" - `encapsulated` is no point, the agreement gave no usable secret
 * @throws FormatError "tampered" - not sealed to this key with this info and aad
 */
export function hpkeOpen(
  agree: KeyAgreement,
  recipient: Uint8Array,
  message: HpkeMessage,
  info: Uint8Array,
  aad: Uint8Array,
  aead: HpkeAead = HPKE_AES_256_GCM,
): Buffer {
  if (message.encapsulated.length !== POINT_BYTES)
    throw new FormatError(
      'malformed',
      `encapsulated key: want ${POINT_BYTES} bytes, got ${message.encapsulated.length}`,
    )
  if (message.ciphertext.length < TAG_BYTES)
    throw new FormatError('truncated', `ciphertext: want at least ${TAG_BYTES} bytes, got ${message.ciphertext.length}`)
  // Checked here and not left to the token: a point off the curve sent to a careless token reveals its key bit by bit.
  p256PublicKey(message.encapsulated)
  const shared = agree(message.encapsulated)
  const point = p256Point(p256PublicKey(recipient))
  const { key, nonce } = keySchedule(shared, message.encapsulated, point, info, aead)
  const decipher = createDecipheriv(AEADS[aead].cipher, key, nonce, { authTagLength: TAG_BYTES })
  decipher.setAAD(aad)
  decipher.setAuthTag(message.ciphertext.subarray(-TAG_BYTES))
  try {
    return Buffer.concat([decipher.update(message.ciphertext.subarray(0, -TAG_BYTES)), decipher.final()])
  } catch (cause) {
    throw new FormatError('tampered', 'HPKE: not sealed to this key with this context', { cause })
  }
}

/** RFC 9180 §4.1 ExtractAndExpand, then §5.1 KeySchedule for mode_base. Wipes `shared`. */
export function keySchedule(
  shared: Buffer,
  encapsulated: Buffer,
  recipient: Buffer,
  info: Uint8Array,
  aead: HpkeAead,
): { key: KeyObject; nonce: Buffer } {
  // RFC 9180 §7.1.4 asks for it on the X curves; on P-256 zeros mean a token that failed without saying so.
  if (shared.length !== SHARED_BYTES || shared.every(byte => byte === 0))
    throw new FormatError('malformed', 'key agreement: want 32 bytes that are not all zero')
  const prk = labeledExtract(KEM_SUITE, EMPTY, 'eae_prk', shared)
  shared.fill(0)
  const kemContext = Buffer.concat([encapsulated, recipient])
  const sharedSecret = labeledExpand(KEM_SUITE, prk, 'shared_secret', kemContext, 32)

  const suite = Buffer.from([0x48, 0x50, 0x4b, 0x45, 0x00, 0x10, 0x00, 0x01, 0x00, aead]) // "HPKE" ‖ kem ‖ kdf ‖ aead
  const context = Buffer.concat([
    BASE_MODE,
    labeledExtract(suite, EMPTY, 'psk_id_hash', EMPTY).export(),
    labeledExtract(suite, EMPTY, 'info_hash', info).export(),
  ])
  const secret = labeledExtract(suite, sharedSecret, 'secret', EMPTY)
  sharedSecret.fill(0)
  const key = labeledExpand(suite, secret, 'key', context, AEADS[aead].keyBytes)
  const nonce = labeledExpand(suite, secret, 'base_nonce', context, 12)
  const keyObject = createSecretKey(key)
  key.fill(0)
  return { key: keyObject, nonce }
}

function labeledExtract(suite: Buffer, salt: Uint8Array, label: string, ikm: Uint8Array): KeyObject {
  const mac = createHmac('sha256', createSecretKey(salt))
  const prk = mac.update(VERSION).update(suite).update(label).update(ikm).digest()
  const key = createSecretKey(prk)
  prk.fill(0)
  return key
}

/** At most 32 bytes, hence one block of HKDF-Expand. */
function labeledExpand(suite: Buffer, prk: KeyObject, label: string, info: Uint8Array, length: number): Buffer {
  const block = createHmac('sha256', prk).update(Buffer.of(0, length)).update(VERSION).update(suite).update(label)
  return block.update(info).update(Buffer.of(1)).digest().subarray(0, length)
}
