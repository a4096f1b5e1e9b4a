import { createSecretKey } from 'node:crypto'
import type { DriveId, EpochId, PackId } from '../../format/bytes.ts'
import { COMPOSITE, type Envelope, parseEnvelope, TOMBSTONE } from '../../format/envelope.ts'
import { unwrapMetadataKey } from '../../format/epoch-key.ts'
import { BODY_HEAD_BYTES, type Commit, FRAME, parseCommit } from '../../format/frame.ts'
import { type EncodedLeaf, encodedLeaf, leafOf, parseTombstoneFrame, tombstoneLeaf } from '../../format/leaf.ts'
import { openMetadata, parseMetadata, parseTombstone } from '../../format/metadata.ts'
import {
  parseEpochFrame,
  parseLeavesFrame,
  type ReadAt,
  type WalkedFrame,
  type WalkStart,
} from '../../format/pack-walk.ts'
import type { Index, IndexChange } from '../index-store.ts'
import { StoreError } from '../object-store.ts'
import { commitChanges, committedObject, tombstoneChanges } from './changes.ts'
import type { EpochSource } from './epoch-source.ts'
import { epochChange, leavesChange, packChange, readEpoch } from './pack-rows.ts'
import { bodyIsWhole, type Gap, walkSound } from './sound-walk.ts'

/** What a walk over a pack's tail found. `end` and `head` are of the last sound frame that counts. */
export type Tail = {
  end: number
  head: Buffer
  leaves: EncodedLeaf[]
  lastSequence: number
  torn: string | null
  damage: Damage[]
}
/** Bytes that were on stable storage and are not sound any more. */
export type Damage = { offset: number; end: number; reason: string }

type BodyFrame = WalkedFrame & { type: typeof FRAME.body }

/**
 * Reads what a pack holds after `start`: which commits count, and where the sound part ends.
 *
 * A commit frame says how far its pack was on stable storage when it was written. Bodies before the highest such offset were covered by
 * an `fdatasync`; those after it are read again and compared with their digest, because a power cut may have kept the frame and lost
 * the body. What is not sound is a torn tail unless a sound frame of the pack proves that it was durable: then it is damage, and what
 * comes behind it still counts.
 *
 * @param known - commits up to this sequence number are under a signed checkpoint and need no leaf
 * @see FORMAT.md §6.8
 */
export async function readTail(read: ReadAt, size: number, start: WalkStart, known: number): Promise<Tail> {
  const found: (WalkedFrame | Gap)[] = []
  let durable = start.offset
  for await (const run of walkSound(read, size, start))
    for (const frame of run) {
      found.push(frame.type === FRAME.leaves ? { ...frame, payload: Buffer.alloc(0) } : frame)
      durable = Math.max(durable, durableOffsetOf(frame))
    }
  const tail: Tail = { end: start.offset, head: start.previous, leaves: [], lastSequence: 0, torn: null, damage: [] }
  let body: BodyFrame | null = null
  for (const frame of found) {
    if (frame.type === 'gap') {
      if (frame.offset >= durable) return { ...tail, torn: frame.reason }
      tail.damage.push({ offset: frame.offset, end: frame.end, reason: frame.reason })
      body = null
      continue
    }
    if (frame.type === FRAME.body) {
      body = frame
      continue
    }
    if (frame.type === FRAME.commit) {
      const commit = parseCommit(frame.payload)
      const envelope = parseEnvelope(commit.envelope)
      const reason = envelope.kind === COMPOSITE ? null : await bodyFault(read, body, commit, envelope, durable)
      body = null
      if (reason !== null) {
        if (frame.end > durable) return { ...tail, torn: reason }
        tail.damage.push({ offset: commit.bodyOffset, end: frame.end, reason })
        continue
      }
      if (commit.sequence > known)
        tail.leaves.push(encodedLeaf(leafOf(envelope, commit.envelope, commit.sequence, commit.committedAt)))
      tail.lastSequence = Math.max(tail.lastSequence, commit.sequence)
    }
    if (frame.type === FRAME.tombstone) {
      const stone = parseTombstoneFrame(frame.payload)
      if (stone.sequence > known) tail.leaves.push(encodedLeaf(tombstoneLeaf(stone, frame.payload)))
      tail.lastSequence = Math.max(tail.lastSequence, stone.sequence)
    }
    if (body === null) {
      tail.end = frame.end
      tail.head = frame.checksum
    }
  }
  return body === null ? tail : { ...tail, torn: 'an upload was under way' }
}

