import { readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { Pace } from './pace.ts'

/** A longer read is never made in place. */
export const SMALL_READ_BYTES = 128 << 10

/** Reads a file at offsets: small ranges in place as long as its medium answers at once, the others in the thread pool. */
export class RangeFile {
  readonly #file: FileHandle
  readonly #pace: Pace

  private constructor(file: FileHandle, pace: Pace) {
    this.#file = file
    this.#pace = pace
  }

  /** @param pace - of the medium that the file lies on */
  static async open(path: string, pace: Pace): Promise<RangeFile> {
    return new RangeFile(await open(path, 'r'), pace)
  }

  /** Fewer bytes than asked for only at the end of the file. At once where it was read in place. */
  read(offset: number, length: number): Buffer | Promise<Buffer> {
    const { fd } = this.#file
    // a handle that was closed has none, and says so itself
    if (length > SMALL_READ_BYTES || fd < 0) return this.#apart(offset, length)
    if (!this.#pace.prompt) {
      this.#pace.spared()
      return this.#apart(offset, length)
    }
    const from = performance.now()
    const bytes = Buffer.allocUnsafe(length)
    let done = 0
    while (done < length) {
      const count = readSync(fd, bytes, done, length - done, offset + done)
      if (count === 0) break
      done += count
    }
    this.#pace.took(performance.now() - from)
    return done === length ? bytes : bytes.subarray(0, done)
  }

  async #apart(offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length)
    let done = 0
    while (done < length) {
      const { bytesRead } = await this.#file.read(bytes, done, length - done, offset + done)
      if (bytesRead === 0) break
      done += bytesRead
    }
    return done === length ? bytes : bytes.subarray(0, done)
  }

  /** May be called twice. */
  close(): Promise<void> {
    return this.#file.close()
  }
}
