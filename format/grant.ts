import { createSecretKey } from 'node:crypto'
import { type DeviceId, equalBytes, type GrantId, idBytes, type JobId } from './bytes.ts'
import { type CborValue, decodeCbor, encodeCbor, Fields } from './cbor.ts'
import { openSmall, sealSmall } from './epoch-key.ts'
import { FormatError } from './fault.ts'
import { expand, label } from './kdf.ts'
import { messageHash, parseSigned, type Sign, signMessage, unverifiedFields, verifySigned } from './signed.ts'
import { unlockKey } from './unlock-code.ts'
import { type PublicKey, type WrapSuite, wrapSuite } from './wrap-suite.ts'

/** The provider's signed word to one device. @see FORMAT.md §8 */
export type Grant = {
  id: GrantId
  job: JobId
  device: DeviceId
  account: string
  mode: JobMode
  buckets: string[]
  issuedAt: number
  expiresAt: number
  /** rises with every grant to a device: an older one is not taken after a newer */
  counter: number
  /** X.509, DER: the device's identity certificate, the grant signer's certificate, the provider's CA */
  deviceCertificate: Buffer
  signerCertificate: Buffer
  caCertificate: Buffer
  /** public halves that every epoch key is sealed to; of an export the device's own transport key alone */
  recipients: (PublicKey & { suite: 0x0010 | 0x0020 })[]
  /** suites that this job allows at all; no in-band fallback */
  floor: WrapSuite[]
  epochLimits: { objects: number; bytes: number; seconds: number; idleSeconds: number }
  digest: 'fast' | 'sha-256'
  readBack: 'none' | 'sample' | 'all'
  namesAfterSeal: 'kept' | 'destroyed'
  returnAddress: string
}
/** Of jobs that bring objects in. */
export const IMPORT_MODES = ['write-only', 'readable'] as const
export const JOB_MODES = [...IMPORT_MODES, 'export'] as const
export type JobMode = (typeof JOB_MODES)[number]

/** In words, for the operator. */
export const MODE_IN_WORDS: Record<JobMode, string> = {
  'write-only':
    'write-only: what is sealed here cannot be read back on this device once its epoch has ended; only the provider can open it',
  readable:
    'readable: this device can read back what it sealed while it is unlocked; whoever has device and unlock code can too',
  export: 'export: this device opens what the provider sealed for it',
}

export const GRANT_LIMIT = 256 << 10
const MAX_BUCKETS = 1000
const SHARE_BYTES = 32

export function signGrant(grant: Grant, sign: Sign): Promise<Buffer> {
  const payload: { [name: string]: CborValue } = {
    v: 1,
    id: idBytes(grant.id),
    job: idBytes(grant.job),
    device: idBytes(grant.device),
    account: grant.account,
    mode: grant.mode,
    buckets: grant.buckets,
    issued: grant.issuedAt,
    expires: grant.expiresAt,
    counter: grant.counter,
    deviceCertificate: grant.deviceCertificate,
    signerCertificate: grant.signerCertificate,
    caCertificate: grant.caCertificate,
    recipients: grant.recipients.map(each => ({ suite: each.suite, spki: each.spki })),
    floor: grant.floor,
    limits: { ...grant.epochLimits },
    digest: grant.digest,
    readBack: grant.readBack,
    namesAfterSeal: grant.namesAfterSeal,
    returnAddress: grant.returnAddress,
  }
  return signMessage('grant', payload, sign)
}

/** The signed part's fields, signature unjudged: they name the certificates that the judgement needs. */
export function peekGrant(signed: Uint8Array): Grant {
  return takeFields(unverifiedFields(parseSigned(signed, 'grant', GRANT_LIMIT)))
}

/** @param signer - SPKI from the signer's certificate, which the caller has verified up to the provider's CA */
export function verifyGrant(signed: Uint8Array, signer: Uint8Array): Grant {
  return takeFields(verifySigned(parseSigned(signed, 'grant', GRANT_LIMIT), signer))
}

