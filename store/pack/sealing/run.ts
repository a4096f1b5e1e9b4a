import type { EpochId } from '../../../format/bytes.ts'
import { encodeFrame, FRAME } from '../../../format/frame.ts'
import type { PackEnd, PackWriter, Run } from './pack-writer.ts'

/** Frames of one run, collected in the order in which they will lie. */
export class RunBuilder {
  readonly #writer: PackWriter
  readonly #start: PackEnd
  readonly #buffers: Buffer[] = []
  #offset: number
  #previous: Buffer

  constructor(writer: PackWriter, end: PackEnd) {
    this.#writer = writer
    this.#start = end
    this.#offset = end.offset
    this.#previous = end.previous
  }

  /** Where the next byte will lie. */
  get at(): number {
    return this.#offset
  }

  /** All before this was on stable storage when the run began. */
  get durable(): number {
    return this.#start.durable
  }

  add(...buffers: Buffer[]): void {
    for (const each of buffers) this.#offset += each.length
    this.#buffers.push(...buffers)
  }

  frame(type: Parameters<typeof encodeFrame>[0], payload: Uint8Array): void {
    const { frame, checksum } = encodeFrame(type, this.#previous, payload)
    this.add(frame)
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
    return { buffers: this.#buffers, checksum: this.#previous, value }
  }

  get reached(): { offset: number; head: Buffer } {
    return { offset: this.#offset, head: this.#previous }
  }
}
