import { coreHeaderHash } from '../../../format/core-header.ts'
import {
  COMPOSITE,
  compositeHeaderHash,
  type EnvelopeFields,
  EPOCH_KEK,
  PART,
  sealEnvelope,
} from '../../../format/envelope.ts'
import { encodeCommit } from '../../../format/frame.ts'
import { encodeLeaf, leafOf } from '../../../format/leaf.ts'
import { encodeMetadata, sealMetadata } from '../../../format/metadata.ts'
import { contextOf, type SealingKeys, type ToCommit } from '../sealed-object.ts'
import type { SealingOwner } from './messages.ts'

/** Payload of an object's commit frame, and its line in the tree. FORMAT.md §6.4, §7.1 */
export function commitOf(
  owner: SealingOwner,
  keys: SealingKeys,
  object: ToCommit,
  place: { sequence: number; committedAt: number; bodyOffset: number; durableOffset: number },
): { payload: Buffer; leaf: Buffer; fields: EnvelopeFields } {
  const { kind, objectId, summary, parts, metadata } = object
  const sealedMetadata = sealMetadata(
    keys.metadataKey,
    { kind, objectId, job: owner.job, epoch: keys.id },
    encodeMetadata(metadata),
  )
  const fields: EnvelopeFields = {
    kind,
    kekKind: EPOCH_KEK,
    kekId: keys.id,
    job: owner.job,
    objectId,
    plaintextLength: summary.plaintextLength,
    bodyLength: summary.bodyLength,
    digestId: summary.digestId,
    digest: summary.digest,
    sealedMetadata,
    parts,
  }
  const envelope = sealEnvelope(
    keys.wrapKey,
    object.objectKey,
    fields,
    kind === COMPOSITE ? compositeHeaderHash(objectId) : coreHeaderHash(object.coreHeader),
    // upload and number are set for parts only: FORMAT.md §4.3
    contextOf(owner, kind === PART ? metadata : { bucket: metadata.bucket, key: metadata.key }, objectId),
  )
  return {
    payload: encodeCommit({ ...place, envelope }),
    leaf: encodeLeaf(leafOf(fields, envelope, place.sequence, place.committedAt)),
    fields,
  }
}