function takeFields(fields: Fields): Grant {
  fields.version(1)
  const limits = (value: CborValue): Grant['epochLimits'] => {
    const inner = new Fields(value, 'grant: limits')
    const out = {
      objects: inner.count('objects', 1_000_000),
      bytes: inner.count('bytes'),
      seconds: inner.count('seconds'),
      idleSeconds: inner.count('idleSeconds'),
    }
    inner.end()
    return out
  }
  const grant: Grant = {
    id: fields.id('id'),
    job: fields.id('job'),
    device: fields.id('device'),
    account: fields.text('account', 128),
    mode: fields.oneOf('mode', JOB_MODES),
    buckets: fields.list('buckets', MAX_BUCKETS, (item, what) => new Fields({ item }, what).text('item', 255)),
    issuedAt: fields.count('issued'),
    expiresAt: fields.count('expires'),
    counter: fields.count('counter'),
    deviceCertificate: fields.bytes('deviceCertificate', { max: 16 << 10 }),
    signerCertificate: fields.bytes('signerCertificate', { max: 16 << 10 }),
    caCertificate: fields.bytes('caCertificate', { max: 16 << 10 }),
    recipients: fields.list('recipients', 8, takeRecipient),
    floor: fields.list('floor', 16, (item, what) => wrapSuite(new Fields({ item }, what).count('item', 0xffff))),
    epochLimits: limits(fields.take('limits')),
    digest: fields.oneOf('digest', ['fast', 'sha-256']),
    readBack: fields.oneOf('readBack', ['none', 'sample', 'all']),
    namesAfterSeal: fields.oneOf('namesAfterSeal', ['kept', 'destroyed']),
    returnAddress: fields.text('returnAddress', 1024),
  }
  fields.end()
  return grant
}

function takeRecipient(item: CborValue, what: string): Grant['recipients'][number] {
  const fields = new Fields(item, what)
  const suite = fields.count('suite', 0xffff)
  if (suite !== 0x0010 && suite !== 0x0020)
    throw new FormatError('unsupported', `${what}: suite ${suite} cannot be sealed to in software`)
  const out = { suite, spki: fields.bytes('spki', { max: 1024 }) } as const
  fields.end()
  return out
}

/** How others name a grant: SHA-256 of its signed part. */
export function grantHash(signed: Uint8Array): Buffer {
  return messageHash(signed)
}

/** The file `grant` on a drive: the signed part and the part that only the unlock code opens. */
export type GrantFile = { signed: Buffer; commitment: Buffer; sealed: Buffer }

/** @param grantShare - 32 random bytes: one half of the token's PIN */
export function sealGrantFile(signed: Buffer, id: GrantId, code: Uint8Array, grantShare: Uint8Array): Buffer {
  const hash = grantHash(signed)
  const sealed = sealSmall(createSecretKey(unlockKey(code, id, 'open grant')), grantShare, label('grant share', hash))
  return encodeCbor({ signed, commitment: codeCommitment(code, id, hash), sealed })
}

/** AES-GCM does not commit to its key: this does, and is compared first. */
function codeCommitment(code: Uint8Array, id: GrantId, hash: Uint8Array): Buffer {
  return expand(unlockKey(code, id, 'commitment'), label('unlock commitment', hash), 32)
}

export function parseGrantFile(bytes: Uint8Array): GrantFile {
  const fields = new Fields(decodeCbor(bytes, GRANT_LIMIT, 'grant file'), 'grant file')
  const out = {
    signed: fields.bytes('signed', { max: GRANT_LIMIT }),
    commitment: fields.bytes('commitment', 32),
    sealed: fields.bytes('sealed', SHARE_BYTES + 28),
  }
  fields.end()
  return out
}

/**
 * @returns the grant share
 * @throws FormatError "wrong-code" - the code is not this grant's (or the grant was changed)
 */
export function openGrantFile(file: GrantFile, id: GrantId, code: Uint8Array): Buffer {
  const hash = grantHash(file.signed)
  if (!equalBytes(codeCommitment(code, id, hash), file.commitment))
    throw new FormatError('wrong-code', 'unlock code: it does not open this grant')
  return openSmall(
    createSecretKey(unlockKey(code, id, 'open grant')),
    file.sealed,
    label('grant share', hash),
    'grant share',
  )
}
