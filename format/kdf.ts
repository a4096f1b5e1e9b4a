import { createHmac, hash, type KeyObject } from 'node:crypto'

const BLOCK_BYTES = 128 // SHA-384
const OUTPUT_BYTES = 48
/** Scratch of one call at a time, wiped before it returns; an allocation here costs as much as the hash. */
const INNER = Buffer.allocUnsafeSlow(BLOCK_BYTES + 512)
const OUTER = Buffer.allocUnsafeSlow(BLOCK_BYTES + OUTPUT_BYTES)

/**
 * HKDF-Expand with SHA-384 (RFC 5869 §2.3) for outputs of at most one block, which all of ours are.
 *
 * @param key - a uniformly random key of at most 128 bytes
 * @param length - 1..48 bytes
 */
export function expand(key: Uint8Array, info: Uint8Array, length: number): Buffer {
  if (length < 1 || length > OUTPUT_BYTES) throw new RangeError(`expand: 1..${OUTPUT_BYTES} bytes, asked for ${length}`)
  if (key.length > BLOCK_BYTES) throw new RangeError('expand: key above one block')
  // HMAC (RFC 2104) by two one-shot hashes: half the time of createHmac for a key that is used once
  const end = BLOCK_BYTES + info.length + 1
  const inner = end <= INNER.length ? INNER.subarray(0, end) : Buffer.allocUnsafeSlow(end)
  inner.fill(0x36, key.length, BLOCK_BYTES)
  OUTER.fill(0x5c, key.length, BLOCK_BYTES)
  for (let at = 0; at < key.length; at++) {
    const byte = key[at] ?? 0
    inner[at] = 0x36 ^ byte
    OUTER[at] = 0x5c ^ byte
  }
  inner.set(info, BLOCK_BYTES)
  inner[end - 1] = 1
  OUTER.set(hash('sha384', inner, 'buffer'), BLOCK_BYTES)
  const out = hash('sha384', OUTER, 'buffer')
  inner.fill(0, 0, BLOCK_BYTES)
  OUTER.fill(0)
  return out.subarray(0, length)
}

/** The same with a key that is used again and again. */
export function expandWith(key: KeyObject, info: Uint8Array, length: number): Buffer {
  return createHmac('sha384', key).update(info).update(Buffer.of(1)).digest().subarray(0, length)
}

/** As many as there are purposes in this format. */
const LABELS = new Map<string, Buffer>()

/** FORMAT.md §2.6: "sealift/v1 " ‖ purpose ‖ NUL ‖ parts: every label of ours ends in a zero byte, and none is a prefix of another. */
export function label(purpose: string, ...parts: Uint8Array[]): Buffer {
  let head = LABELS.get(purpose)
  if (head === undefined) {
    head = Buffer.from(`sealift/v1 ${purpose}\0`, 'ascii')
    LABELS.set(purpose, head)
  }
  return Buffer.concat([head, ...parts])
}
