import { open } from 'node:fs/promises'
import { setImmediate as turn } from 'node:timers/promises'
import { giveBack } from '../../format/bytes.ts'
import { CORE_HEADER_BYTES, parseCoreHeader } from '../../format/core-header.ts'
import { digestOf, startDigest } from '../../format/digest.ts'
import { COMPOSITE, type Envelope, parseEnvelope } from '../../format/envelope.ts'
import { FormatError } from '../../format/fault.ts'
import { BODY_HEAD_BYTES, type Commit, FRAME, parseCommit } from '../../format/frame.ts'
import { parseEpochFrame, parseLeavesFrame, type ReadAt } from '../../format/pack-walk.ts'
import { keepRecord } from './epochs.ts'
import { envelopeHash } from './item.ts'
import { blocksOf, keepLeaves } from './leaves.ts'
import { readingOn } from './reading-on.ts'
import { insertCommits, type WorkSchema } from './schema.ts'
import { soundFrames } from './sound-frames.ts'
import type { Keeping } from './work.ts'

/** A pack that is in: its row, the drive that it is signed for, and where its copy lies. */
export type PackCopy = { pack: WorkSchema['packs']; source: string; path: string }

type Rows = { commits: WorkSchema['commits'][]; bytes: number }

/** Commits that are written in one step: few enough to hold, enough that a step costs little of each. */
const STEP_ROWS = 512
const STEP_BYTES = 8 << 20

/**
 * Reads a copy from its first frame to its signed length, and keeps what is in it. Commit point: its mark.
 * @param tell - how far it has come, and how many bytes more than when it was last told
 */
export async function checkPack(
  work: Keeping,
  { pack, source, path }: PackCopy,
  tell: (bytes: number, more: number) => void,
): Promise<void> {
  await checkFrames(work, pack, source, path, tell)
  await work.database
    .updateTable('packs')
    .set({ walked: 1 })
    .where('run', '=', work.run)
    .where('pack', '=', pack.pack)
    .execute()
}

async function checkFrames(
  work: Keeping,
  pack: WorkSchema['packs'],
  source: string,
  path: string,
  tell: (bytes: number, more: number) => void,
): Promise<void> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    const read = readingOn(file)
    const frames = soundFrames(read, Math.min(pack.length, size))
    let rows: Rows = { commits: [], bytes: 0 }
    let reported = 0
    for (;;) {
      const next = await frames.next()
      if (next.done) {
        await keep(work, rows)
        if (!next.value.equals(pack.head))
          await work.find('pack-head', `${pack.path}: its last frame is not the one that was signed`)
        return
      }
      const frame = next.value
      if (frame.type === 'broken') {
        const goesOn = frame.next === null ? 'nothing sound follows' : `goes on at ${frame.next}`
        await work.find('frame-damaged', `${pack.path} at ${frame.offset}: ${frame.reason}; ${goesOn}`)
        continue
      }
      if (frame.type !== FRAME.body) await take(work, pack, source, frame, read, rows)
      if (rows.commits.length >= STEP_ROWS || rows.bytes >= STEP_BYTES) {
        await keep(work, rows)
        rows = { commits: [], bytes: 0 }
        // the store that runs beside has its turn
        await turn()
        tell(frame.end, frame.end - reported)
        reported = frame.end
      }
    }
  } finally {
    await file.close()
  }
}

async function take(
  work: Keeping,
  pack: WorkSchema['packs'],
  source: string,
  frame: { type: number; offset: number; payload: Buffer },
  read: ReadAt,
  rows: Rows,
): Promise<void> {
  try {
    if (frame.type === FRAME.epoch) await keepRecord(work, parseEpochFrame(frame.payload).keyRecord, pack.path)
    if (frame.type === FRAME.leaves) {
      const { firstIndex, leaves } = parseLeavesFrame(frame.payload)
      await keepLeaves(work, blocksOf(work.run, source, firstIndex, leaves))
    }
    if (frame.type === FRAME.commit) {
      const commit = parseCommit(frame.payload)
      const envelope = parseEnvelope(commit.envelope)
      const { fault, coreHeader } = await checkBody(read, commit, envelope, frame.offset)
      rows.commits.push({
        run: work.run,
        object_id: envelope.objectId,
        pack: pack.pack,
        frame: frame.offset,
        body_offset: commit.bodyOffset + BODY_HEAD_BYTES,
        envelope_hash: envelopeHash(commit.envelope),
        header_bytes: coreHeader.length,
        // copied: a window's bytes are the window's
        bytes: Buffer.concat([coreHeader, commit.envelope]),
        fault,
      })
      rows.bytes += commit.envelope.length
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    await work.find('frame-damaged', `${pack.path} at ${frame.offset}: ${error.message}`)
  }
}

const CHUNK_BYTES = 1 << 20

/** The body that a commit names, every byte of it, against the digest in its envelope. No key is needed. */
async function checkBody(
  read: ReadAt,
  commit: Commit,
  envelope: Envelope,
  commitOffset: number,
): Promise<{ fault: string; coreHeader: Buffer }> {
  const none = Buffer.alloc(0)
  if (envelope.kind === COMPOSITE) return { fault: '', coreHeader: none }
  const start = commit.bodyOffset + BODY_HEAD_BYTES
  if (start + envelope.bodyLength > commitOffset || envelope.bodyLength < CORE_HEADER_BYTES)
    return { fault: 'its body does not lie before its commit', coreHeader: none }
  let coreHeader: Buffer = none
  let digest: Buffer
  if (envelope.bodyLength <= CHUNK_BYTES) {
    const body = await read(start, envelope.bodyLength)
    if (body.length < envelope.bodyLength) return { fault: 'its body is cut short', coreHeader }
    coreHeader = Buffer.from(body.subarray(0, CORE_HEADER_BYTES))
    digest = digestOf(envelope.digestId, body)
  } else {
    const hasher = startDigest(envelope.digestId)
    const pieceAt = (at: number) => read(start + at, Math.min(CHUNK_BYTES, envelope.bodyLength - at))
    let ahead = pieceAt(0)
    for (let at = 0; at < envelope.bodyLength; ) {
      const piece = await ahead
      if (piece.length === 0) return { fault: 'its body is cut short', coreHeader }
      // copied: a window's bytes are the window's
      if (at === 0) coreHeader = Buffer.from(piece.subarray(0, CORE_HEADER_BYTES))
      at += piece.length
      // the next is read while this one is hashed
      if (at < envelope.bodyLength) ahead = pieceAt(at)
      hasher.update(piece)
      giveBack(piece)
    }
    digest = hasher.digest()
  }
  if (!digest.equals(envelope.digest)) return { fault: 'its body does not fit its digest', coreHeader }
  try {
    const fits = parseCoreHeader(coreHeader).objectId === envelope.objectId
    return { fault: fits ? '' : 'its body is of another object', coreHeader }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    return { fault: error.message, coreHeader }
  }
}

async function keep(work: Keeping, { commits }: Rows): Promise<void> {
  if (commits.length > 0) await work.database.transaction().execute(change => insertCommits(change, commits))
}
