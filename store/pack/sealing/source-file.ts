import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { giveBackBuffer } from '../../../format/bytes.ts'
import { StoreError } from '../../object-store.ts'
import type { SourceFile } from './messages.ts'

const CHUNK_BYTES = 1 << 20
const SCRATCH_BYTES = 128 << 10
/** Reading a file of the page cache takes a hundredth of this, and this much more for each MB; above it the source is a disk or a network. */
const SLOW_MS = 0.5
const SLOW_MS_PER_BYTE = 1e-6
/** A wait raises the suspicion by two and a quick read lowers it by one: what waits for the processor alone stays far below the limit. */
const SUSPECT = { first: 9, quickAt: 6, slowAt: 12 } as const
const SIDE_BY_SIDE = 16

/** Contents in the order in which they were asked for. */
export type Contents = {
  /** What cannot be had is an error in its place. The bytes are the caller's until the next call, and his to wipe. */
  next(): Buffer | StoreError
  /** Nobody looks at them any more. */
  release(): void
}

/**
 * Reads small files of a source: a quick one's in place when their turn comes, so that they are still in the processor's caches when they
 * are sealed; a slow one's side by side before, so that its latency is paid once for many.
 */
export class SourceReader {
  #suspicion: number = SUSPECT.first
  #slow = true
  #scratch: Buffer = Buffer.alloc(0)
  readonly #ticks: () => number

  /** @param ticks - monotonic, ms */
  constructor(ticks: () => number = () => performance.now()) {
    this.#ticks = ticks
  }

  async open(files: readonly SourceFile[]): Promise<Contents> {
    const ready: (Buffer | StoreError)[] = []
    let room: Buffer | null = null
    if (this.#slow) {
      const whole = Buffer.allocUnsafeSlow(files.reduce((sum, each) => sum + each.length, 0))
      room = whole
      let filled = 0
      const places = files.map((file): [SourceFile, Buffer] => {
        filled += file.length
        return [file, whole.subarray(filled - file.length, filled)]
      })
      // one of each batch is read in place, and more while it is not clear: so it shows when the source is quick, or quick again
      do {
        const [place] = places.splice(0, 1)
        if (place !== undefined) ready.push(this.#timed(...place))
      } while (this.#slow && this.#suspicion < SUSPECT.slowAt && places.length > 0)
      while (this.#slow && places.length > 0)
        ready.push(...(await Promise.all(places.splice(0, SIDE_BY_SIDE).map(place => readApart(...place)))))
    }
    let taken = 0
    return {
      next: () => {
        const found = ready[taken] ?? this.#readNow(files[taken])
        taken++
        return found
      },
      release: () => {
        if (room !== null) giveBackBuffer(room.buffer)
      },
    }
  }

  #readNow(file: SourceFile | undefined): Buffer | StoreError {
    if (file === undefined) return new StoreError('source-unreadable', 'not read')
    if (this.#scratch.length < file.length) this.#scratch = Buffer.allocUnsafeSlow(Math.max(file.length, SCRATCH_BYTES))
    return this.#timed(file, this.#scratch.subarray(0, file.length))
  }

  #timed(file: SourceFile, into: Buffer): Buffer | StoreError {
    const start = this.#ticks()
    const found = readInPlace(file, into)
    const waited = this.#ticks() - start > SLOW_MS + file.length * SLOW_MS_PER_BYTE
    this.#suspicion = Math.max(0, Math.min(SUSPECT.slowAt, this.#suspicion + (waited ? 2 : -1)))
    if (this.#suspicion >= SUSPECT.slowAt) this.#slow = true
    else if (this.#suspicion <= SUSPECT.quickAt) this.#slow = false
    return found
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
