/** Keys in a token: made for one purpose, found by label, destroyed whole. */
import { createPublicKey, randomBytes } from 'node:crypto'
import pkcs11 from 'pkcs11js'
import { POINT_BYTES, p256PublicKey } from '../../format/hpke.ts'
import {
  AES_GCM_IN_TOKEN,
  HPKE_P256,
  type PublicKey,
  RSA_OAEP_SHA256,
  type SymmetricSuite,
} from '../../format/wrap-suite.ts'
import { TokenError } from '../token.ts'
import type { KeyHandles, Session } from './session.ts'

const P256_PARAMS = Buffer.from('06082a8648ce3d030107', 'hex') // OID 1.2.840.10045.3.1.7
const RSA_BITS = 3072
const AES_BYTES = 32
const CK_ULONG_BYTES = 8
const USAGES = ['CKA_SIGN', 'CKA_DERIVE', 'CKA_DECRYPT', 'CKA_UNWRAP'] as const
type Usage = (typeof USAGES)[number]

const PURPOSES = {
  'ecdsa-p256': { usage: 'CKA_SIGN', publicUsage: 'CKA_VERIFY', mechanism: 'CKM_ECDSA', rsa: false },
  [HPKE_P256]: { usage: 'CKA_DERIVE', publicUsage: 'CKA_DERIVE', mechanism: 'CKM_ECDH1_DERIVE', rsa: false },
  [RSA_OAEP_SHA256]: { usage: 'CKA_DECRYPT', publicUsage: 'CKA_ENCRYPT', mechanism: 'CKM_RSA_PKCS_OAEP', rsa: true },
} as const

/** Handles of all objects with that label; empty when there are none. */
export function findKey(session: Session, label: string): KeyHandles {
  const cached = session.keys.get(label)
  if (cached !== undefined) return cached
  const found: KeyHandles = {}
  for (const [kind, keyClass] of [
    ['private', pkcs11.CKO_PRIVATE_KEY],
    ['public', pkcs11.CKO_PUBLIC_KEY],
    ['secret', pkcs11.CKO_SECRET_KEY],
  ] as const) {
    const handle = findObjects(session, [
      { type: pkcs11.CKA_CLASS, value: keyClass },
      { type: pkcs11.CKA_LABEL, value: label },
    ])[0]
    if (handle !== undefined) found[kind] = handle
  }
  if (Object.keys(found).length > 0) session.keys.set(label, found)
  return found
}

/** @throws TokenError "no-key" */
export function requireKey(session: Session, label: string, kind: keyof KeyHandles): pkcs11.Handle {
  const handle = findKey(session, label)[kind]
  if (handle === undefined) throw new TokenError('no-key', `no ${kind} key labelled "${label}" in the token`)
  return handle
}

/** Label of the first private key that may sign; null when there is none. */
export function anySigningKey(session: Session): string | null {
  const [handle] = findObjects(session, [
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_PRIVATE_KEY },
    { type: pkcs11.CKA_KEY_TYPE, value: pkcs11.CKK_EC },
    { type: pkcs11.CKA_SIGN, value: true },
  ])
  return handle === undefined ? null : attribute(session, handle, pkcs11.CKA_LABEL).toString()
}

export function destroyKey(session: Session, label: string): boolean {
  const found = findKey(session, label)
  session.keys.delete(label)
  const handles = [found.private, found.public, found.secret].filter(handle => handle !== undefined)
  for (const handle of handles) session.module.C_DestroyObject(session.handle, handle)
  return handles.length > 0
}

export function makePair(session: Session, label: string, purpose: PublicKey['suite'], lasting: boolean): PublicKey {
  requireUnused(session, label)
  const { rsa, usage } = PURPOSES[purpose]
  const generation = rsa ? pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN : pkcs11.CKM_EC_KEY_PAIR_GEN
  const pair = firstAccepted(session, pairTemplates(label, purpose, lasting), ([publicHalf, privateHalf]) => {
    session.used++
    return session.module.C_GenerateKeyPair(session.handle, { mechanism: generation }, publicHalf, privateHalf)
  })
  session.keys.set(label, { private: pair.privateKey, public: pair.publicKey })
  try {
    requireSinglePurpose(session, pair.privateKey, usage)
    return readPublicKey(session, pair.publicKey, purpose)
  } catch (error) {
    destroyKey(session, label)
    throw error
  }
}

