import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { giveBack } from '../../../format/bytes.ts'
import { BLOCK_BYTES, type WritingRooms } from './aligned-rooms.ts'

/** Less than this goes through the page cache: a direct write waits for the medium, and so does the sync that follows. */
const LEAST_DIRECT_BYTES = 512 << 10
const MAX_VECTORS = 512
/** Buffers that are smaller on the whole are copied together: a vector of them costs more than the copy. */
const SMALL_BYTES = 64 << 10

/**
 * The file of a pack. Long runs go past the page cache: the kernel would take new pages for them, copy them, and write them out later, in
 * all twenty times the work of a write in place, for bytes that nobody reads again. Their ends, where they do not fill a block, go through
 * the cache, and so does everything on a file system that has no direct writes. Either way it is `datasync` that makes it durable.
 */
export class PackFile {
  readonly #cached: FileHandle
  readonly #rooms: WritingRooms
  /** the same file; null: written through the cache only */
  #direct: FileHandle | null

  private constructor(cached: FileHandle, direct: FileHandle | null, rooms: WritingRooms) {
    this.#cached = cached
    this.#direct = direct
    this.#rooms = rooms
  }

  /** A new file. */
  static async create(path: string, rooms: WritingRooms): Promise<PackFile> {
    const cached = await open(path, 'wx+', 0o644)
    return new PackFile(cached, await openDirect(path), rooms)
  }

  /** Writes the buffers one after another; all of it, or it throws and what lies there is not known. */
  async write(buffers: readonly Buffer[], position: number): Promise<void> {
    let at = position
    for (const [index, buffer] of buffers.entries()) {
      // those of a run are where they must be already; what follows was made elsewhere
      if (!this.#rooms.runs.hold(buffer) || (at - buffer.byteOffset) % BLOCK_BYTES !== 0)
        return this.#writeGathered(buffers.slice(index), at)
      await this.#writePlaced(buffer, at)
      at += buffer.length
    }
  }

  async #writePlaced(bytes: Buffer, position: number): Promise<void> {
    const { first, last } = blocksIn(position, bytes.length)
    if (this.#direct === null || last - first < LEAST_DIRECT_BYTES) return this.#writeCached([bytes], position)
    await this.#writeCached([bytes.subarray(0, first)], position)
    await this.#writeBlocks(bytes.subarray(first, last), position + first)
    await this.#writeCached([bytes.subarray(last)], position + last)
  }

  async #writeGathered(buffers: readonly Buffer[], position: number): Promise<void> {
    const total = buffers.reduce((sum, each) => sum + each.length, 0)
    const { first, last } = blocksIn(position, total)
    if (this.#direct === null || last - first < LEAST_DIRECT_BYTES) return this.#writeCached(buffers, position)
    const run = new Gathering(buffers)
    await this.#writeCached([run.next(Buffer.allocUnsafe(first))], position)
    await this.#rooms.pieces.lend(async room => {
      for (let at = first; at < last; ) {
        const piece = run.next(room.subarray(0, Math.min(room.length, last - at)))
        await this.#writeBlocks(piece, position + at)
        at += piece.length
      }
    })
    await this.#writeCached([run.next(Buffer.allocUnsafe(total - last))], position + last)
  }

  async #writeBlocks(blocks: Buffer, position: number): Promise<void> {
    let done = 0
    while (done < blocks.length && done % BLOCK_BYTES === 0) {
      const direct = this.#direct
      if (direct === null) break
      try {
        const { bytesWritten } = await direct.write(blocks, done, blocks.length - done, position + done)
        if (bytesWritten === 0) break
        done += bytesWritten
      } catch (error) {
        // nothing was written: the file system does not keep what the open promised
        if (!isCode(error, 'EINVAL')) throw error
        if (this.#direct === direct) this.#direct = null
        await direct.close()
      }
    }
    await this.#writeCached([blocks.subarray(done)], position + done)
  }

  async #writeCached(buffers: readonly Buffer[], position: number): Promise<void> {
    let at = position
    const total = buffers.reduce((sum, each) => sum + each.length, 0)
    if (total === 0) return
    const small = buffers.length > 4 && total <= buffers.length * SMALL_BYTES
    const vectors = small ? [Buffer.concat(buffers)] : buffers
    for (let first = 0; first < vectors.length; first += MAX_VECTORS) {
      let rest = vectors.slice(first, first + MAX_VECTORS)
      let left = rest.reduce((sum, each) => sum + each.length, 0)
      while (left > 0) {
        const { bytesWritten } = await this.#cached.writev(rest, at)
        at += bytesWritten
        left -= bytesWritten
        if (left > 0) rest = [Buffer.concat(rest).subarray(bytesWritten)]
      }
    }
    if (small) for (const each of vectors) giveBack(each)
  }

  read(into: Buffer, offset: number, length: number, position: number): Promise<{ bytesRead: number }> {
    return this.#cached.read(into, offset, length, position)
  }

  /** What was written is on stable storage, the length with it. */
  datasync(): Promise<void> {
    return this.#cached.datasync()
  }

  sync(): Promise<void> {
    return this.#cached.sync()
  }

  truncate(length: number): Promise<void> {
    return this.#cached.truncate(length)
  }

  async close(): Promise<void> {
    await this.#direct?.close()
    this.#direct = null
    await this.#cached.close()
  }
}

/** @returns null where that cannot be had; what is wrong with the medium, the writes tell */
async function openDirect(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, constants.O_WRONLY | constants.O_DIRECT)
  } catch {
    return null
  }
}

/** Where the whole blocks within a stretch of a file begin and end, counted from its beginning. */
function blocksIn(position: number, length: number): { first: number; last: number } {
  const end = position + length
  const first = Math.ceil(position / BLOCK_BYTES) * BLOCK_BYTES
  return { first: Math.min(first, end) - position, last: Math.max(first, end - (end % BLOCK_BYTES)) - position }
}

/** Buffers as one stretch of bytes, front to back. */
class Gathering {
  readonly #buffers: readonly Buffer[]
  #at = 0
  #within = 0

  constructor(buffers: readonly Buffer[]) {
    this.#buffers = buffers
  }

  /** Fills `into`; there are as many bytes. */
  next(into: Buffer): Buffer {
    for (let filled = 0; filled < into.length; ) {
      const buffer = this.#buffers[this.#at]
      if (buffer === undefined) throw new RangeError('gathering: more bytes than there are')
      const copied = buffer.copy(into, filled, this.#within)
      filled += copied
      this.#within += copied
      if (this.#within < buffer.length) continue
      this.#at++
      this.#within = 0
    }
    return into
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
