import { createSecretKey } from 'node:crypto'
import type { DriveId, EpochId, PackId } from '../../format/bytes.ts'
import { startDigest } from '../../format/digest.ts'
import { COMPOSITE, parseEnvelope, TOMBSTONE } from '../../format/envelope.ts'
import { unwrapMetadataKey } from '../../format/epoch-key.ts'
import { FormatError } from '../../format/fault.ts'
import {
  BODY_HEAD_BYTES,
  type Commit,
  FRAME,
  FRAME_HEAD_BYTES,
  openFrame,
  parseCommit,
  parseFrameHead,
} from '../../format/frame.ts'
import { type Leaf, leafOf, parseTombstoneFrame, tombstoneLeaf } from '../../format/leaf.ts'
import { openMetadata, parseMetadata, parseTombstone } from '../../format/metadata.ts'
import {
  parseEpochFrame,
  parseLeavesFrame,
  type ReadAt,
  type WalkedFrame,
  type WalkStart,
  walkPack,
} from '../../format/pack-walk.ts'
import type { Index, IndexChange } from '../index-store.ts'
import type { EpochSource } from './epoch-source.ts'
import { commitChanges, epochChange, leavesChange, packChange, readEpoch, tombstoneChanges } from './rows.ts'

/** What a walk over a pack's tail found. `end` and `head` are of the last sound frame. */
export type Tail = { end: number; head: Buffer; leaves: Leaf[]; lastSequence: number; fault: TailFault | null }
export type TailFault = { kind: 'torn' | 'damage'; offset: number; reason: string }

/**
 * Reads what a pack holds after `start`: which commits count, and where the sound part ends.
 *
 * A commit frame says how far its pack was on stable storage when it was written. Bodies before the highest such offset were covered by
 * an `fdatasync`; those after it are read again and compared with their digest, because a power cut may have kept the frame and lost
 * the body. A bad frame is a torn tail unless a later sound frame of the pack proves that it was durable: then it is damage.
 *
 * @param known - commits up to this sequence number are under a signed checkpoint and need no leaf
 * @see FORMAT.md §6.7
 */
export async function readTail(read: ReadAt, size: number, start: WalkStart, known: number): Promise<Tail> {
  const frames: WalkedFrame[] = []
  let durable = start.offset
  let fault: TailFault | null = null
  let end = start.offset
  try {
    for await (const frame of walkPack(read, start)) {
      frames.push(frame.type === FRAME.leaves ? { ...frame, payload: Buffer.alloc(0) } : frame)
      durable = Math.max(durable, durableOffsetOf(frame))
      end = frame.end
    }
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    const later = await provenDurable(read, end, size)
    fault = { kind: later > end ? 'damage' : 'torn', offset: end, reason: cause.message }
    durable = Math.max(durable, Math.min(later, end))
  }
  return settle(read, frames, start, durable, known, fault)
}

function durableOffsetOf(frame: WalkedFrame): number {
  if (frame.type === FRAME.commit) return parseCommit(frame.payload).durableOffset
  if (frame.type === FRAME.tombstone) return parseTombstoneFrame(frame.payload).durableOffset
  return 0
}

/** Keeps frames up to the first object that is not whole; a body without a commit is no object. */
async function settle(
  read: ReadAt,
  frames: WalkedFrame[],
  start: WalkStart,
  durable: number,
  known: number,
  found: TailFault | null,
): Promise<Tail> {
  const tail: Tail = { end: start.offset, head: start.previous, leaves: [], lastSequence: 0, fault: found }
  let open: (WalkedFrame & { type: typeof FRAME.body }) | null = null
  for (const frame of frames) {
    if (frame.type === FRAME.body) {
      open = frame
      continue
    }
    if (frame.type === FRAME.commit) {
      const commit = parseCommit(frame.payload)
      const envelope = parseEnvelope(commit.envelope)
      const reason =
        envelope.kind === COMPOSITE
          ? null
          : await bodyFault(
              read,
              open,
              commit,
              envelope.bodyLength,
              durable,
              () => startDigest(envelope.digestId),
              envelope.digest,
            )
      if (reason !== null)
        return { ...tail, fault: { kind: frame.end <= durable ? 'damage' : 'torn', offset: tail.end, reason } }
      if (commit.sequence > known)
        tail.leaves.push(leafOf(envelope, commit.envelope, commit.sequence, commit.committedAt))
      tail.lastSequence = Math.max(tail.lastSequence, commit.sequence)
      open = null
    }
    if (frame.type === FRAME.tombstone) {
      const stone = parseTombstoneFrame(frame.payload)
      if (stone.sequence > known) tail.leaves.push(tombstoneLeaf(stone, frame.payload))
      tail.lastSequence = Math.max(tail.lastSequence, stone.sequence)
    }
    if (open === null) {
      tail.end = frame.end
      tail.head = frame.checksum
    }
  }
  if (open !== null && tail.fault === null)
    tail.fault = { kind: 'torn', offset: tail.end, reason: 'an upload was under way' }
  return tail
}

