import { bodyLength } from './body.ts'
import { CORE_HEADER_BYTES, type CoreHeader, parseCoreHeader } from './core-header.ts'
import { type DigestId, startDigest } from './digest.ts'
import { COMPOSITE, type Envelope } from './envelope.ts'
import { FormatError } from './fault.ts'
import { BODY_HEAD_BYTES, type Commit, FRAME, parseFrameHead } from './frame.ts'
import type { ReadAt } from './read-at.ts'

/**
 * The body that a commit frame speaks of, compared with its envelope: place, object id, length. No key is needed.
 *
 * @param commitOffset - of the commit frame in the same pack
 * @returns null for a composite, which has no body
 * @throws FormatError "mismatch" | "malformed" - the commit does not speak of the body that lies there
 * @see FORMAT.md §6.4
 */
export async function committedBody(
  read: ReadAt,
  commit: Commit,
  envelope: Envelope,
  commitOffset: number,
): Promise<CoreHeader | null> {
  const object = `object ${envelope.objectId}`
  if (commit.durableOffset > commitOffset)
    throw new FormatError('malformed', `${object}: its commit says more is durable than lies before it`)
  if (envelope.kind === COMPOSITE) return null
  if (commit.bodyOffset + BODY_HEAD_BYTES + envelope.bodyLength > commitOffset)
    throw new FormatError('mismatch', `${object}: its body does not end before its commit`)
  const head = await read(commit.bodyOffset, BODY_HEAD_BYTES)
  if (parseFrameHead(head).type !== FRAME.body)
    throw new FormatError('mismatch', `${object}: no body at ${commit.bodyOffset}`)
  const core = parseCoreHeader(await read(commit.bodyOffset + BODY_HEAD_BYTES, CORE_HEADER_BYTES))
  if (core.objectId !== envelope.objectId)
    throw new FormatError('mismatch', `${object}: at ${commit.bodyOffset} lies object ${core.objectId}`)
  const wanted = bodyLength(envelope.plaintextLength, core.segmentBytes)
  if (wanted !== envelope.bodyLength)
    throw new FormatError('malformed', `${object}: ${envelope.bodyLength} bytes of body; its plaintext makes ${wanted}`)
  return core
}

const CHUNK_BYTES = 4 << 20

/**
 * Compares a stretch of a file with a digest, in pieces.
 *
 * @param progress - is told how many bytes each piece had
 * @throws FormatError "tampered" | "truncated"
 */
export async function checkDigest(
  read: ReadAt,
  offset: number,
  length: number,
  wanted: { id: DigestId; bytes: Uint8Array },
  what: string,
  progress: (bytes: number) => void = () => {},
): Promise<void> {
  const hasher = startDigest(wanted.id)
  for (let at = 0; at < length; ) {
    const piece = await read(offset + at, Math.min(CHUNK_BYTES, length - at))
    if (piece.length === 0)
      throw new FormatError('truncated', `${what}: wanted ${length} bytes at ${offset}, found ${at}`)
    hasher.update(piece)
    at += piece.length
    progress(piece.length)
  }
  if (!hasher.digest().equals(wanted.bytes))
    throw new FormatError('tampered', `${what}: its bytes do not fit their digest`)
}
