import type { ReadAt } from '../../format/pack-walk.ts'

const WINDOW_BYTES = 1 << 20
/** Kept of what lies before: a small body and the commit that names it stand on both sides of a window's edge. */
const BEHIND_BYTES = 64 << 10
const JUMP_BYTES = 4096

/**
 * Reads at offsets through a window that moves on, for a walk that looks back at small things: frames, and the bodies before them. A jump
 * (over a large body's segments) reads little; what is large, or lies further back, is read apart and the window stays where it is.
 */
export function readingOn(read: ReadAt): ReadAt {
  let start = 0
  let held: Buffer = Buffer.alloc(0)
  return async (offset, length) => {
    const end = start + held.length
    if (offset < start || length >= WINDOW_BYTES) return read(offset, length)
    if (offset + length > end) {
      const goesOn = offset <= end + JUMP_BYTES
      const from = goesOn ? Math.max(start, offset - BEHIND_BYTES) : offset
      held = await read(from, offset - from + (goesOn ? WINDOW_BYTES : Math.max(length, JUMP_BYTES)))
      start = from
    }
    return held.subarray(offset - start, offset - start + length)
  }
}
