import {
  asBuffer,
  type EpochId,
  idBytes,
  type JobId,
  needBytes,
  type ObjectId,
  readId,
  readLength,
  writeLength,
  zeroes,
} from './bytes.ts'
import { DIGEST_BYTES, type DigestId, parseDigestId, sha256 } from './digest.ts'
import { COMPOSITE, type EnvelopeFields, OBJECT, PART, TOMBSTONE } from './envelope.ts'
import { FormatError } from './fault.ts'

/**
 * An object's line in the Merkle tree. Says nothing of where the object lies, so that moving it changes nothing.
 * @see FORMAT.md §7.1
 */
export type Leaf = {
  kind: typeof OBJECT | typeof PART | typeof COMPOSITE | typeof TOMBSTONE
  digestId: DigestId
  sequence: number
  committedAt: number
  objectId: ObjectId
  job: JobId
  epoch: EpochId
  plaintextLength: number
  bodyLength: number
  bodyDigest: Buffer
  /** SHA-256 of the envelope; for a tombstone of its frame's payload */
  envelopeHash: Buffer
  sealedMetadata: Buffer
}

const AT = {
  kind: 0,
  digestId: 1,
  reserved: 2,
  metadataLength: 4,
  sequence: 8,
  committedAt: 16,
  objectId: 24,
  job: 40,
  epoch: 56,
  plaintextLength: 72,
  bodyLength: 80,
  bodyDigest: 88,
  envelopeHash: 120,
  metadata: 152,
} as const
/** A composite's or tombstone's sealed metadata can name 10,000 ids. */
export const LEAF_METADATA_LIMIT = 512 << 10
export const LEAF_FIXED_BYTES = AT.metadata

export function encodeLeaf(leaf: Leaf): Buffer {
  const out = zeroes(AT.metadata + leaf.sealedMetadata.length)
  out[AT.kind] = leaf.kind
  out[AT.digestId] = leaf.digestId
  out.writeUInt32BE(leaf.sealedMetadata.length, AT.metadataLength)
  writeLength(out, leaf.sequence, AT.sequence)
  writeLength(out, leaf.committedAt, AT.committedAt)
  idBytes(leaf.objectId).copy(out, AT.objectId)
  idBytes(leaf.job).copy(out, AT.job)
  idBytes(leaf.epoch).copy(out, AT.epoch)
  writeLength(out, leaf.plaintextLength, AT.plaintextLength)
  writeLength(out, leaf.bodyLength, AT.bodyLength)
  leaf.bodyDigest.copy(out, AT.bodyDigest)
  leaf.envelopeHash.copy(out, AT.envelopeHash)
  leaf.sealedMetadata.copy(out, AT.metadata)
  return out
}

/** Length of the leaf that begins with these bytes. @throws FormatError "truncated" | "limit" */
export function leafLength(bytes: Buffer, offset: number): number {
  needBytes(bytes, offset, AT.metadata, 'leaf')
  const metadata = bytes.readUInt32BE(offset + AT.metadataLength)
  if (metadata > LEAF_METADATA_LIMIT) throw new FormatError('limit', `leaf: ${metadata} bytes of metadata`)
  return AT.metadata + metadata
}

/** @throws FormatError "truncated" | "malformed" | "unsupported" | "limit" */
export function parseLeaf(bytes: Uint8Array): Leaf {
  const view = asBuffer(bytes)
  if (leafLength(view, 0) !== view.length)
    throw new FormatError('truncated', `leaf: wanted ${leafLength(view, 0)} bytes, found ${view.length}`)
  const kind = view[AT.kind]
  if (kind !== OBJECT && kind !== PART && kind !== COMPOSITE && kind !== TOMBSTONE)
    throw new FormatError('unsupported', `leaf: kind ${kind}`)
  if (view.readUInt16BE(AT.reserved) !== 0) throw new FormatError('malformed', 'leaf: reserved bytes are not zero')
  return {
    kind,
    digestId: parseDigestId(view[AT.digestId] ?? 0),
    sequence: readLength(view, AT.sequence, 'sequence'),
    committedAt: readLength(view, AT.committedAt, 'time'),
    objectId: readId(view, AT.objectId),
    job: readId(view, AT.job),
    epoch: readId(view, AT.epoch),
    plaintextLength: readLength(view, AT.plaintextLength, 'plaintext length'),
    bodyLength: readLength(view, AT.bodyLength, 'body length'),
    bodyDigest: view.subarray(AT.bodyDigest, AT.bodyDigest + DIGEST_BYTES),
    envelopeHash: view.subarray(AT.envelopeHash, AT.metadata),
    sealedMetadata: view.subarray(AT.metadata),
  }
}

