import { needBytes } from './bytes.ts'
import { FormatError } from './fault.ts'

/** Bytes at an offset of a file; fewer than asked for only at its end. */
export type ReadAt = (offset: number, length: number) => Promise<Buffer>

/** BE32 length ‖ bytes at `offset`. @throws FormatError "truncated" | "limit" - before anything of that length is read */
export async function readEntry(
  read: ReadAt,
  offset: number,
  limit: number,
  what: string,
): Promise<{ bytes: Buffer; end: number }> {
  const word = await read(offset, 4)
  needBytes(word, 0, 4, what)
  const length = word.readUInt32BE(0)
  if (length > limit) throw new FormatError('limit', `${what}: at most ${limit} bytes, found ${length}`)
  const bytes = await read(offset + 4, length)
  needBytes(bytes, 0, length, what)
  return { bytes, end: offset + 4 + length }
}

const BATCH_BYTES = 1 << 20

/** Such entries one after another from `offset` to the end of the file, read in batches. */
export async function* readEntries(read: ReadAt, offset: number, limit: number, what: string): AsyncGenerator<Buffer> {
  let held: Buffer = Buffer.alloc(0)
  for (let at = offset; ; ) {
    const more = await read(at, BATCH_BYTES)
    at += more.length
    held = held.length === 0 ? more : Buffer.concat([held, more])
    let used = 0
    while (held.length - used >= 4) {
      const length = held.readUInt32BE(used)
      if (length > limit) throw new FormatError('limit', `${what}: at most ${limit} bytes, found ${length}`)
      if (held.length - used - 4 < length) break
      yield held.subarray(used + 4, used + 4 + length)
      used += 4 + length
    }
    held = held.subarray(used)
    if (more.length > 0) continue
    if (held.length > 0) throw new FormatError('truncated', `${what}: ${held.length} bytes after the last whole one`)
    return
  }
}
