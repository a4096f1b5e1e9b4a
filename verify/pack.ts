import type { Checkpoint, PackHead } from '../format/checkpoint.ts'
import { checkDigest, committedBody } from '../format/committed-body.ts'
import { parseEnvelope } from '../format/envelope.ts'
import { FormatError } from '../format/fault.ts'
import { BODY_HEAD_BYTES, CHECKSUM_BYTES, FRAME, parseCommit } from '../format/frame.ts'
import { parseTombstoneFrame } from '../format/leaf.ts'
import { readPackHeader, walkPack } from '../format/pack-walk.ts'
import type { ReadAt } from '../format/read-at.ts'
import type { OpenFile } from './file.ts'
import type { Progress } from './progress.ts'

export type PackCount = { frames: number; commits: number; tombstones: number; bodyBytes: number }

/**
 * A pack against what the checkpoint signed of it: header, length, every frame, the last checksum. FORMAT.md §15.1 step 5.
 *
 * @param deep - also every committed body against its digest
 * @throws FormatError at the first thing that does not hold
 */
export async function checkPack(
  file: OpenFile,
  signed: PackHead,
  checkpoint: Checkpoint,
  deep: boolean,
  progress: Progress,
): Promise<PackCount> {
  const header = await readPackHeader(file.read)
  for (const name of ['job', 'device'] as const)
    if (header[name] !== checkpoint[name])
      throw new FormatError('mismatch', `its header names ${name} ${header[name]}; signed was ${checkpoint[name]}`)
  if (header.drive !== signed.drive)
    throw new FormatError('mismatch', `its header names drive ${header.drive}; signed was ${signed.drive}`)
  if (file.length !== signed.length)
    throw new FormatError(
      file.length < signed.length ? 'truncated' : 'tampered',
      `wanted the ${signed.length} bytes that were signed, found ${file.length}`,
    )
  const count: PackCount = { frames: 0, commits: 0, tombstones: 0, bodyBytes: 0 }
  let last: Buffer = Buffer.alloc(CHECKSUM_BYTES)
  for await (const frame of walkPack(file.read)) {
    count.frames++
    if (frame.type === FRAME.body) continue
    last = frame.checksum
    if (frame.type === FRAME.tombstone) count.tombstones++
    if (frame.type !== FRAME.commit) continue
    count.commits++
    const commit = parseCommit(frame.payload)
    const envelope = parseEnvelope(commit.envelope)
    const core = await committedBody(file.read, commit, envelope, frame.offset)
    count.bodyBytes += envelope.bodyLength
    if (core === null) continue
    if (!deep) continue
    const what = `object ${envelope.objectId} at ${commit.bodyOffset}`
    const at = commit.bodyOffset + BODY_HEAD_BYTES
    const digest = { id: envelope.digestId, bytes: envelope.digest }
    await checkDigest(file.read, at, envelope.bodyLength, digest, what, progress.add)
  }
  if (!last.equals(signed.head)) throw new FormatError('tampered', 'its last frame is not the one that was signed')
  return count
}

/** Sequence and what a leaf says of it (SHA-256 of envelope or tombstone payload), for every commit and tombstone of a pack. */
export async function* committed(read: ReadAt): AsyncGenerator<{ sequence: number; bytes: Buffer }> {
  for await (const frame of walkPack(read)) {
    if (frame.type === FRAME.commit) {
      const commit = parseCommit(frame.payload)
      yield { sequence: commit.sequence, bytes: commit.envelope }
    } else if (frame.type === FRAME.tombstone)
      yield { sequence: parseTombstoneFrame(frame.payload).sequence, bytes: frame.payload }
  }
}
