import { type EpochId, idBytes, needBytes, prefixed, readId, readLength, writeLength } from './bytes.ts'
import { CORE_HEADER_BYTES, parseCoreHeader } from './core-header.ts'
import { WRAPPED_METADATA_KEY_BYTES } from './epoch-key.ts'
import { FormatError } from './fault.ts'
import { SEGMENT_OVERHEAD } from './floe.ts'
import {
  BODY_HEAD_BYTES,
  CHECKSUM_BYTES,
  FRAME,
  FRAME_HEAD_BYTES,
  type FrameType,
  openFrame,
  PACK_HEADER_BYTES,
  type PackHeader,
  parseFrameHead,
  parsePackHeader,
} from './frame.ts'
import { KEY_RECORD_LIMIT, peekKeyRecord } from './key-record.ts'
import { leafLength } from './leaf.ts'
import type { ReadAt } from './read-at.ts'

export type { ReadAt } from './read-at.ts'

export type WalkedFrame =
  | { type: typeof FRAME.body; offset: number; end: number; coreHeader: Buffer }
  | { type: Exclude<FrameType, typeof FRAME.body>; offset: number; end: number; payload: Buffer; checksum: Buffer }

/** Where a walk starts: after the pack header, or after a frame whose checksum is known. */
export type WalkStart = { offset: number; previous: Buffer }

export const PACK_START: WalkStart = { offset: PACK_HEADER_BYTES, previous: Buffer.alloc(CHECKSUM_BYTES) }

export async function readPackHeader(read: ReadAt): Promise<PackHeader> {
  return parsePackHeader(await read(0, PACK_HEADER_BYTES))
}

/**
 * Frame after frame, each checked and chained to the one before, to the end of the pack.
 *
 * @throws FormatError at the first frame that is not sound; the frames before it were
 * @see FORMAT.md §6.2
 */
export async function* walkPack(read: ReadAt, start: WalkStart = PACK_START): AsyncGenerator<WalkedFrame> {
  let { offset, previous } = start
  for (;;) {
    const head = await read(offset, BODY_HEAD_BYTES)
    if (head.length === 0) return
    const { type, payloadLength } = parseFrameHead(head)
    if (type === FRAME.body) {
      const coreHeader = await read(offset + BODY_HEAD_BYTES, CORE_HEADER_BYTES)
      const end = await bodyEnd(read, offset + BODY_HEAD_BYTES, coreHeader)
      yield { type, offset, end, coreHeader }
      offset = end
      continue
    }
    const frame = await read(offset, FRAME_HEAD_BYTES + payloadLength)
    needBytes(frame, 0, FRAME_HEAD_BYTES + payloadLength, 'frame')
    const opened = openFrame(frame)
    if (!opened.previous.equals(previous))
      throw new FormatError('tampered', `frame at ${offset}: does not follow the frame before it`)
    const end = offset + frame.length
    yield { type, offset, end, payload: opened.payload, checksum: opened.checksum }
    previous = opened.checksum
    offset = end
  }
}

/** A body ends with FLOE's final segment: the one whose length word is not 0xFFFFFFFF. */
async function bodyEnd(read: ReadAt, bodyOffset: number, coreHeader: Buffer): Promise<number> {
  const { segmentBytes } = parseCoreHeader(coreHeader)
  let at = bodyOffset + CORE_HEADER_BYTES
  for (;;) {
    const word = await read(at, 4)
    needBytes(word, 0, 4, 'segment')
    const length = word.readUInt32BE(0)
    if (length === 0xffffffff) {
      at += segmentBytes
      continue
    }
    if (length < SEGMENT_OVERHEAD || length > segmentBytes)
      throw new FormatError('malformed', `segment at ${at}: length ${length}`)
    const last = await read(at + length - 1, 1)
    needBytes(last, 0, 1, 'segment')
    return at + length
  }
}

/** Payload of an epoch frame: the signed key record and the metadata key wrapped under the device's index key. FORMAT.md §6.3 */
export type EpochFrame = { epoch: EpochId; keyRecord: Buffer; wrappedMetadataKey: Buffer }

export function encodeEpochFrame(keyRecord: Uint8Array, wrappedMetadataKey: Uint8Array): Buffer {
  return Buffer.concat([prefixed(keyRecord), wrappedMetadataKey])
}

export function parseEpochFrame(payload: Buffer): EpochFrame {
  needBytes(payload, 0, 4, 'epoch frame')
  const length = payload.readUInt32BE(0)
  if (length > KEY_RECORD_LIMIT) throw new FormatError('limit', `epoch frame: key record of ${length} bytes`)
  if (payload.length !== 4 + length + WRAPPED_METADATA_KEY_BYTES)
    throw new FormatError('malformed', 'epoch frame: wrong length')
  const keyRecord = payload.subarray(4, 4 + length)
  return { epoch: peekKeyRecord(keyRecord).epoch, keyRecord, wrappedMetadataKey: payload.subarray(4 + length) }
}

/** Payload of a leaves frame: epoch, index of its first leaf in the tree, and leaves one after another. FORMAT.md §6.6 */
export type LeavesFrame = { epoch: EpochId; firstIndex: number; leaves: Buffer[] }

const LEAVES_HEAD_BYTES = 28
const LEAVES_LIMIT = 65_536

export function encodeLeavesFrame(frame: LeavesFrame): Buffer {
  const head = Buffer.alloc(LEAVES_HEAD_BYTES)
  idBytes(frame.epoch).copy(head)
  writeLength(head, frame.firstIndex, 16)
  head.writeUInt32BE(frame.leaves.length, 24)
  return Buffer.concat([head, ...frame.leaves])
}

export function parseLeavesFrame(payload: Buffer): LeavesFrame {
  needBytes(payload, 0, LEAVES_HEAD_BYTES, 'leaves frame')
  const count = payload.readUInt32BE(24)
  if (count > LEAVES_LIMIT) throw new FormatError('limit', `leaves frame: ${count} leaves`)
  const leaves: Buffer[] = []
  let at = LEAVES_HEAD_BYTES
  for (let index = 0; index < count; index++) {
    const length = leafLength(payload, at)
    needBytes(payload, at, length, 'leaf')
    leaves.push(payload.subarray(at, at + length))
    at += length
  }
  if (at !== payload.length) throw new FormatError('malformed', 'leaves frame: bytes after its last leaf')
  return { epoch: readId(payload, 0), firstIndex: readLength(payload, 16, 'leaf index'), leaves }
}
