import { randomFillSync } from 'node:crypto'

/** One call of the system's generator costs as much as sealing a small object: it is asked for many numbers at once. */
const POOL = Buffer.allocUnsafeSlow(16_384)
let next = POOL.length

/** `length` random bytes of their own, at most 1024; the pool forgets them. */
export function randomOf(length: number): Buffer {
  const out = Buffer.allocUnsafeSlow(length)
  fillRandom(out, 0, length)
  return out
}

/** The same into `target` at `offset`. */
export function fillRandom(target: Uint8Array, offset: number, length: number): void {
  if (length < 0 || length > 1024) throw new RangeError(`random: 0..1024 bytes, asked for ${length}`)
  if (next + length > POOL.length) {
    randomFillSync(POOL)
    next = 0
  }
  POOL.copy(target, offset, next, next + length)
  POOL.fill(0, next, next + length)
  next += length
}
