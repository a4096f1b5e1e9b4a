import {
  asBuffer,
  type DeviceId,
  type DriveId,
  equalBytes,
  idBytes,
  type JobId,
  needBytes,
  type PackId,
  readId,
  readLength,
  writeLength,
} from './bytes.ts'
import { sha256 } from './digest.ts'
import { ENVELOPE_LIMIT } from './envelope.ts'
import { FormatError } from './fault.ts'

/** First bytes of a pack. @see FORMAT.md §6.1 */
export type PackHeader = {
  pack: PackId
  job: JobId
  device: DeviceId
  drive: DriveId
  firstSequence: number
  createdAt: number
}

export const PACK_HEADER_BYTES = 120
const PACK_AT = {
  magic: 0,
  version: 4,
  flags: 5,
  reserved: 6,
  pack: 8,
  job: 24,
  device: 40,
  drive: 56,
  firstSequence: 72,
  createdAt: 80,
  checksum: 88,
} as const
const PACK_MAGIC = Buffer.from('SLPK', 'ascii')

export function encodePackHeader(header: PackHeader): Buffer {
  const out = Buffer.alloc(PACK_HEADER_BYTES)
  PACK_MAGIC.copy(out)
  out[PACK_AT.version] = 1
  idBytes(header.pack).copy(out, PACK_AT.pack)
  idBytes(header.job).copy(out, PACK_AT.job)
  idBytes(header.device).copy(out, PACK_AT.device)
  idBytes(header.drive).copy(out, PACK_AT.drive)
  writeLength(out, header.firstSequence, PACK_AT.firstSequence)
  writeLength(out, header.createdAt, PACK_AT.createdAt)
  sha256(out.subarray(0, PACK_AT.checksum)).copy(out, PACK_AT.checksum)
  return out
}

/** @throws FormatError "truncated" | "malformed" | "unsupported" | "tampered" */
export function parsePackHeader(bytes: Uint8Array): PackHeader {
  const view = asBuffer(bytes)
  needBytes(view, 0, PACK_HEADER_BYTES, 'pack header')
  if (!view.subarray(0, 4).equals(PACK_MAGIC))
    throw new FormatError('malformed', 'pack header: does not begin with SLPK')
  if (view[PACK_AT.version] !== 1) throw new FormatError('unsupported', `pack header: version ${view[PACK_AT.version]}`)
  if (!equalBytes(sha256(view.subarray(0, PACK_AT.checksum)), view.subarray(PACK_AT.checksum, PACK_HEADER_BYTES)))
    throw new FormatError('tampered', 'pack header: checksum does not fit')
  if (view[PACK_AT.flags] !== 0 || view.readUInt16BE(PACK_AT.reserved) !== 0)
    throw new FormatError('unsupported', 'pack header: unknown flags')
  return {
    pack: readId(view, PACK_AT.pack),
    job: readId(view, PACK_AT.job),
    device: readId(view, PACK_AT.device),
    drive: readId(view, PACK_AT.drive),
    firstSequence: readLength(view, PACK_AT.firstSequence, 'first sequence'),
    createdAt: readLength(view, PACK_AT.createdAt, 'time'),
  }
}

/**
 * Frames follow each other without gaps. A body frame is a bare 16-byte head and a body that ends itself (FLOE's final segment); every
 * other frame carries its length, the checksum of the frame before it and its own: the last checksum of a pack stands for all of them,
 * and through the digests in commits for the bodies too. Types 6 and 7 are reserved: no writer leaves them, a reader refuses them.
 * @see FORMAT.md §6.2
 */
export const FRAME = { epoch: 1, body: 2, commit: 3, tombstone: 4, leaves: 5, checkpoint: 6, parity: 7 } as const
export type FrameType = (typeof FRAME)[keyof typeof FRAME]

export const BODY_HEAD_BYTES = 16
export const FRAME_HEAD_BYTES = 80
export const CHECKSUM_BYTES = 32
/** Above every payload that a writer leaves; checked before allocation. */
export const PAYLOAD_LIMIT = 16 << 20
const AT = { magic: 0, type: 4, flags: 5, reserved: 6, length: 8, previous: 16, checksum: 48 } as const
const FRAME_MAGIC = Buffer.from('SLFR', 'ascii')

export function encodeBodyHead(): Buffer {
  const out = Buffer.alloc(BODY_HEAD_BYTES)
  FRAME_MAGIC.copy(out)
  out[AT.type] = FRAME.body
  return out
}

