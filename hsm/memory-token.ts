/**
 * A token in this process's memory, with every suite. For tests: it keeps no key from anyone, and all of them end with it.
 * Nothing falls back to it; whoever wants it calls it by name.
 */
import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  createSecretKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
  randomBytes,
  sign,
  verify,
} from 'node:crypto'
import { hpkeOpen, p256PublicKey } from '../format/hpke.ts'
import {
  AES_GCM_IN_TOKEN,
  bindSecret,
  contextHash,
  HPKE_P256,
  type OpeningSuite,
  type PublicKey,
  RSA_OAEP_SHA256,
  SECRET_BYTES,
  type SealContext,
  type SealedSecret,
  type SymmetricSuite,
  unbindSecret,
  WRAP_SUITES,
} from '../format/wrap-suite.ts'
import { type SymmetricToken, TokenError, type TokenProfile } from './token.ts'

type Pair = { suite: PublicKey['suite']; privateKey: KeyObject; spki: Buffer }
type Secret = { suite: SymmetricSuite; secretKey: KeyObject }

const KWP_IV = Buffer.from('a65959a6', 'hex') // RFC 5649 §3

export function openMemoryToken({ label }: { label: string }): SymmetricToken {
  return new MemoryToken(label)
}

class MemoryToken implements SymmetricToken {
  readonly profile: TokenProfile
  operations = 0
  readonly #keys = new Map<string, Pair | Secret>()
  #closed = false

  constructor(label: string) {
    const suites = WRAP_SUITES.map(suite => ({
      suite,
      outcome: 'passed' as const,
      mechanism: 0,
      detail: 'in software',
    }))
    const serial = randomBytes(8).toString('hex')
    this.profile = { label, manufacturer: 'Sealift', model: 'memory', serial, moduleDigest: Buffer.alloc(32), suites }
  }

  async makeSigningKey(label: string): Promise<PublicKey> {
    return this.#makePair(label, 'ecdsa-p256')
  }

  async makeOpeningKey(label: string, suite: OpeningSuite): Promise<PublicKey> {
    return this.#makePair(label, suite)
  }

  async makeSymmetricKey(label: string, suite: SymmetricSuite): Promise<void> {
    this.#requireUnused(label)
    this.operations++
    this.#keys.set(label, { suite, secretKey: createSecretKey(randomBytes(32)) })
  }

  async publicKey(label: string): Promise<PublicKey | null> {
    this.#requireOpen()
    const key = this.#keys.get(label)
    return key !== undefined && 'spki' in key ? { suite: key.suite, spki: Buffer.from(key.spki) } : null
  }

  async sign(label: string, message: Uint8Array): Promise<Buffer> {
    const { suite, privateKey } = this.#pair(label)
    if (suite !== 'ecdsa-p256') throw new TokenError('device', `sign: the key labelled "${label}" may not sign`)
    this.operations++
    return sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' })
  }

  async open(label: string, sealed: SealedSecret, context: SealContext): Promise<Buffer> {
    const symmetric = sealed.suite !== HPKE_P256 && sealed.suite !== RSA_OAEP_SHA256
    const key = symmetric ? this.#secret(label) : this.#pair(label)
    this.operations++
    try {
      if (key.suite !== sealed.suite) throw new TypeError('made for another suite')
      const secret = openWith(key, sealed, context)
      if (secret.length !== SECRET_BYTES) throw new TypeError('another length than a secret has')
      return secret
    } catch {
      throw new TokenError('refused', 'the sealed secret does not open with this key and context')
    }
  }

