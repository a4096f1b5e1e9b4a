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
  for await (const run of walkRuns(read, start)) yield* run
}

/** Bytes read at once where frames are small; a window that held no whole frame begins again with the least. */
const WINDOW_BYTES = { least: 16 << 10, most: 256 << 10 } as const

/** The same in runs, so that small frames cost no turn of the loop each. */
export async function* walkRuns(read: ReadAt, start: WalkStart): AsyncGenerator<WalkedFrame[]> {
  let { offset, previous } = start
  let windowBytes: number = WINDOW_BYTES.least
  for (;;) {
    const window = await read(offset, windowBytes)
    if (window.length === 0) return
    const { frames, fault } = framesIn(window, offset, previous)
    if (frames.length === 0 && fault === null) frames.push(await frameAt(read, offset, previous))
    else windowBytes = WINDOW_BYTES.most
    if (frames.length === 1) windowBytes = WINDOW_BYTES.least
    if (frames.length > 0) yield frames
    if (fault !== null) throw fault
    for (const frame of frames) {
      offset = frame.end
      if (frame.type !== FRAME.body) previous = frame.checksum
    }
    // a reader may use a window's memory again
    previous = Buffer.from(previous)
  }
}

/** Frames that lie whole in the window, up to the first that is not sound. */
function framesIn(window: Buffer, base: number, start: Buffer): { frames: WalkedFrame[]; fault: FormatError | null } {
  const frames: WalkedFrame[] = []
  let previous = start
  let at = 0
  try {
    while (window.length - at >= BODY_HEAD_BYTES) {
      const { type, payloadLength } = parseFrameHead(window.subarray(at, at + BODY_HEAD_BYTES))
      const offset = base + at
      if (type === FRAME.body) {
        const bodyAt = at + BODY_HEAD_BYTES
        if (window.length - bodyAt < CORE_HEADER_BYTES) break
        const coreHeader = window.subarray(bodyAt, bodyAt + CORE_HEADER_BYTES)
        const end = bodyEndIn(window, bodyAt, coreHeader, base)
        if (end === null) break
        frames.push({ type, offset, end: base + end, coreHeader })
        at = end
        continue
      }
      const end = at + FRAME_HEAD_BYTES + payloadLength
      if (end > window.length) break
      const { payload, checksum } = openNext(window.subarray(at, end), offset, previous)
      frames.push({ type, offset, end: base + end, payload, checksum })
      previous = checksum
      at = end
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    return { frames, fault: error }
  }
  return { frames, fault: null }
}

/** One frame, wherever it ends. */
async function frameAt(read: ReadAt, offset: number, previous: Buffer): Promise<WalkedFrame> {
  const { type, payloadLength } = parseFrameHead(await read(offset, BODY_HEAD_BYTES))
  if (type === FRAME.body) {
    const coreHeader = await read(offset + BODY_HEAD_BYTES, CORE_HEADER_BYTES)
    const end = await bodyEnd(read, offset + BODY_HEAD_BYTES, coreHeader)
    return { type, offset, end, coreHeader }
  }
  const frame = await read(offset, FRAME_HEAD_BYTES + payloadLength)
  needBytes(frame, 0, FRAME_HEAD_BYTES + payloadLength, 'frame')
  const { payload, checksum } = openNext(frame, offset, previous)
  return { type, offset, end: offset + frame.length, payload, checksum }
}

function openNext(frame: Buffer, offset: number, previous: Buffer): { payload: Buffer; checksum: Buffer } {
  const opened = openFrame(frame)
  if (!opened.previous.equals(previous))
    throw new FormatError('tampered', `frame at ${offset}: does not follow the frame before it`)
  return opened
}

/** A body ends with FLOE's final segment: the one whose length word is not 0xFFFFFFFF. */
async function bodyEnd(read: ReadAt, bodyOffset: number, coreHeader: Buffer): Promise<number> {
  const { segmentBytes } = parseCoreHeader(coreHeader)
  for (let at = bodyOffset + CORE_HEADER_BYTES; ; at += segmentBytes) {
    const word = await read(at, 4)
    needBytes(word, 0, 4, 'segment')
    const end = finalSegmentEnd(word.readUInt32BE(0), at, segmentBytes)
    if (end === null) continue
    const last = await read(end - 1, 1)
    needBytes(last, 0, 1, 'segment')
    return end
  }
}

/** The same within a window that begins at `base`. @returns null - it ends beyond */
function bodyEndIn(window: Buffer, bodyAt: number, coreHeader: Buffer, base: number): number | null {
  const { segmentBytes } = parseCoreHeader(coreHeader)
  for (let at = bodyAt + CORE_HEADER_BYTES; window.length - at >= 4; at += segmentBytes) {
    const end = finalSegmentEnd(window.readUInt32BE(at), base + at, segmentBytes)
    if (end !== null) return end - base <= window.length ? end - base : null
  }
  return null
}

/** @returns null - not the final one */
function finalSegmentEnd(length: number, at: number, segmentBytes: number): number | null {
  if (length === 0xffffffff) return null
  if (length < SEGMENT_OVERHEAD || length > segmentBytes)
    throw new FormatError('malformed', `segment at ${at}: length ${length}`)
  return at + length
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
