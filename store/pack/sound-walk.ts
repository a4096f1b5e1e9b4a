import { checkDigest } from '../../format/committed-body.ts'
import { COMPOSITE, type Envelope, parseEnvelope } from '../../format/envelope.ts'
import { FormatError } from '../../format/fault.ts'
import {
  BODY_HEAD_BYTES,
  type Commit,
  FRAME,
  FRAME_HEAD_BYTES,
  openFrame,
  parseCommit,
  parseFrameHead,
} from '../../format/frame.ts'
import { type ReadAt, type WalkedFrame, type WalkStart, walkRuns } from '../../format/pack-walk.ts'

/** A stretch of a pack that is not sound; `end` is where the next sound frame begins, or the pack's end. */
export type Gap = { type: 'gap'; offset: number; end: number; reason: string }

/**
 * Frames in runs, like `walkRuns`, but going on behind what is damaged: at the next frame whose checksum holds. The chain of checksums
 * begins anew there, so a reader that must trust it looks at the gaps.
 */
export async function* walkSound(read: ReadAt, size: number, start: WalkStart): AsyncGenerator<(WalkedFrame | Gap)[]> {
  let from = start
  for (;;) {
    let end = from.offset
    try {
      for await (const run of walkRuns(read, from)) {
        yield run
        end = run.at(-1)?.end ?? end
      }
      return
    } catch (cause) {
      if (!(cause instanceof FormatError)) throw cause
      const next = await nextSoundFrame(read, end, size)
      yield [{ type: 'gap', offset: end, end: next?.offset ?? size, reason: cause.message }]
      if (next === null) return
      from = next
    }
  }
}

const SCAN_BYTES = 4 << 20
const MAGIC = Buffer.from('SLFR', 'ascii')

/**
 * First frame behind `from` that carries a checksum which holds; its own `previous` is believed. A commit whose body is whole begins with
 * that body.
 */
async function nextSoundFrame(read: ReadAt, from: number, size: number): Promise<WalkStart | null> {
  for (let base = from + 1; base < size; base += SCAN_BYTES) {
    const bytes = Buffer.from(await read(base, SCAN_BYTES + MAGIC.length))
    for (let at = bytes.indexOf(MAGIC); at >= 0 && at < SCAN_BYTES; at = bytes.indexOf(MAGIC, at + 1)) {
      const found = await soundFrameAt(read, base + at, from)
      if (found !== null) return found
    }
  }
  return null
}

async function soundFrameAt(read: ReadAt, offset: number, from: number): Promise<WalkStart | null> {
  try {
    const { type, payloadLength } = parseFrameHead(await read(offset, BODY_HEAD_BYTES))
    if (type === FRAME.body) return null
    const { previous, payload } = openFrame(await read(offset, FRAME_HEAD_BYTES + payloadLength))
    const start = { offset, previous: Buffer.from(previous) }
    if (type !== FRAME.commit) return start
    const commit = parseCommit(payload)
    const envelope = parseEnvelope(commit.envelope)
    const whole =
      envelope.kind !== COMPOSITE &&
      commit.bodyOffset > from &&
      commit.bodyOffset < offset &&
      (await bodyIsWhole(read, commit, envelope))
    return whole ? { ...start, offset: commit.bodyOffset } : start
  } catch (error) {
    if (error instanceof FormatError) return null
    throw error
  }
}

/** Reads a body again and compares it with the digest in its envelope. */
export async function bodyIsWhole(read: ReadAt, commit: Commit, envelope: Envelope): Promise<boolean> {
  const { objectId, bodyLength, digestId: id, digest: bytes } = envelope
  try {
    await checkDigest(read, commit.bodyOffset + BODY_HEAD_BYTES, bodyLength, { id, bytes }, `object ${objectId}`)
    return true
  } catch (error) {
    if (error instanceof FormatError && (error.fault === 'tampered' || error.fault === 'truncated')) return false
    throw error
  }
}
