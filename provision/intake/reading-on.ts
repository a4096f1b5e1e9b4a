import type { FileHandle } from 'node:fs/promises'
import type { ReadAt } from '../../format/pack-walk.ts'

const WINDOW_BYTES = 1 << 20
/** Kept of what lies before: a small body and the commit that names it stand on both sides of a window's edge. */
const BEHIND_BYTES = 64 << 10
const JUMP_BYTES = 4096

/**
 * Reads at offsets through a window that moves on, for a walk that looks back at small things: frames, and the bodies before them. A jump
 * (over a large body's segments) reads little; what is large, or lies further back, is read apart and the window stays where it is.
 *
 * What it gives is valid till the window moves on: its memory is used again, since new memory for each would have the collector run for
 * every few of them. Only reads that reach behind the window's end move it. What is read apart is the asker's.
 */
export function readingOn(file: FileHandle): ReadAt {
  const window = Buffer.allocUnsafeSlow(BEHIND_BYTES + WINDOW_BYTES)
  let start = 0
  let held: Buffer = Buffer.alloc(0)
  return async (offset, length) => {
    const end = start + held.length
    if (offset < start || length >= WINDOW_BYTES) return fill(file, Buffer.allocUnsafeSlow(length), offset)
    if (offset + length > end) {
      const goesOn = offset <= end + JUMP_BYTES
      const from = goesOn ? Math.max(start, offset - BEHIND_BYTES) : offset
      const wanted = goesOn ? offset - from + WINDOW_BYTES : Math.max(length, JUMP_BYTES)
      held = await fill(file, window.subarray(0, wanted), from)
      start = from
    }
    return held.subarray(offset - start, offset - start + length)
  }
}

/** @returns less only at the end of the file */
async function fill(file: FileHandle, into: Buffer, offset: number): Promise<Buffer> {
  let done = 0
  while (done < into.length) {
    const { bytesRead } = await file.read(into, done, into.length - done, offset + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return into.subarray(0, done)
}
