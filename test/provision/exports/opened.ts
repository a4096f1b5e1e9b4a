/** A device that reads what was exported for it, by the format's own rules and with its own token. */
import { openHeldBody } from '../../../format/body-opening.ts'
import { coreHeaderHash } from '../../../format/core-header.ts'
import { COMPOSITE, compositeHeaderHash, EPOCH_KEK, openEnvelope, parseEnvelope } from '../../../format/envelope.ts'
import { deriveEpochKeys, type EpochKeys } from '../../../format/epoch-key.ts'
import { openKeyRecord, verifyKeyRecord } from '../../../format/key-record.ts'
import { type ObjectMetadata, openMetadata, parseMetadata } from '../../../format/metadata.ts'
import type { ObjectPlace } from '../../../format/release.ts'
import { keyId } from '../../../format/wrap-suite.ts'
import { DEVICE_KEYS } from '../../../hsm/device-token.ts'
import type { ExportDevice } from './scene.ts'

/** Only a record that the signer of the grant signed, for this very grant, sealed by a suite of its floor. */
export async function epochOf({ token, grant, hash, signer }: ExportDevice, keyRecord: Buffer): Promise<EpochKeys> {
  const record = verifyKeyRecord(keyRecord, signer)
  const wrong = record.job !== grant.job || record.device !== grant.device || !record.grantHash.equals(hash)
  if (wrong || record.recipients.some(each => !grant.floor.includes(each.suite))) throw new Error('not for this grant')
  const transport = await token.publicKey(DEVICE_KEYS.transport)
  if (transport === null) throw new Error('no transport key')
  const mine = keyId(transport.spki)
  const key = await openKeyRecord(
    record,
    id => id.equals(mine),
    (_, sealed, context) => token.open(DEVICE_KEYS.transport, sealed, context),
  )
  return deriveEpochKeys(key)
}

export type Opened = { kind: number; objectKey: Buffer; metadata: ObjectMetadata; parts: string[]; length: number }

/** Job, account and name are the device's own; nothing of the source is asked. */
export function openExported(
  { grant }: ExportDevice,
  keys: EpochKeys,
  bytes: Buffer,
  place: ObjectPlace,
  coreHeader: Uint8Array,
): Opened {
  const envelope = parseEnvelope(bytes)
  const { kind, objectId, kekId, job, plaintextLength } = envelope
  if (envelope.kekKind !== EPOCH_KEK || job !== grant.job) throw new Error('of another job')
  const core = kind === COMPOSITE ? compositeHeaderHash(objectId) : coreHeaderHash(coreHeader)
  const context = { account: grant.account, job: grant.job, objectId, ...place }
  const objectKey = openEnvelope(keys.wrapKey, envelope, core, context)
  const at = { kind, objectId, job, epoch: kekId }
  const metadata = parseMetadata(openMetadata(keys.metadataKey, at, envelope.sealedMetadata))
  const parts = envelope.parts.map(each => each.objectId)
  return { kind, objectKey, metadata, parts, length: plaintextLength }
}

export function plainOf({ objectKey, length }: Opened, body: Buffer): Buffer {
  return openHeldBody(body, objectKey, body.subarray(0, 102), length)
}
