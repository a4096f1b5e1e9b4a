import { asBuffer, idBytes, needBytes, type ObjectId, readId } from './bytes.ts'
import { sha384 } from './digest.ts'
import { FormatError } from './fault.ts'
import { FLOE_HEADER_BYTES, MAX_SEGMENT_BYTES, MIN_SEGMENT_BYTES } from './floe.ts'

/**
 * First bytes of every body. Says nothing of job, epoch, name or wrapping, so that a body never changes.
 * @see FORMAT.md §3.1
 */
export type CoreHeader = { objectId: ObjectId; segmentBytes: number; floeHeader: Buffer }

export const CORE_HEADER_BYTES = 102
const AT = { magic: 0, version: 4, suite: 5, flags: 6, segmentBytes: 8, objectId: 12, floeHeader: 28 } as const
const MAGIC = Buffer.from('SLFT', 'ascii')
const VERSION = 1
const SUITE_FLOE_AES256GCM_SHA384 = 1
/** Bits 8-15: a reader that does not know one of them refuses. Bits 0-7: may be ignored; v1 defines none and writes zero. */
const CRITICAL_FLAGS = 0xff00

/** The 28 bytes before the FLOE header, from which FLOE's AAD is made. */
export function encodeCorePrefix(objectId: ObjectId, segmentBytes: number): Buffer {
  const out = Buffer.alloc(AT.floeHeader)
  MAGIC.copy(out, AT.magic)
  out[AT.version] = VERSION
  out[AT.suite] = SUITE_FLOE_AES256GCM_SHA384
  out.writeUInt32BE(segmentBytes, AT.segmentBytes)
  idBytes(objectId).copy(out, AT.objectId)
  return out
}

/** FLOE's AAD: SHA-384 of the core header without the FLOE header. FORMAT.md §3.2 */
export function floeAad(coreHeader: Uint8Array): Buffer {
  return sha384(coreHeader.subarray(0, AT.floeHeader))
}

/** SHA-384 of the whole core header: what envelopes bind. */
export function coreHeaderHash(coreHeader: Uint8Array): Buffer {
  return sha384(coreHeader.subarray(0, CORE_HEADER_BYTES))
}

/** @throws FormatError "truncated" | "malformed" | "unsupported" | "limit" */
export function parseCoreHeader(bytes: Uint8Array): CoreHeader {
  const view = asBuffer(bytes)
  needBytes(view, 0, CORE_HEADER_BYTES, 'core header')
  if (!view.subarray(AT.magic, AT.version).equals(MAGIC))
    throw new FormatError('malformed', 'core header: does not begin with SLFT')
  if (view[AT.version] !== VERSION)
    throw new FormatError('unsupported', `core header: version ${view[AT.version]}; this reader knows ${VERSION}`)
  if (view[AT.suite] !== SUITE_FLOE_AES256GCM_SHA384)
    throw new FormatError('unsupported', `core header: suite ${view[AT.suite]}; this reader knows 1`)
  const flags = view.readUInt16BE(AT.flags)
  if ((flags & CRITICAL_FLAGS) !== 0)
    throw new FormatError('unsupported', `core header: unknown critical flags 0x${flags.toString(16)}`)
  const segmentBytes = view.readUInt32BE(AT.segmentBytes)
  if (segmentBytes < MIN_SEGMENT_BYTES || segmentBytes > MAX_SEGMENT_BYTES)
    throw new FormatError(
      'limit',
      `core header: segment length ${segmentBytes}; wanted ${MIN_SEGMENT_BYTES}..${MAX_SEGMENT_BYTES}`,
    )
  return {
    objectId: readId(view, AT.objectId),
    segmentBytes,
    floeHeader: view.subarray(AT.floeHeader, AT.floeHeader + FLOE_HEADER_BYTES),
  }
}
