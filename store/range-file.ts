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
    if (length > SMALL_READ_BYTES || !this.#isPrompt()) return this.#apart(offset, length)
    const bytes = Buffer.allocUnsafe(length)
    const done = this.#inPlace(offset, bytes)
    return done === length ? bytes : bytes.subarray(0, done)
  }

  /**
   * Fills `into`, which is small, at once: who is done with the bytes before the next read need not allocate.
   * @returns how many bytes; null: they must be waited for
   */
  readNow(offset: number, into: Buffer): number | null {
    return this.#isPrompt() ? this.#inPlace(offset, into) : null
  }

  /** A handle that was closed has no descriptor, and says so itself when it is read. */
  #isPrompt(): boolean {
    if (this.#file.fd >= 0 && this.#pace.prompt) return true
    this.#pace.spared()
    return false
  }

  #inPlace(offset: number, into: Buffer): number {
    const from = performance.now()
    let done = 0
    while (done < into.length) {
      const count = readSync(this.#file.fd, into, done, into.length - done, offset + done)
      if (count === 0) break
      done += count
    }
    this.#pace.took(performance.now() - from)
    return done
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