/** @returns the frame, and its checksum: `previous` of the next */
export function encodeFrame(
  type: Exclude<FrameType, 2>,
  previous: Uint8Array,
  payload: Uint8Array,
): { frame: Buffer; checksum: Buffer } {
  if (payload.length > PAYLOAD_LIMIT) throw new FormatError('limit', `frame: ${payload.length} bytes of payload`)
  const frame = Buffer.allocUnsafe(FRAME_HEAD_BYTES + payload.length)
  frame.fill(0, 0, FRAME_HEAD_BYTES)
  FRAME_MAGIC.copy(frame)
  frame[AT.type] = type
  writeLength(frame, payload.length, AT.length)
  frame.set(previous, AT.previous)
  frame.set(payload, FRAME_HEAD_BYTES)
  const checksum = frameChecksum(frame)
  checksum.copy(frame, AT.checksum)
  return { frame, checksum }
}

/** SHA-256 of head up to the checksum ‖ payload. */
function frameChecksum(frame: Buffer): Buffer {
  return sha256(Buffer.concat([frame.subarray(0, AT.checksum), frame.subarray(FRAME_HEAD_BYTES)]))
}

export type FrameHead = { type: FrameType; payloadLength: number }

/**
 * The first 16 bytes of a frame.
 * @throws FormatError "truncated" | "malformed" | "unsupported" | "limit"
 */
export function parseFrameHead(bytes: Uint8Array): FrameHead {
  const view = asBuffer(bytes)
  needBytes(view, 0, BODY_HEAD_BYTES, 'frame head')
  if (!view.subarray(0, 4).equals(FRAME_MAGIC)) throw new FormatError('malformed', 'frame: does not begin with SLFR')
  const type = Object.values(FRAME).find(each => each === view[AT.type])
  if (type === undefined || type === FRAME.checkpoint || type === FRAME.parity)
    throw new FormatError('unsupported', `frame: type ${view[AT.type]}`) // 6 and 7 are reserved
  if (view[AT.flags] !== 0 || view.readUInt16BE(AT.reserved) !== 0)
    throw new FormatError('unsupported', 'frame: unknown flags')
  const payloadLength = readLength(view, AT.length, 'frame length')
  if (type === FRAME.body ? payloadLength !== 0 : payloadLength > PAYLOAD_LIMIT)
    throw new FormatError('limit', `frame: payload of ${payloadLength} bytes`)
  return { type, payloadLength }
}

/** Checks a whole non-body frame and gives its parts. @throws FormatError "tampered" - checksum */
export function openFrame(frame: Buffer): { previous: Buffer; checksum: Buffer; payload: Buffer } {
  needBytes(frame, 0, FRAME_HEAD_BYTES, 'frame')
  const checksum = frame.subarray(AT.checksum, FRAME_HEAD_BYTES)
  if (!equalBytes(frameChecksum(frame), checksum)) throw new FormatError('tampered', 'frame: checksum does not fit')
  return { previous: frame.subarray(AT.previous, AT.checksum), checksum, payload: frame.subarray(FRAME_HEAD_BYTES) }
}

/** Payload of a commit frame. @see FORMAT.md §6.4 */
export type Commit = {
  sequence: number
  committedAt: number
  /** of the body frame in this pack; 0 for a composite */
  bodyOffset: number
  /** all before this offset was on stable storage when the frame was written: recovery re-reads only bodies after it */
  durableOffset: number
  envelope: Buffer
}
const COMMIT_AT = { sequence: 0, committedAt: 8, bodyOffset: 16, durableOffset: 24, envelope: 32 } as const

export function encodeCommit(commit: Commit): Buffer {
  const out = Buffer.allocUnsafe(COMMIT_AT.envelope + commit.envelope.length)
  writeLength(out, commit.sequence, COMMIT_AT.sequence)
  writeLength(out, commit.committedAt, COMMIT_AT.committedAt)
  writeLength(out, commit.bodyOffset, COMMIT_AT.bodyOffset)
  writeLength(out, commit.durableOffset, COMMIT_AT.durableOffset)
  commit.envelope.copy(out, COMMIT_AT.envelope)
  return out
}

export function parseCommit(payload: Buffer): Commit {
  needBytes(payload, 0, COMMIT_AT.envelope, 'commit')
  if (payload.length > COMMIT_AT.envelope + ENVELOPE_LIMIT)
    throw new FormatError('limit', `commit: ${payload.length} bytes`)
  return {
    sequence: readLength(payload, COMMIT_AT.sequence, 'sequence'),
    committedAt: readLength(payload, COMMIT_AT.committedAt, 'time'),
    bodyOffset: readLength(payload, COMMIT_AT.bodyOffset, 'body offset'),
    durableOffset: readLength(payload, COMMIT_AT.durableOffset, 'durable offset'),
    envelope: payload.subarray(COMMIT_AT.envelope),
  }
}
