/** What a key in a token does: sign, open, seal; and the proof that it still can. */
import { createHash, createPublicKey, randomBytes, verify } from 'node:crypto'
import pkcs11 from 'pkcs11js'
import { FormatError } from '../../format/fault.ts'
import { hpkeOpen, p256PublicKey } from '../../format/hpke.ts'
import {
  AES_GCM_IN_TOKEN,
  BOUND_SECRET_BYTES,
  bindSecret,
  contextHash,
  HPKE_P256,
  RSA_OAEP_SHA256,
  SECRET_BYTES,
  type SealContext,
  type SealedSecret,
  type SymmetricSuite,
  unbindSecret,
} from '../../format/wrap-suite.ts'
import { TokenError } from '../token.ts'
import { tokenError } from './faults.ts'
import { anySigningKey, destroyKey, makePair, publicKey, requireKey } from './keys.ts'
import type { Session } from './session.ts'

const OUTPUT_BYTES_MAX = 1024 // RSA-8192
const GCM_NONCE_BYTES = 12
const GCM_TAG_BITS = 128
const CKZ_DATA_SPECIFIED = 1 // pkcs11js has no constant for it
const PROBE_LABEL = 'sealift health probe'

export function sign(session: Session, label: string, digest: Buffer): Buffer {
  const key = requireKey(session, label, 'private')
  session.used++
  session.module.C_SignInit(session.handle, { mechanism: pkcs11.CKM_ECDSA }, key)
  return session.module.C_Sign(session.handle, digest, Buffer.alloc(OUTPUT_BYTES_MAX))
}

/**
 * Every failure past the key lookup is one fault, "refused", whatever the module calls it: modules differ in the code for
 * a bad tag (CKR_GENERAL_ERROR, CKR_ENCRYPTED_DATA_INVALID), and for RSA the difference would be a padding oracle.
 */
export function open(
  session: Session,
  label: string,
  sealed: SealedSecret,
  context: SealContext,
  mechanism: number,
): Buffer {
  const symmetric = sealed.suite !== HPKE_P256 && sealed.suite !== RSA_OAEP_SHA256
  const key = requireKey(session, label, symmetric ? 'secret' : 'private')
  try {
    const secret = openWith(session, label, key, sealed, context, mechanism)
    if (secret.length !== SECRET_BYTES) throw new FormatError('malformed', 'another length than a secret has')
    return secret
  } catch (error) {
    const known = error instanceof pkcs11.Pkcs11Error ? tokenError(error, 'open') : null
    if (known?.fault === 'absent') throw known
    throw new TokenError('refused', 'the sealed secret does not open with this key and context')
  }
}

export function seal(
  session: Session,
  label: string,
  suite: SymmetricSuite,
  mechanism: number,
  secret: Buffer,
  context: SealContext,
): SealedSecret {
  const key = requireKey(session, label, 'secret')
  session.used++
  const output = Buffer.alloc(OUTPUT_BYTES_MAX)
  if (suite === AES_GCM_IN_TOKEN) {
    // Passed by pointer: a module that makes its own nonce writes it here, so it is read after the call.
    const nonce = randomBytes(GCM_NONCE_BYTES)
    session.module.C_EncryptInit(session.handle, gcm(nonce, context, mechanism), key)
    const ciphertext = Buffer.from(session.module.C_Encrypt(session.handle, secret, output))
    return { suite, encapsulated: nonce, ciphertext }
  }
  const bound = bindSecret(secret, context)
  const wrapped = withObject(session, secretTemplate({ value: bound }), object =>
    Buffer.from(session.module.C_WrapKey(session.handle, { mechanism }, key, object, output)),
  )
  bound.fill(0)
  return { suite, encapsulated: Buffer.alloc(0), ciphertext: wrapped }
}

export function random(session: Session, length: number): Buffer {
  session.used++
  return session.module.C_GenerateRandom(session.handle, Buffer.alloc(length))
}

/** Signs in the token, verifies outside, with a key that is there or one made for it. */
export function health(session: Session): void {
  const existing = anySigningKey(session)
  const label = existing ?? PROBE_LABEL
  if (existing === null) makePair(session, label, 'ecdsa-p256', false)
  try {
    const found = publicKey(session, label)
    if (found === null) throw new TokenError('device', `the public half of "${label}" is missing`)
    // Never a message that anything else of ours signs.
    const probe = Buffer.concat([Buffer.from('sealift health probe\0'), randomBytes(32)])
    const signature = sign(session, label, createHash('sha256').update(probe).digest())
    const key = createPublicKey({ key: found.spki, format: 'der', type: 'spki' })
    if (!verify('sha256', probe, { key, dsaEncoding: 'ieee-p1363' }, signature))
      throw new TokenError('device', `a signature made with "${label}" does not verify`)
  } finally {
    if (existing === null) destroyKey(session, label)
  }
}

