import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { giveBackBuffer } from '../../../format/bytes.ts'
import { StoreError } from '../../object-store.ts'
import type { SourceFile } from './messages.ts'

const CHUNK_BYTES = 1 << 20
/** Reading a file of the page cache takes a hundredth of this; above it the source is a disk or a network, and waits are shared. */
const SLOW_MS = 0.5
const SIDE_BY_SIDE = 16

/**
 * Reads small files of a source. Fast sources are read in place; slow ones side by side, so that their latency is paid once for many.
 */
export class SourceReader {
  /** moving average, ms a file */
  #average = 0

  /** Contents in order, in one room; what cannot be had is an error in its place. */
  async readAll(files: readonly SourceFile[]): Promise<{ room: Buffer; each: (Buffer | StoreError)[] }> {
    const out: (Buffer | StoreError)[] = []
    const room = Buffer.allocUnsafeSlow(files.reduce((sum, each) => sum + each.length, 0))
    let filled = 0
    for (let at = 0; at < files.length; ) {
      const file = files[at]
      if (file === undefined) break
      if (this.#average > SLOW_MS) {
        const group = files.slice(at, at + SIDE_BY_SIDE)
        const start = performance.now()
        const places = group.map(each => {
          filled += each.length
          return room.subarray(filled - each.length, filled)
        })
        out.push(...(await Promise.all(group.map((each, at) => readApart(each, places[at] ?? Buffer.alloc(0))))))
        this.#note((performance.now() - start) / group.length)
        at += group.length
      } else {
        const start = performance.now()
        out.push(readInPlace(file, room.subarray(filled, filled + file.length)))
        filled += file.length
        this.#note(performance.now() - start)
        at++
      }
    }
    return { room, each: out }
  }

  #note(ms: number): void {
    this.#average = this.#average * 0.9 + ms * 0.1
  }
}

function readInPlace(file: SourceFile, bytes: Buffer): Buffer | StoreError {
  let fd: number | null = null
  try {
    fd = openSync(Buffer.from(file.path, 'latin1'), 'r')
    let done = 0
    while (done < file.length) {
      const count = readSync(fd, bytes, done, file.length - done, file.start + done)
      if (count === 0) return shorter()
      done += count
    }
    const now = fstatSync(fd)
    return heldStill(file, now) ? bytes : changed()
  } catch (error) {
    return unreadable(error)
  } finally {
    if (fd !== null) closeSync(fd)
  }
}

async function readApart(file: SourceFile, bytes: Buffer): Promise<Buffer | StoreError> {
  let reader: SourceStream | null = null
  try {
    reader = await SourceStream.open(file)
    for (let done = 0; done < file.length; ) {
      const piece = await reader.next(file.length - done)
      piece.copy(bytes, done)
      done += piece.length
      giveBackBuffer(piece.buffer)
    }
    await reader.finish()
    return bytes
  } catch (error) {
    return error instanceof StoreError ? error : unreadable(error)
  } finally {
    await reader?.close()
  }
}

/** Reads a file front to back, the next chunk while the last one is worked on. */
export class SourceStream {
  readonly #file: FileHandle
  readonly #source: SourceFile
  #at: number
  #ahead: Promise<Buffer> | null = null

  private constructor(file: FileHandle, source: SourceFile) {
    this.#file = file
    this.#source = source
    this.#at = source.start
  }

  /** @throws StoreError "source-unreadable" */
  static async open(source: SourceFile): Promise<SourceStream> {
    try {
      return new SourceStream(await open(Buffer.from(source.path, 'latin1'), 'r'), source)
    } catch (error) {
      throw unreadable(error)
    }
  }

  get left(): number {
    return this.#source.start + this.#source.length - this.#at
  }

  /**
   * At most `atMost` bytes, at least one, in a buffer of their own.
   * @throws StoreError "source-changed" | "source-unreadable"
   */
  async next(atMost = CHUNK_BYTES): Promise<Buffer> {
    let bytes: Buffer
    try {
      bytes = await (this.#ahead ?? this.#read(this.#at, Math.min(atMost, this.left)))
    } catch (error) {
      throw unreadable(error)
    }
    if (bytes.length === 0) throw shorter()
    this.#at += bytes.length
    this.#ahead = this.left > 0 ? this.#read(this.#at, Math.min(CHUNK_BYTES, this.left)) : null
    // whoever stops in the middle never asks for it
    this.#ahead?.catch(() => undefined)
    return bytes
  }

  async #read(at: number, length: number): Promise<Buffer> {
    const piece = Buffer.allocUnsafeSlow(Math.min(length, CHUNK_BYTES))
    const { bytesRead } = await this.#file.read(piece, 0, piece.length, at)
    return piece.subarray(0, bytesRead)
  }

  /** The file is what it was when it was looked at. @throws StoreError "source-changed" */
  async finish(): Promise<void> {
    if (!heldStill(this.#source, await this.#file.stat())) throw changed()
  }

  async close(): Promise<void> {
    await this.#ahead?.catch(() => undefined)
    await this.#file.close()
  }
}

/** One look after the reading is enough: it is compared with the look before it. */
function heldStill(file: SourceFile, now: { size: number; mtimeMs: number }): boolean {
  return now.size === file.size && Math.trunc(now.mtimeMs) === file.modifiedAt
}

const changed = (): StoreError => new StoreError('source-changed', 'it changed while it was read')
const shorter = (): StoreError => new StoreError('source-changed', 'it became shorter while it was read')

function unreadable(cause: unknown): StoreError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
  return new StoreError('source-unreadable', code, { cause })
}
