import { createECDH, randomBytes } from 'node:crypto'
import { type DeviceId, type DriveId, type GrantId, type JobId, newId } from '../../format/bytes.ts'
import { type Grant, signGrant } from '../../format/grant.ts'
import { newUnlockCode } from '../../format/unlock-code.ts'
import { HPKE_P256 } from '../../format/wrap-suite.ts'
import { certify, newSigner } from './signer.ts'

export const ACCOUNT = 'acme'
export const BUCKET = 'photos'
/** 2026-11-20T00:00:00Z */
export const NOW = 1_795_132_800_000
export const DAY = 86_400_000

/** Provider, device and the grant between them. */
export async function makeParties() {
  const [ca, device, provider] = [newSigner(), newSigner(), newSigner()]
  const opener = newSigner()
  const valid = { from: NOW - DAY, to: NOW + 3650 * DAY }
  const caCertificate = await certify(ca, 'Provider CA', ca, 'Provider CA', valid)
  const deviceCertificate = await certify(device, 'device 1', ca, 'Provider CA', valid)
  const signerCertificate = await certify(provider, 'grants and receipts', ca, 'Provider CA', valid)
  const ids = { job: newId<JobId>(), device: newId<DeviceId>(), drive: newId<DriveId>() }
  const grant: Grant = {
    id: newId<GrantId>(),
    job: ids.job,
    device: ids.device,
    account: ACCOUNT,
    mode: 'write-only',
    buckets: [BUCKET],
    issuedAt: NOW,
    expiresAt: NOW + 30 * DAY,
    counter: 1,
    deviceCertificate,
    signerCertificate,
    caCertificate,
    recipients: [{ suite: HPKE_P256, spki: opener.spki }],
    floor: [HPKE_P256],
    epochLimits: { objects: 10_000, bytes: 256 * 2 ** 30, seconds: 600, idleSeconds: 60 },
    digest: 'fast',
    readBack: 'sample',
    namesAfterSeal: 'kept',
    returnAddress: 'Provider, Dock 1',
  }
  const signedGrant = await signGrant(grant, provider.sign)
  const [unlockCode, grantShare] = [newUnlockCode(), randomBytes(32)]
  return {
    ids,
    ca,
    caCertificate,
    device,
    deviceCertificate,
    provider,
    signerCertificate,
    opener,
    grant,
    signedGrant,
    unlockCode,
    grantShare,
  }
}

/** The public half, and the recipient's part of the key agreement, of a P-256 private key of 32 bytes. */
export function ecdhOf(privateKey: Buffer): { spki: Buffer; agree: (point: Buffer) => Buffer } {
  const own = createECDH('prime256v1')
  own.setPrivateKey(privateKey)
  const prefix = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex')
  return { spki: Buffer.concat([prefix, own.getPublicKey()]), agree: point => own.computeSecret(point) }
}
