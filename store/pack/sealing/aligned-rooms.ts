/** A direct write wants address, length and place in the file to be multiples of this; no medium of ours asks for more. */
export const BLOCK_BYTES = 4096
/** A batch of objects, sealed: their content (BATCH_BYTES of whole-queue.ts), and frames about it. What does not fit lies elsewhere. */
const RUN_BYTES = (2 << 20) + (256 << 10)
const PIECE_BYTES = 2 << 20
/** One is filled while another is written. */
const OF_EACH = 2
const WASM_PAGE_BYTES = 1 << 16

// of the types at hand only those of browsers have it
declare const WebAssembly: {
  Memory: new (pages: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer }
}

/** Memory at addresses that are multiples of a block, lent and given back: new memory for each write would cost more than the write saves. */
export class AlignedRooms {
  readonly #memory: ArrayBuffer
  readonly #free: Buffer[]
  readonly #waiting: ((room: Buffer) => void)[] = []

  constructor(memory: ArrayBuffer, rooms: Buffer[]) {
    this.#memory = memory
    this.#free = rooms
  }

  /** Whether a buffer lies in it. */
  hold(buffer: Buffer): boolean {
    return buffer.buffer === this.#memory
  }

  /** @returns null: all are lent */
  take(): Buffer | null {
    return this.#free.pop() ?? null
  }

  give(room: Buffer): void {
    const next = this.#waiting.shift()
    if (next !== undefined) next(room)
    else this.#free.push(room)
  }

  /** Lends a room for as long as the work takes; waits for one. */
  async lend<T>(work: (room: Buffer) => Promise<T>): Promise<T> {
    const room = this.take() ?? (await new Promise<Buffer>(resolve => this.#waiting.push(resolve)))
    try {
      return await work(room)
    } finally {
      this.give(room)
    }
  }
}

/** `runs`: frames are laid into them where they will lie; `pieces`: for what was made elsewhere. Two pools: who holds of one waits for the other. */
export type WritingRooms = { runs: AlignedRooms; pieces: AlignedRooms }

/** For one sealing thread. */
export function makeWritingRooms(): WritingRooms {
  // Node tells no buffer's address. A WebAssembly memory begins at a page's: V8 maps it apart, between guard pages
  const pages = (OF_EACH * (RUN_BYTES + PIECE_BYTES)) / WASM_PAGE_BYTES
  const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages })
  const rooms = (from: number, bytes: number): AlignedRooms =>
    new AlignedRooms(
      buffer,
      Array.from({ length: OF_EACH }, (_, at) => Buffer.from(buffer, from + at * bytes, bytes)),
    )
  return { runs: rooms(0, RUN_BYTES), pieces: rooms(OF_EACH * RUN_BYTES, PIECE_BYTES) }
}
