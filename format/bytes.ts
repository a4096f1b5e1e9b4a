import { timingSafeEqual } from 'node:crypto'
import { FormatError } from './fault.ts'
import { randomOf } from './random.ts'

/** 128-bit random identifiers, 32 lower-case hex digits in memory, 16 bytes on media. */
type Id<Brand extends string> = string & { readonly brand: Brand }
export type ObjectId = Id<'object'>
export type JobId = Id<'job'>
export type DeviceId = Id<'device'>
export type DriveId = Id<'drive'>
export type PackId = Id<'pack'>
export type EpochId = Id<'epoch'>
export type GrantId = Id<'grant'>
export type AnyId = ObjectId | JobId | DeviceId | DriveId | PackId | EpochId | GrantId

export const ID_BYTES = 16
export const NO_ID = '0'.repeat(32)
const HEX_ID = /^[0-9a-f]{32}$/

export function newId<T extends AnyId>(): T {
  return randomOf(ID_BYTES).toString('hex') as T
}

/** @throws FormatError "malformed" - not 32 lower-case hex digits */
export function parseId<T extends AnyId>(text: string, what: string): T {
  if (!HEX_ID.test(text))
    throw new FormatError('malformed', `${what}: wanted 32 hex digits, found ${JSON.stringify(text.slice(0, 40))}`)
  return text as T
}

/** The id in the 16 bytes at `offset`. The caller has checked the length. */
export function readId<T extends AnyId>(bytes: Buffer, offset: number): T {
  return bytes.toString('hex', offset, offset + ID_BYTES) as T
}

export function idBytes(id: AnyId): Buffer {
  return Buffer.from(id, 'hex')
}

/** Zeroes out of the shared pool: memory of its own costs five times as much for the few bytes that most structures have. */
export function zeroes(length: number): Buffer {
  return Buffer.allocUnsafe(length).fill(0)
}

/** Unsigned 64-bit at `offset` as a number. @throws FormatError "limit" - above 2^53-1, which no length of ours reaches */
export function readLength(bytes: Buffer, offset: number, what: string): number {
  const high = bytes.readUInt32BE(offset)
  if (high > 0x1fffff) throw new FormatError('limit', `${what} is above 2^53-1`)
  return high * 0x1_0000_0000 + bytes.readUInt32BE(offset + 4)
}

export function writeLength(bytes: Buffer, value: number, offset: number): void {
  bytes.writeUInt32BE(Math.floor(value / 0x1_0000_0000), offset)
  bytes.writeUInt32BE(value % 0x1_0000_0000, offset + 4)
}

/** BE32 length ‖ bytes. */
export function prefixed(bytes: Uint8Array | string): Buffer {
  const body = typeof bytes === 'string' ? Buffer.from(bytes, 'utf8') : bytes
  const out = Buffer.allocUnsafe(4 + body.length)
  out.writeUInt32BE(body.length, 0)
  out.set(body, 4)
  return out
}

/** `head`, then every part as BE32 length ‖ bytes. */
export function prefixedList(head: Uint8Array, parts: readonly (Uint8Array | string)[]): Buffer {
  let length = head.length
  for (const part of parts) length += 4 + (typeof part === 'string' ? Buffer.byteLength(part) : part.length)
  const out = Buffer.allocUnsafe(length)
  out.set(head, 0)
  let at = head.length
  for (const part of parts) {
    const written = typeof part === 'string' ? out.write(part, at + 4, 'utf8') : part.length
    if (typeof part !== 'string') out.set(part, at + 4)
    out.writeUInt32BE(written, at)
    at += 4 + written
  }
  return out
}

/** Constant time in the contents; lengths are public. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

/** @throws FormatError "truncated" - fewer than `wanted` bytes from `offset` */
export function needBytes(bytes: Uint8Array, offset: number, wanted: number, what: string): void {
  if (bytes.length < offset + wanted)
    throw new FormatError(
      'truncated',
      `${what}: wanted ${wanted} bytes at offset ${offset}, found ${Math.max(0, bytes.length - offset)}`,
    )
}

/** A view of the same bytes with Buffer's reading methods. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Less is not worth a call: it goes with the next small collection. */
const GIVEN_BACK_BYTES = 4096

/**
 * Gives the memory of bytes back at once that nobody reads any more. Collections look at what objects weigh, not at the buffers behind
 * them, and let a hundred megabytes of those lie in every thread; and what was just given back is still in the processor's caches for
 * the next. Only for bytes that the caller made, or was given to keep, and that no write or read under way still touches: all views of them
 * are empty afterwards. A part of a larger buffer stays what it is, so what Node cuts from its pool is safe.
 */
export function giveBack(bytes: Uint8Array): void {
  if (bytes.byteLength === bytes.buffer.byteLength) release(bytes.buffer)
}

/** The same of a whole buffer, whichever part of it was used. */
export function giveBackBuffer(buffer: ArrayBufferLike): void {
  // the trap: a slab of Node's pool, where small buffers of others lie side by side
  if (buffer.byteLength !== Buffer.poolSize) release(buffer)
}

function release(buffer: ArrayBufferLike): void {
  // what was given back already has no length
  if (buffer.byteLength >= GIVEN_BACK_BYTES && buffer instanceof ArrayBuffer) buffer.transfer(0)
}

/** A copy in memory of its own. What is posted to a thread takes the whole buffer along that it lies in: of a pool's slab all that lies there. */
export function apart(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes)
}