  async seal(label: string, suite: SymmetricSuite, secret: Uint8Array, context: SealContext): Promise<SealedSecret> {
    if (secret.length !== SECRET_BYTES)
      throw new TokenError('configuration', `secret: want ${SECRET_BYTES} bytes, got ${secret.length}`)
    const key = this.#secret(label)
    this.operations++
    if (key.suite !== suite) throw new TokenError('device', `seal: the key labelled "${label}" is of another suite`)
    if (suite === AES_GCM_IN_TOKEN) {
      const encapsulated = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', key.secretKey, encapsulated)
      cipher.setAAD(contextHash(context))
      const ciphertext = Buffer.concat([cipher.update(secret), cipher.final(), cipher.getAuthTag()])
      return { suite, encapsulated, ciphertext }
    }
    const cipher = createCipheriv('id-aes256-wrap-pad', key.secretKey, KWP_IV)
    const ciphertext = Buffer.concat([cipher.update(bindSecret(secret, context)), cipher.final()])
    return { suite, encapsulated: Buffer.alloc(0), ciphertext }
  }

  async destroyKey(label: string): Promise<boolean> {
    this.#requireOpen()
    return this.#keys.delete(label)
  }

  async random(length: number): Promise<Buffer> {
    this.#requireOpen()
    if (!Number.isInteger(length) || length < 1 || length > 1024)
      throw new TokenError('configuration', `random: want 1 to 1024 bytes, got ${length}`)
    this.operations++
    return randomBytes(length)
  }

  async health(): Promise<void> {
    this.#requireOpen()
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const probe = createHash('sha256').update('sealift health probe').digest()
    this.operations++
    if (!verify('sha256', probe, publicKey, sign('sha256', probe, privateKey)))
      throw new TokenError('device', 'a signature made here does not verify')
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#keys.clear()
  }

  #makePair(label: string, suite: PublicKey['suite']): PublicKey {
    this.#requireUnused(label)
    this.operations++
    const { publicKey, privateKey } =
      suite === RSA_OAEP_SHA256
        ? generateKeyPairSync('rsa', { modulusLength: 3072 })
        : generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const spki = publicKey.export({ format: 'der', type: 'spki' })
    this.#keys.set(label, { suite, privateKey, spki })
    return { suite, spki: Buffer.from(spki) }
  }

  #pair(label: string): Pair {
    this.#requireOpen()
    const key = this.#keys.get(label)
    if (key === undefined || 'secretKey' in key)
      throw new TokenError('no-key', `no private key labelled "${label}" in the token`)
    return key
  }

  #secret(label: string): Secret {
    this.#requireOpen()
    const key = this.#keys.get(label)
    if (key === undefined || 'privateKey' in key)
      throw new TokenError('no-key', `no secret key labelled "${label}" in the token`)
    return key
  }

  #requireUnused(label: string): void {
    this.#requireOpen()
    if (label === '' || Buffer.byteLength(label) > 255)
      throw new TokenError('configuration', 'key label: want 1 to 255 bytes')
    if (this.#keys.has(label)) throw new TokenError('exists', `there is a key labelled "${label}" already`)
  }

  #requireOpen(): void {
    if (this.#closed) throw new TokenError('absent', 'the token is closed')
  }
}

function openWith(key: Pair | Secret, sealed: SealedSecret, context: SealContext): Buffer {
  if ('privateKey' in key) {
    const { privateKey } = key
    if (key.suite === HPKE_P256) {
      const agree = (point: Buffer) => diffieHellman({ privateKey, publicKey: p256PublicKey(point) })
      return hpkeOpen(agree, key.spki, sealed, Buffer.from(context.info), context.aad)
    }
    const padding = constants.RSA_PKCS1_OAEP_PADDING
    return unbindSecret(privateDecrypt({ key: privateKey, padding, oaepHash: 'sha256' }, sealed.ciphertext), context)
  }
  if (key.suite === AES_GCM_IN_TOKEN) {
    const decipher = createDecipheriv('aes-256-gcm', key.secretKey, sealed.encapsulated, { authTagLength: 16 })
    decipher.setAAD(contextHash(context))
    decipher.setAuthTag(sealed.ciphertext.subarray(-16))
    return Buffer.concat([decipher.update(sealed.ciphertext.subarray(0, -16)), decipher.final()])
  }
  const decipher = createDecipheriv('id-aes256-wrap-pad', key.secretKey, KWP_IV)
  return unbindSecret(Buffer.concat([decipher.update(sealed.ciphertext), decipher.final()]), context)
}
