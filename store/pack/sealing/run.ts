import { apart, type EpochId, giveBackBuffer } from '../../../format/bytes.ts'
import { encodeFrame, FRAME } from '../../../format/frame.ts'
import { BLOCK_BYTES } from './aligned-rooms.ts'
import type { Reached } from './messages.ts'
import type { PackEnd, PackWriter, Run } from './pack-writer.ts'

const CHUNK_BYTES = 1 << 20

/** Frames of one run, laid into few large buffers in the order in which they will lie; the first of them as a direct write wants it. */
export function buildRun<T>(writer: PackWriter, end: PackEnd, build: (run: RunBuilder) => T): Run<T> {
  const run = new RunBuilder(writer, end)
  try {
    return run.of(build(run))
  } catch (error) {
    run.release()
    throw error
  }
}

/** What `buildRun` fills. */
export class RunBuilder {
  readonly #writer: PackWriter
  readonly #start: PackEnd
  readonly #buffers: Buffer[] = []
  readonly #room: Buffer | null
  #chunk: Buffer
  #filled = 0
  #offset: number
  #previous: Buffer

  constructor(writer: PackWriter, end: PackEnd) {
    this.#writer = writer
    this.#start = end
    this.#offset = end.offset
    this.#previous = end.previous
    this.#room = writer.rooms.take()
    this.#chunk = this.#room?.subarray(end.offset % BLOCK_BYTES) ?? Buffer.alloc(0)
  }

  /** Where the next byte will lie. */
  get at(): number {
    return this.#offset
  }

  /** All before this was on stable storage when the run began. */
  get durable(): number {
    return this.#start.durable
  }

  /** Room for the next bytes. They count when `take` says so. */
  room(length: number): Buffer {
    if (this.#filled + length > this.#chunk.length) {
      this.#closeChunk()
      this.#chunk = Buffer.allocUnsafeSlow(Math.max(length, CHUNK_BYTES))
    }
    return this.#chunk.subarray(this.#filled, this.#filled + length)
  }

  take(length: number): void {
    this.#filled += length
    this.#offset += length
  }

  frame(type: Parameters<typeof encodeFrame>[0], payload: Uint8Array): void {
    const { frame, checksum } = encodeFrame(type, this.#previous, payload)
    frame.copy(this.room(frame.length))
    this.take(frame.length)
    this.#previous = checksum
  }

  /**
   * W1: the epoch's own frame stands in a pack before anything of the epoch.
   * @param from - where the epoch's bytes really begin, when a body was written ahead
   */
  epoch(id: EpochId, frame: Uint8Array, from?: number): void {
    if (this.#writer.epochs.has(id)) return
    this.#writer.epochs.set(id, { offset: from ?? this.#offset, previous: this.#previous })
    this.frame(FRAME.epoch, frame)
  }

  of<T>(value: T): Run<T> {
    this.#closeChunk()
    return { buffers: this.#buffers, checksum: this.#previous, value, release: () => this.release() }
  }

  get reached(): Reached {
    return { offset: this.#offset, head: apart(this.#previous) }
  }

  release(): void {
    const { rooms } = this.#writer
    for (const buffer of this.#buffers) if (!rooms.hold(buffer)) giveBackBuffer(buffer.buffer)
    if (this.#room !== null) rooms.give(this.#room)
  }

  #closeChunk(): void {
    if (this.#filled > 0) this.#buffers.push(this.#chunk.subarray(0, this.#filled))
    this.#chunk = Buffer.alloc(0)
    this.#filled = 0
  }
}
