import type { KeyObject } from 'node:crypto'
import type { BodySummary } from '../../format/body.ts'
import type { EpochId, ObjectId } from '../../format/bytes.ts'
import type { ObjectContext } from '../../format/context.ts'
import type { CompositePart, EnvelopeKind } from '../../format/envelope.ts'
import type { ObjectMetadata } from '../../format/metadata.ts'
import { randomOf } from '../../format/random.ts'
import type { PackOwner } from './epoch-source.ts'

/** An epoch's keys, as far as sealing needs them. */
export type SealingKeys = { id: EpochId; wrapKey: KeyObject; metadataKey: KeyObject }

export type ToCommit = {
  kind: EnvelopeKind
  objectId: ObjectId
  objectKey: Buffer
  coreHeader: Buffer
  summary: BodySummary
  parts: CompositePart[]
  metadata: ObjectMetadata
}

/** What of its metadata an object's key is bound to. */
export type ObjectName = Pick<ObjectMetadata, 'bucket' | 'key' | 'part'>

export function contextOf(
  owner: Pick<PackOwner, 'account' | 'job'>,
  metadata: ObjectName,
  objectId: ObjectId,
): ObjectContext {
  return {
    account: owner.account,
    job: owner.job,
    bucket: metadata.bucket,
    key: metadata.key,
    objectId,
    ...(metadata.part !== undefined && { part: metadata.part }),
  }
}

export function newObjectKey(): Buffer {
  return randomOf(32)
}