export function makeSymmetric(session: Session, label: string, suite: SymmetricSuite, mechanism: number): void {
  requireUnused(session, label)
  const template = [
    ...symmetricTemplate(label, suite, mechanism, { lasting: true }),
    { type: pkcs11.CKA_VALUE_LEN, value: AES_BYTES },
    { type: pkcs11.CKA_SENSITIVE, value: true },
    { type: pkcs11.CKA_EXTRACTABLE, value: false },
  ]
  const generation = { mechanism: pkcs11.CKM_AES_KEY_GEN }
  session.used++
  const secret = session.module.C_GenerateKey(session.handle, generation, template)
  session.keys.set(label, { secret })
}

/** A key of known value for known-answer tests, gone with the session. */
export function importSymmetric(
  session: Session,
  label: string,
  suite: SymmetricSuite,
  mechanism: number,
  value: Buffer,
): void {
  requireUnused(session, label)
  const template = [
    ...symmetricTemplate(label, suite, mechanism, { lasting: false }),
    { type: pkcs11.CKA_VALUE, value },
  ]
  session.keys.set(label, { secret: session.module.C_CreateObject(session.handle, template) })
}

/** Null when no such pair is there. */
export function publicKey(session: Session, label: string): PublicKey | null {
  const found = findKey(session, label)
  if (found.private === undefined || found.public === undefined) return null
  const may = (usage: Usage) => flag(session, found.private, usage)
  const purpose = may('CKA_SIGN') ? 'ecdsa-p256' : may('CKA_DERIVE') ? HPKE_P256 : RSA_OAEP_SHA256
  return readPublicKey(session, found.public, purpose)
}

function readPublicKey(session: Session, handle: pkcs11.Handle, suite: PublicKey['suite']): PublicKey {
  if (PURPOSES[suite].rsa) {
    const n = attribute(session, handle, pkcs11.CKA_MODULUS).toString('base64url')
    const e = attribute(session, handle, pkcs11.CKA_PUBLIC_EXPONENT).toString('base64url')
    const key = createPublicKey({ key: { kty: 'RSA', n, e }, format: 'jwk' })
    return { suite, spki: key.export({ format: 'der', type: 'spki' }) }
  }
  const value = attribute(session, handle, pkcs11.CKA_EC_POINT)
  // PKCS#11 says DER OCTET STRING (04 41 ‖ point); several modules give the point alone.
  const wrapped = value.length === POINT_BYTES + 2 && value[0] === 0x04 && value[1] === POINT_BYTES
  const key = p256PublicKey(wrapped ? value.subarray(2) : value)
  return { suite, spki: key.export({ format: 'der', type: 'spki' }) }
}

/** Strict first; the second, for modules that refuse attributes they do not keep (tpm2-pkcs11), is verified by reading back. */
function pairTemplates(
  label: string,
  purpose: PublicKey['suite'],
  lasting: boolean,
): [pkcs11.Template, pkcs11.Template][] {
  const { usage, publicUsage, mechanism, rsa } = PURPOSES[purpose]
  const keyType = { type: pkcs11.CKA_KEY_TYPE, value: rsa ? pkcs11.CKK_RSA : pkcs11.CKK_EC }
  const name = [
    { type: pkcs11.CKA_LABEL, value: label },
    { type: pkcs11.CKA_ID, value: randomBytes(16) },
  ]
  const parameters = rsa
    ? [
        { type: pkcs11.CKA_MODULUS_BITS, value: RSA_BITS },
        { type: pkcs11.CKA_PUBLIC_EXPONENT, value: Buffer.of(1, 0, 1) },
      ]
    : [{ type: pkcs11.CKA_EC_PARAMS, value: P256_PARAMS }]
  const publicHalf = [{ type: pkcs11.CKA_CLASS, value: pkcs11.CKO_PUBLIC_KEY }, keyType, ...name, ...parameters]
  const privateHalf = [
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_PRIVATE_KEY },
    keyType,
    ...name,
    { type: pkcs11.CKA_PRIVATE, value: true },
    { type: pkcs11.CKA_SENSITIVE, value: true },
    { type: pkcs11.CKA_EXTRACTABLE, value: false },
  ]
  const token = (value: boolean) => ({ type: pkcs11.CKA_TOKEN, value })
  const single = USAGES.map(each => ({ type: pkcs11[each], value: each === usage }))
  const allowed = { type: pkcs11.CKA_ALLOWED_MECHANISMS, value: mechanismList(pkcs11[mechanism]) }
  const sparing = rsa
    ? [
        { type: pkcs11.CKA_DECRYPT, value: true },
        { type: pkcs11.CKA_SIGN, value: false },
      ]
    : [{ type: pkcs11[usage], value: true }]
  const flags = [{ type: pkcs11[publicUsage], value: true }]
  return [
    [
      [...publicHalf, token(lasting), ...flags],
      [...privateHalf, token(lasting), ...single, allowed],
    ],
    [
      [...publicHalf, token(lasting), ...flags],
      [...privateHalf, token(lasting), ...single],
    ],
    [
      [...publicHalf, token(true)],
      [...privateHalf, token(true), ...sparing],
    ],
  ]
}

