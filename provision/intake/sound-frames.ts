import { FormatError } from '../../format/fault.ts'
import { BODY_HEAD_BYTES, FRAME, FRAME_HEAD_BYTES, openFrame, parseFrameHead } from '../../format/frame.ts'
import { PACK_START, type ReadAt, type WalkedFrame, type WalkStart, walkPack } from '../../format/pack-walk.ts'

export type Broken = { type: 'broken'; offset: number; reason: string; next: number | null }

const MAGIC = Buffer.from('SLFR', 'ascii')
const SCAN_BYTES = 4 << 20

/**
 * Frames of a pack up to `length`. Where one is not sound, that is said, and the walk goes on at the next frame that is: damage does not
 * hide what lies behind it. Bodies are found again by the commits that name them. A frame that is whole itself and only does not follow
 * the one before is said to be broken, and given all the same (`walkSound` of the device's recovery goes on behind it): whoever forged
 * the frame before it must not take this one's object along.
 *
 * @returns checksum of the last frame
 */
export async function* soundFrames(read: ReadAt, length: number): AsyncGenerator<WalkedFrame | Broken, Buffer> {
  const bounded: ReadAt = (offset, wanted) => read(offset, Math.max(0, Math.min(wanted, length - offset)))
  let start: WalkStart = PACK_START
  for (;;) {
    try {
      for await (const frame of walkPack(bounded, start)) {
        yield frame
        // copied: a reader may use a window's memory again
        if (frame.type === FRAME.body) start = { offset: frame.end, previous: start.previous }
        else start = { offset: frame.end, previous: Buffer.from(frame.checksum) }
      }
      return start.previous
    } catch (error) {
      if (!(error instanceof FormatError)) throw error
      const next = await nextSound(bounded, start.offset, length)
      yield { type: 'broken', offset: start.offset, reason: error.message, next: next?.offset ?? null }
      if (next === null) return start.previous
      start = next
    }
  }
}

/** The first frame with a checksum of its own that fits, from `from` on. */
async function nextSound(read: ReadAt, from: number, length: number): Promise<WalkStart | null> {
  for (let base = from; base < length; base += SCAN_BYTES) {
    const bytes = await read(base, SCAN_BYTES + MAGIC.length)
    for (let at = bytes.indexOf(MAGIC); at >= 0 && at < SCAN_BYTES; at = bytes.indexOf(MAGIC, at + 1)) {
      const previous = await previousOf(read, base + at)
      if (previous !== null) return { offset: base + at, previous }
    }
  }
  return null
}

async function previousOf(read: ReadAt, offset: number): Promise<Buffer | null> {
  try {
    const { type, payloadLength } = parseFrameHead(await read(offset, BODY_HEAD_BYTES))
    if (type === FRAME.body) return null
    return Buffer.from(openFrame(await read(offset, FRAME_HEAD_BYTES + payloadLength)).previous)
  } catch (error) {
    if (error instanceof FormatError) return null
    throw error
  }
}
