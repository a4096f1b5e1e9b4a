import { createHash, createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto'
import { idBytes } from '../format/bytes.ts'
import { openSmall, sealSmall } from '../format/epoch-key.ts'
import { FormatError } from '../format/fault.ts'
import {
  type Grant,
  type GrantFile,
  grantHash,
  openGrantFile,
  parseGrantFile,
  peekGrant,
  verifyGrant,
} from '../format/grant.ts'
import { label } from '../format/kdf.ts'
import type { RecipientKey } from '../format/key-record.ts'
import { openKeyRecord, verifyKeyRecord } from '../format/key-record.ts'
import { readUnlockCode } from '../format/unlock-code.ts'
import { keyId, type PublicKey, sealTo, wrapSuite } from '../format/wrap-suite.ts'
import { verifyCertificate } from '../hsm/certificate.ts'
import { DEVICE_KEYS, type DeviceTokenPlace, openDeviceToken } from '../hsm/device-token.ts'
import type { Pkcs11Token } from '../hsm/pkcs11-token.ts'
import type { EpochSource, PackOwner } from '../store/pack/epoch-source.ts'
import { askToken } from './ask-token.ts'
import { AgentError } from './fault.ts'
import { counted, waitFor } from './lockout.ts'
import type { SettingsFile } from './settings.ts'

/** An unlocked job: what must be forgotten at lock is all in here. */
export type UnlockedJob = {
  grant: Grant
  token: Pkcs11Token
  owner: PackOwner
  source: EpochSource
  /** opens the index file */
  indexFileKey: Buffer
  credential: { accessKey: string; secretKey: string }
}

/**
 * Opens a grant with the unlock code, and the token with what the grant holds.
 * The try is counted durably before the code is judged; a mistyped code (check symbol) is told apart first and does not count.
 *
 * @throws AgentError "locked" - wrong code, or too soon after one
 * @throws AgentError "refused" - the grant is for another device, expired, older, or of another provider
 */
export async function unlock(
  place: DeviceTokenPlace,
  grantBytes: Buffer,
  typed: string,
  settings: SettingsFile,
  now: () => number,
): Promise<UnlockedJob> {
  const code = readUnlockCode(typed)
  const wait = waitFor(settings.value.wrongCodes, now())
  if (wait > 0) throw new AgentError('locked', `too many wrong codes: try again in ${Math.ceil(wait / 1000)} s`)
  const file = parseGrantFile(grantBytes)
  const grant = await judgeGrant(file, settings, now())
  await settings.change(each => {
    each.wrongCodes = counted(each.wrongCodes, now())
  })
  let share: Buffer
  try {
    share = openGrantFile(file, grant.id, code)
  } catch (error) {
    if (!(error instanceof FormatError) || error.fault !== 'wrong-code') throw error
    await settings.noteUnsigned('wrong-code', now(), { tries: String(settings.value.wrongCodes.count) })
    const next = Math.ceil(waitFor(settings.value.wrongCodes, now()) / 1000)
    throw new AgentError(
      'locked',
      `unlock code: it does not open this grant (try ${settings.value.wrongCodes.count}); the next try is judged in ${next} s`,
      { cause: error },
    )
  }
  const token = await openDeviceToken(place, share, idBytes(grant.id), null)
  share.fill(0)
  try {
    const job = await openJob(token, grant, file, code, settings, now())
    await settings.change(each => {
      each.wrongCodes = { count: 0, notBefore: 0 }
      each.grantCounter = Math.max(each.grantCounter, grant.counter)
      each.ca = fingerprintOf(grant.caCertificate)
    })
    return job
  } catch (error) {
    await token.close()
    throw error
  } finally {
    code.fill(0)
  }
}

const fingerprintOf = (certificate: Buffer): string => createHash('sha256').update(certificate).digest('hex')

/** Everything that can be said of a grant without the code. */
async function judgeGrant(file: GrantFile, settings: SettingsFile, now: number): Promise<Grant> {
  const peeked = peekGrant(file.signed)
  const pinned = settings.value.ca
  if (pinned !== null && pinned !== fingerprintOf(peeked.caCertificate))
    throw new AgentError('refused', 'this grant is of another provider than the one that this device belongs to')
  const signer = await verifyCertificate(peeked.signerCertificate, peeked.caCertificate, new Date(now))
  const grant = verifyGrant(file.signed, signer.spki)
  if (grant.expiresAt <= now)
    throw new AgentError(
      'refused',
      `this grant expired on ${new Date(grant.expiresAt).toISOString()}: ask the provider for a new one`,
    )
  // what the grant asks for and this version cannot keep is refused, never left out
  if (grant.mode === 'export')
    throw new AgentError('refused', 'this grant is for an export; this version of the agent takes import jobs only')
  if (grant.namesAfterSeal === 'destroyed')
    throw new AgentError(
      'refused',
      'this grant wants names destroyed at the seal; this version of the agent cannot, and does not take the job',
    )
  if (grant.counter < settings.value.grantCounter)
    throw new AgentError('refused', 'this grant is older than one that this device has taken already')
  return grant
}

async function openJob(
  token: Pkcs11Token,
  grant: Grant,
  file: GrantFile,
  code: Buffer,
  settings: SettingsFile,
  now: number,
): Promise<UnlockedJob> {
  const identity = await token.publicKey(DEVICE_KEYS.identity)
  const transport = await token.publicKey(DEVICE_KEYS.transport)
  const certified = await verifyCertificate(grant.deviceCertificate, grant.caCertificate, new Date(now))
  if (identity === null || transport === null || !identity.spki.equals(certified.spki))
    throw new AgentError('refused', "this grant certifies another device's token")
  const opened = await indexSecret(token, transport, grant, settings)
  const root = Buffer.from(
    hkdfSync('sha256', Buffer.concat([code, opened]), idBytes(grant.job), 'sealift index key v1', 32),
  )
  opened.fill(0)
  const derive = (purpose: string): Buffer =>
    Buffer.from(hkdfSync('sha256', root, idBytes(grant.job), `sealift index key v1 ${purpose}`, 32))
  const indexKey = createSecretKey(derive('metadata keys'))
  const credential = await jobCredential(grant, createSecretKey(derive('credentials')), settings)
  const indexFileKey = derive('index file')
  root.fill(0)
  return {
    grant,
    token,
    indexFileKey,
    credential,
    owner: {
      job: grant.job,
      device: grant.device,
      account: grant.account,
      mode: grant.mode,
      buckets: grant.buckets,
      grantHash: grantHash(file.signed),
      identity: identity.spki,
      deviceCertificate: grant.deviceCertificate,
      limits: grant.epochLimits,
      digest: grant.digest,
      readBack: grant.readBack,
    },
    source: epochSource(token, grant, identity, transport, indexKey),
  }
}

/** Random, sealed to the transport key; the code is mixed in by the caller, so the token alone does not open names. */
async function indexSecret(
  token: Pkcs11Token,
  transport: PublicKey,
  grant: Grant,
  settings: SettingsFile,
): Promise<Buffer> {
  const context = { info: 'sealift/v1 index key', aad: idBytes(grant.job) }
  const kept = settings.value.indexKeys[grant.job]
  if (kept !== undefined)
    return token.open(
      DEVICE_KEYS.transport,
      {
        suite: wrapSuite(kept.suite),
        encapsulated: Buffer.from(kept.encapsulated, 'hex'),
        ciphertext: Buffer.from(kept.ciphertext, 'hex'),
      },
      context,
    )
  const secret = randomBytes(32)
  const sealed = sealTo(transport, secret, context)
  await settings.change(each => {
    each.indexKeys[grant.job] = {
      suite: sealed.suite,
      encapsulated: sealed.encapsulated.toString('hex'),
      ciphertext: sealed.ciphertext.toString('hex'),
    }
  })
  return secret
}

async function jobCredential(grant: Grant, key: KeyObject, settings: SettingsFile): Promise<UnlockedJob['credential']> {
  const aad = label('device credential', idBytes(grant.job))
  const kept = settings.value.credentials[grant.job]
  if (kept !== undefined)
    return {
      accessKey: kept.accessKey,
      secretKey: openSmall(key, Buffer.from(kept.sealedSecret, 'hex'), aad, "the job's S3 credential").toString('utf8'),
    }
  const accessKey = `SLD${randomBytes(13).toString('hex').slice(0, 17).toUpperCase()}`
  const secretKey = randomBytes(30).toString('base64url')
  await settings.change(each => {
    each.credentials[grant.job] = {
      accessKey,
      sealedSecret: sealSmall(key, Buffer.from(secretKey), aad).toString('hex'),
    }
  })
  return { accessKey, secretKey }
}

function epochSource(
  token: Pkcs11Token,
  grant: Grant,
  identity: PublicKey,
  transport: PublicKey,
  indexKey: KeyObject,
): EpochSource {
  const readable = grant.mode !== 'write-only'
  const toKey = (publicKey: PublicKey): RecipientKey => {
    if (publicKey.suite === 'ecdsa-p256' || !grant.floor.includes(publicKey.suite))
      throw new AgentError('refused', `the grant does not allow suite ${publicKey.suite} for its keys`)
    return {
      suite: publicKey.suite,
      keyId: keyId(publicKey.spki),
      seal: async (secret, context) => sealTo(publicKey, secret, context),
    }
  }
  return {
    async newKey() {
      const key = await askToken(() => token.random(32))
      const ours = randomBytes(32)
      // either source alone is enough
      for (let at = 0; at < 32; at++) key[at] = (key[at] ?? 0) ^ (ours[at] ?? 0)
      ours.fill(0)
      return key
    },
    recipients: [...grant.recipients.map(toKey), ...(readable ? [toKey(transport)] : [])],
    sign: message => askToken(() => token.sign(DEVICE_KEYS.identity, message)),
    indexKey,
    async openEpoch(keyRecord) {
      if (!readable) return null
      const mine = keyId(transport.spki)
      return openKeyRecord(
        verifyKeyRecord(keyRecord, identity.spki),
        id => id.equals(mine),
        (_, sealed, context) => askToken(() => token.open(DEVICE_KEYS.transport, sealed, context)),
      )
    },
  }
}