/** A key that may both wrap and decrypt gives away what it wrapped: the flags of one suite exclude those of the other. */
function symmetricTemplate(
  label: string,
  suite: SymmetricSuite,
  mechanism: number,
  { lasting }: { lasting: boolean },
): pkcs11.Template {
  const encrypts = suite === AES_GCM_IN_TOKEN
  return [
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_SECRET_KEY },
    { type: pkcs11.CKA_KEY_TYPE, value: pkcs11.CKK_AES },
    { type: pkcs11.CKA_TOKEN, value: lasting },
    { type: pkcs11.CKA_PRIVATE, value: true },
    { type: pkcs11.CKA_LABEL, value: label },
    { type: pkcs11.CKA_ID, value: randomBytes(16) },
    { type: pkcs11.CKA_ENCRYPT, value: encrypts },
    { type: pkcs11.CKA_DECRYPT, value: encrypts },
    { type: pkcs11.CKA_WRAP, value: !encrypts },
    { type: pkcs11.CKA_UNWRAP, value: !encrypts },
    { type: pkcs11.CKA_ALLOWED_MECHANISMS, value: mechanismList(mechanism) },
  ]
}

function firstAccepted<Template, Made>(session: Session, templates: Template[], make: (one: Template) => Made): Made {
  let refusal: unknown
  for (const template of templates) {
    try {
      return make(template)
    } catch (error) {
      if (!(error instanceof pkcs11.Pkcs11Error)) throw error
      refusal = error
      session.drop()
    }
  }
  throw refusal
}

function requireSinglePurpose(session: Session, handle: pkcs11.Handle, usage: Usage): void {
  const guarded = flag(session, handle, 'CKA_SENSITIVE') && !flag(session, handle, 'CKA_EXTRACTABLE')
  const single = USAGES.every(each => flag(session, handle, each) === (each === usage))
  if (!guarded || !single)
    throw new TokenError(
      'unsupported',
      'the token made a key that may leave it or serves two purposes; it was destroyed',
    )
}

function requireUnused(session: Session, label: string): void {
  const found = findKey(session, label)
  if (Object.keys(found).length > 0) throw new TokenError('exists', `there is a key labelled "${label}" already`)
}

function flag(
  session: Session,
  handle: pkcs11.Handle | undefined,
  name: Usage | 'CKA_SENSITIVE' | 'CKA_EXTRACTABLE',
): boolean {
  return handle !== undefined && attribute(session, handle, pkcs11[name])[0] === 1
}

function attribute(session: Session, handle: pkcs11.Handle, type: number): Buffer {
  const [found] = session.module.C_GetAttributeValue(session.handle, handle, [{ type }])
  if (found === undefined) throw new TokenError('device', `attribute 0x${type.toString(16)} has no value`)
  return found.value
}

function findObjects(session: Session, template: pkcs11.Template): pkcs11.Handle[] {
  session.module.C_FindObjectsInit(session.handle, template)
  try {
    return session.module.C_FindObjects(session.handle, 8)
  } finally {
    session.module.C_FindObjectsFinal(session.handle)
  }
}

function mechanismList(mechanism: number): Buffer {
  const list = Buffer.alloc(CK_ULONG_BYTES)
  list.writeUInt32LE(mechanism)
  return list
}