/** A leaf as it lies in the tree, and its place in the order. */
export type EncodedLeaf = { sequence: number; bytes: Buffer }

export function encodedLeaf(leaf: Leaf): EncodedLeaf {
  return { sequence: leaf.sequence, bytes: encodeLeaf(leaf) }
}

/** The leaf of a committed envelope. */
export function leafOf(envelope: EnvelopeFields, encoded: Uint8Array, sequence: number, committedAt: number): Leaf {
  return {
    kind: envelope.kind,
    digestId: envelope.digestId,
    sequence,
    committedAt,
    objectId: envelope.objectId,
    job: envelope.job,
    epoch: envelope.kekId,
    plaintextLength: envelope.plaintextLength,
    bodyLength: envelope.bodyLength,
    bodyDigest: envelope.digest,
    envelopeHash: sha256(encoded),
    sealedMetadata: envelope.sealedMetadata,
  }
}

/**
 * Payload of a tombstone frame: sequence, time and the sealed statement of what it takes back.
 * @see FORMAT.md §6.5
 */
export type Tombstone = {
  sequence: number
  committedAt: number
  durableOffset: number
  objectId: ObjectId
  job: JobId
  epoch: EpochId
  sealed: Buffer
}
const STONE_AT = {
  sequence: 0,
  committedAt: 8,
  durableOffset: 16,
  objectId: 24,
  job: 40,
  epoch: 56,
  sealed: 72,
} as const

export function encodeTombstoneFrame(stone: Tombstone): Buffer {
  const out = Buffer.alloc(STONE_AT.sealed + stone.sealed.length)
  writeLength(out, stone.sequence, STONE_AT.sequence)
  writeLength(out, stone.committedAt, STONE_AT.committedAt)
  writeLength(out, stone.durableOffset, STONE_AT.durableOffset)
  idBytes(stone.objectId).copy(out, STONE_AT.objectId)
  idBytes(stone.job).copy(out, STONE_AT.job)
  idBytes(stone.epoch).copy(out, STONE_AT.epoch)
  stone.sealed.copy(out, STONE_AT.sealed)
  return out
}

export function parseTombstoneFrame(payload: Buffer): Tombstone {
  needBytes(payload, 0, STONE_AT.sealed, 'tombstone')
  if (payload.length > STONE_AT.sealed + LEAF_METADATA_LIMIT)
    throw new FormatError('limit', `tombstone: ${payload.length} bytes`)
  return {
    sequence: readLength(payload, STONE_AT.sequence, 'sequence'),
    committedAt: readLength(payload, STONE_AT.committedAt, 'time'),
    durableOffset: readLength(payload, STONE_AT.durableOffset, 'durable offset'),
    objectId: readId(payload, STONE_AT.objectId),
    job: readId(payload, STONE_AT.job),
    epoch: readId(payload, STONE_AT.epoch),
    sealed: payload.subarray(STONE_AT.sealed),
  }
}

export function tombstoneLeaf(stone: Tombstone, payload: Uint8Array): Leaf {
  return {
    kind: TOMBSTONE,
    digestId: 2,
    sequence: stone.sequence,
    committedAt: stone.committedAt,
    objectId: stone.objectId,
    job: stone.job,
    epoch: stone.epoch,
    plaintextLength: 0,
    bodyLength: 0,
    bodyDigest: Buffer.alloc(DIGEST_BYTES),
    envelopeHash: sha256(payload),
    sealedMetadata: stone.sealed,
  }
}