function openWith(
  session: Session,
  label: string,
  key: pkcs11.Handle,
  sealed: SealedSecret,
  context: SealContext,
  mechanism: number,
): Buffer {
  const { module, handle } = session
  const output = Buffer.alloc(OUTPUT_BYTES_MAX)
  session.used++
  switch (sealed.suite) {
    case HPKE_P256: {
      const own = publicKey(session, label)
      if (own === null) throw new TokenError('no-key', `no pair labelled "${label}"`)
      const agree = (point: Buffer) => sharedSecret(session, key, point)
      return hpkeOpen(agree, own.spki, sealed, Buffer.from(context.info), context.aad)
    }
    case RSA_OAEP_SHA256: {
      const parameter = {
        type: pkcs11.CK_PARAMS_RSA_OAEP,
        hashAlg: pkcs11.CKM_SHA256,
        mgf: pkcs11.CKG_MGF1_SHA256,
        source: CKZ_DATA_SPECIFIED,
      }
      module.C_DecryptInit(handle, { mechanism: pkcs11.CKM_RSA_PKCS_OAEP, parameter }, key)
      const bound = Buffer.from(module.C_Decrypt(handle, sealed.ciphertext, output))
      output.fill(0)
      return unbindSecret(bound, context)
    }
    case AES_GCM_IN_TOKEN: {
      if (sealed.encapsulated.length !== GCM_NONCE_BYTES) throw new FormatError('malformed', 'nonce: want 12 bytes')
      module.C_DecryptInit(handle, gcm(sealed.encapsulated, context, mechanism), key)
      const secret = Buffer.from(module.C_Decrypt(handle, sealed.ciphertext, output))
      output.fill(0)
      return secret
    }
    default: {
      const unwrapped = module.C_UnwrapKey(handle, { mechanism }, key, sealed.ciphertext, secretTemplate({}))
      return unbindSecret(readAndDestroy(session, unwrapped, BOUND_SECRET_BYTES), context)
    }
  }
}

function sharedSecret(session: Session, key: pkcs11.Handle, point: Buffer): Buffer {
  p256PublicKey(point)
  const parameter = { type: pkcs11.CK_PARAMS_EC_DH, kdf: pkcs11.CKD_NULL, publicData: point }
  const mechanism = { mechanism: pkcs11.CKM_ECDH1_DERIVE, parameter }
  const template = secretTemplate({ length: 32 })
  const derived = session.module.C_DeriveKey(session.handle, mechanism, key, template)
  return readAndDestroy(session, derived, 32)
}

function gcm(iv: Buffer, context: SealContext, mechanism: number): pkcs11.Mechanism {
  const parameter = {
    type: pkcs11.CK_PARAMS_AES_GCM_v240, // of three layouts the one with the number of IV bits
    iv,
    ivBits: GCM_NONCE_BYTES * 8,
    aad: contextHash(context),
    tagBits: GCM_TAG_BITS,
  }
  return { mechanism, parameter }
}

/** A session object that may be read: the secret is on its way out of, or into, the token. */
function secretTemplate({ value, length }: { value?: Buffer; length?: number }): pkcs11.Template {
  return [
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_SECRET_KEY },
    { type: pkcs11.CKA_KEY_TYPE, value: pkcs11.CKK_GENERIC_SECRET },
    { type: pkcs11.CKA_TOKEN, value: false },
    { type: pkcs11.CKA_SENSITIVE, value: false },
    { type: pkcs11.CKA_EXTRACTABLE, value: true },
    ...(value === undefined ? [] : [{ type: pkcs11.CKA_VALUE, value }]),
    ...(length === undefined ? [] : [{ type: pkcs11.CKA_VALUE_LEN, value: length }]),
  ]
}

function withObject<Result>(
  session: Session,
  template: pkcs11.Template,
  use: (object: pkcs11.Handle) => Result,
): Result {
  const object = session.module.C_CreateObject(session.handle, template)
  try {
    return use(object)
  } finally {
    session.module.C_DestroyObject(session.handle, object)
  }
}

function readAndDestroy(session: Session, object: pkcs11.Handle, length: number): Buffer {
  try {
    const [found] = session.module.C_GetAttributeValue(session.handle, object, [{ type: pkcs11.CKA_VALUE }])
    if (found === undefined || found.value.length !== length)
      throw new FormatError('malformed', `secret from the token: want ${length} bytes`)
    return found.value
  } finally {
    session.module.C_DestroyObject(session.handle, object)
  }
}
