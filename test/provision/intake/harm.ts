/** Harm done to a copy of a drive, by the parts of its packs. */
import { appendFileSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnvelope } from '../../../format/envelope.ts'
import { encodeFrame, FRAME, parseCommit } from '../../../format/frame.ts'
import { type WalkedFrame, walkPack } from '../../../format/pack-walk.ts'
import { openForReading } from '../../../store/pack/drive.ts'

export type Commit = {
  path: string
  sequence: number
  /** of the body's frame, of its bytes, and of the commit's frame */
  bodyHead: number
  body: number
  bodyLength: number
  frame: number
  end: number
  previous: Buffer
  payload: Buffer
}

/** Packs in the order in which they were begun. */
export function packsOf(drive: string): string[] {
  const paths = readdirSync(join(drive, 'packs')).map(name => join(drive, 'packs', name))
  const first = (path: string) => readFileSync(path).readUInt32BE(76)
  return paths.sort((a, b) => first(a) - first(b))
}

export async function framesOf(path: string): Promise<WalkedFrame[]> {
  const file = await openForReading(path)
  const frames: WalkedFrame[] = []
  try {
    for await (const frame of walkPack(file.read)) frames.push(frame)
  } finally {
    await file.close()
  }
  return frames
}

/** The commit with this sequence number. */
export async function commitOf(drive: string, sequence: number): Promise<Commit> {
  for (const path of packsOf(drive)) {
    let previous: Buffer = Buffer.alloc(32)
    for (const frame of await framesOf(path)) {
      if (frame.type === FRAME.body) continue
      if (frame.type === FRAME.commit) {
        const commit = parseCommit(frame.payload)
        if (commit.sequence === sequence)
          return {
            ...{ path, sequence, previous, bodyHead: commit.bodyOffset, body: commit.bodyOffset + 16 },
            bodyLength: parseEnvelope(commit.envelope).bodyLength,
            ...{ frame: frame.offset, end: frame.end, payload: frame.payload },
          }
      }
      previous = frame.checksum
    }
  }
  throw new Error(`no commit ${sequence}`)
}

export async function firstFrame(drive: string, type: number): Promise<{ path: string; offset: number; end: number }> {
  for (const path of packsOf(drive))
    for (const frame of await framesOf(path))
      if (frame.type === type) return { path, offset: frame.offset, end: frame.end }
  throw new Error(`no frame of type ${type}`)
}

/** One bit. */
export function flip(path: string, offset: number): void {
  const bytes = readFileSync(path)
  bytes[offset] = (bytes[offset] ?? 0) ^ 1
  writeFileSync(path, bytes)
}

export function overwrite(path: string, offset: number, piece: Uint8Array): void {
  const bytes = readFileSync(path)
  bytes.set(piece, offset)
  writeFileSync(path, bytes)
}

/** The commit with another payload and a checksum that fits it, as whoever tampers on purpose would leave it. */
export function forge(commit: Commit, change: (payload: Buffer) => void): void {
  const payload = Buffer.from(commit.payload)
  change(payload)
  overwrite(commit.path, commit.frame, encodeFrame(FRAME.commit, commit.previous, payload).frame)
}

export function cut(path: string, length: number): void {
  truncateSync(path, length)
}

export function append(path: string, bytes: Uint8Array): void {
  appendFileSync(path, bytes)
}