async function bodyFault(
  read: ReadAt,
  body: WalkedFrame | null,
  commit: Commit,
  length: number,
  durable: number,
  start: () => ReturnType<typeof startDigest>,
  digest: Buffer,
): Promise<string | null> {
  if (body === null || body.offset !== commit.bodyOffset || body.end - body.offset - BODY_HEAD_BYTES !== length)
    return 'a commit does not fit the body before it'
  if (body.end <= durable) return null
  const hasher = start()
  for (let at = body.offset + BODY_HEAD_BYTES; at < body.end; at += 1 << 20)
    hasher.update(await read(at, Math.min(1 << 20, body.end - at)))
  return hasher.digest().equals(digest) ? null : 'a body is not what its commit says'
}

const SCAN_BYTES = 4 << 20
const MAGIC = Buffer.from('SLFR', 'ascii')

/** Highest durable offset that any sound frame after `from` names; 0 when there is none. Reads to the end of the pack: only after a fault. */
async function provenDurable(read: ReadAt, from: number, size: number): Promise<number> {
  let highest = 0
  for (let base = from; base < size; base += SCAN_BYTES) {
    const bytes = await read(base, SCAN_BYTES + MAGIC.length)
    for (let at = bytes.indexOf(MAGIC); at >= 0 && at < SCAN_BYTES; at = bytes.indexOf(MAGIC, at + 1))
      highest = Math.max(highest, await durableAt(read, base + at))
  }
  return highest
}

async function durableAt(read: ReadAt, offset: number): Promise<number> {
  try {
    const { type, payloadLength } = parseFrameHead(await read(offset, BODY_HEAD_BYTES))
    if (type !== FRAME.commit && type !== FRAME.tombstone) return 0
    const frame = await read(offset, FRAME_HEAD_BYTES + payloadLength)
    const { payload } = openFrame(frame)
    return type === FRAME.commit ? parseCommit(payload).durableOffset : parseTombstoneFrame(payload).durableOffset
  } catch (error) {
    if (error instanceof FormatError) return 0
    throw error
  }
}

const ROWS_A_WRITE = 500

/**
 * Brings the index up to `end` of a pack with the normal path's own row makers.
 * @param start - where the index stopped reading
 */
export async function replay(
  index: Index,
  source: EpochSource,
  drive: DriveId,
  pack: PackId,
  read: ReadAt,
  start: WalkStart,
  end: number,
): Promise<void> {
  const bounded: ReadAt = (offset, length) => read(offset, Math.max(0, Math.min(length, end - offset)))
  const keys = new Map<EpochId, ReturnType<typeof createSecretKey>>()
  const keyOf = (epoch: EpochId) => {
    const known = keys.get(epoch)
    if (known !== undefined) return known
    const row = readEpoch(index, epoch)
    if (row === null)
      throw new FormatError('malformed', `pack ${pack}: no epoch frame of epoch ${epoch} before its first object`)
    const key = createSecretKey(unwrapMetadataKey(source.indexKey, row.keptMetadataKey, epoch))
    keys.set(epoch, key)
    return key
  }
  let changes: IndexChange[] = []
  let unwritten = 0
  let reached = start
  for await (const frame of walkPack(bounded, start)) {
    if (frame.type === FRAME.body) continue
    if (frame.type === FRAME.epoch) {
      const { epoch, keyRecord, wrappedMetadataKey } = parseEpochFrame(frame.payload)
      index.write([epochChange(epoch, keyRecord, wrappedMetadataKey)])
    } else if (frame.type === FRAME.commit) {
      const commit = parseCommit(frame.payload)
      const envelope = parseEnvelope(commit.envelope)
      const metadataPlace = {
        kind: envelope.kind,
        objectId: envelope.objectId,
        job: envelope.job,
        epoch: envelope.kekId,
      }
      const metadata = parseMetadata(openMetadata(keyOf(envelope.kekId), metadataPlace, envelope.sealedMetadata))
      const place = {
        pack,
        commitOffset: frame.offset,
        commitBytes: frame.end - frame.offset,
        bodyOffset: commit.bodyOffset,
      }
      changes = commitChanges(index, place, commit, envelope, metadata)
    } else if (frame.type === FRAME.tombstone) {
      const stone = parseTombstoneFrame(frame.payload)
      const metadataPlace = { kind: TOMBSTONE, objectId: stone.objectId, job: stone.job, epoch: stone.epoch }
      changes = tombstoneChanges(
        index,
        stone.sequence,
        parseTombstone(openMetadata(keyOf(stone.epoch), metadataPlace, stone.sealed)),
      )
    }
    if (frame.type === FRAME.leaves) {
      const { firstIndex, leaves } = parseLeavesFrame(frame.payload)
      changes = [leavesChange(drive, { pack, offset: frame.offset, end: frame.end, firstIndex, count: leaves.length })]
    }
    reached = { offset: frame.end, previous: frame.checksum }
    unwritten++
    if (changes.length > 0 || unwritten >= ROWS_A_WRITE) {
      index.write([...changes, packChange(pack, reached.offset, reached.previous)])
      changes = []
      unwritten = 0
    }
  }
  if (unwritten > 0) index.write([packChange(pack, reached.offset, reached.previous)])
}