function durableOffsetOf(frame: WalkedFrame | Gap): number {
  if (frame.type === FRAME.commit) return parseCommit(frame.payload).durableOffset
  if (frame.type === FRAME.tombstone) return parseTombstoneFrame(frame.payload).durableOffset
  return 0
}

async function bodyFault(
  read: ReadAt,
  body: BodyFrame | null,
  commit: Commit,
  envelope: Envelope,
  durable: number,
): Promise<string | null> {
  const end = commit.bodyOffset + BODY_HEAD_BYTES + envelope.bodyLength
  if (body === null || body.offset !== commit.bodyOffset || body.end !== end)
    return 'a commit does not fit the body before it'
  if (end <= durable || (await bodyIsWhole(read, commit, envelope))) return null
  return 'a body is not what its commit says'
}

/**
 * Brings the index up to `end` of a pack with the normal path's own row makers.
 *
 * @param start - where the index stopped reading
 * @returns what of the pack is damaged, so far as this walk saw it
 */
export async function replay(
  index: Index,
  source: EpochSource,
  drive: DriveId,
  pack: PackId,
  read: ReadAt,
  start: WalkStart,
  end: number,
): Promise<Damage[]> {
  const bounded: ReadAt = (offset, length) => read(offset, Math.max(0, Math.min(length, end - offset)))
  const keyOf = metadataKeys(index, source, pack)
  const damage: Damage[] = []
  for await (const run of walkSound(bounded, end, start)) {
    let reached: WalkStart | null = null
    for (const frame of run) {
      if (frame.type === FRAME.body) continue
      if (frame.type === 'gap') {
        damage.push({ offset: frame.offset, end: frame.end, reason: frame.reason })
        continue
      }
      const changes = frameChanges(index, drive, pack, frame, keyOf)
      if (changes.length > 0) index.write(changes)
      reached = { offset: frame.end, previous: frame.checksum }
    }
    // after the rows that it covers: rows that are read twice say the same twice
    if (reached !== null) index.write([packChange(pack, reached.offset, reached.previous)])
  }
  return damage
}

type MetadataKeys = (epoch: EpochId) => ReturnType<typeof createSecretKey>

/** What a frame says of the index: that of one frame belongs into one transaction. */
function frameChanges(
  index: Index,
  drive: DriveId,
  pack: PackId,
  frame: Exclude<WalkedFrame, BodyFrame>,
  keyOf: MetadataKeys,
): IndexChange[] {
  if (frame.type === FRAME.commit) {
    const commit = parseCommit(frame.payload)
    const envelope = parseEnvelope(commit.envelope)
    const { kind, objectId, job, kekId: epoch } = envelope
    const sealed = openMetadata(keyOf(epoch), { kind, objectId, job, epoch }, envelope.sealedMetadata)
    const place = {
      pack,
      commitOffset: frame.offset,
      commitBytes: frame.end - frame.offset,
      bodyOffset: commit.bodyOffset,
    }
    return commitChanges(index, place, commit.sequence, committedObject(envelope), parseMetadata(sealed))
  }
  if (frame.type === FRAME.tombstone) {
    const { sequence, objectId, job, epoch, sealed } = parseTombstoneFrame(frame.payload)
    const stone = openMetadata(keyOf(epoch), { kind: TOMBSTONE, objectId, job, epoch }, sealed)
    return tombstoneChanges(index, sequence, parseTombstone(stone))
  }
  if (frame.type === FRAME.epoch) {
    const { epoch, keyRecord, wrappedMetadataKey } = parseEpochFrame(frame.payload)
    return [epochChange(epoch, keyRecord, wrappedMetadataKey)]
  }
  if (frame.type !== FRAME.leaves) return []
  const { firstIndex, leaves } = parseLeavesFrame(frame.payload)
  return [leavesChange(drive, { pack, offset: frame.offset, end: frame.end, firstIndex, count: leaves.length })]
}

function metadataKeys(index: Index, source: EpochSource, pack: PackId): MetadataKeys {
  const keys = new Map<EpochId, ReturnType<typeof createSecretKey>>()
  return epoch => {
    const known = keys.get(epoch)
    if (known !== undefined) return known
    const row = readEpoch(index, epoch)
    if (row === null)
      throw new StoreError(
        'damaged',
        `pack ${pack}: the epoch frame of ${epoch} is in none of the packs; its names cannot be read here`,
      )
    const key = createSecretKey(unwrapMetadataKey(source.indexKey, row.keptMetadataKey, epoch))
    keys.set(epoch, key)
    return key
  }
}
