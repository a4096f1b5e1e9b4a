/** Bytes under names that the room gives: what an indexed store keeps bodies in. A blob never changes once written. */
export interface Blobs {
  /** Durable when it resolves; leaves nothing when `body` throws. */
  write(body: AsyncIterable<Uint8Array>): Promise<{ blob: string; size: number }>
  /** Called after the index refers to it: from here on it cannot be a crash's leftover. Readable before, too. */
  keep(blob: string): Promise<void>
  /** Written but not kept: at open, what a crash left. */
  unkept(): AsyncIterable<string>
  /**
   * What is opened reads on after `remove`, where the blobs are the store's own. `close` may be called twice. `null`: no such blob; where to
   * find that out takes a question elsewhere, the first read says so: fault "damaged".
   */
  open(blob: string): Promise<BlobReader | null>
  /** One that is not there is no error. */
  remove(blob: string): Promise<void>
}

/** Blobs of which only their owner's tables tell what a crash left. */
export type PlainBlobs = Omit<Blobs, 'unkept'>

export interface BlobReader {
  /** At most `length` bytes from `offset`; shorter only at the end. Perhaps at once. */
  read(offset: number, length: number): Uint8Array | Promise<Uint8Array>
  close(): Promise<void>
}
