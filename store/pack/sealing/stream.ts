import { BodySealer, type BodySummary } from '../../../format/body.ts'
import { giveBack, giveBackBuffer, type ObjectId } from '../../../format/bytes.ts'
import { BLAKE3_256, type Hasher, startDigest } from '../../../format/digest.ts'
import { encodeBodyHead } from '../../../format/frame.ts'
import { StoreError } from '../../object-store.ts'
import { newObjectKey } from '../sealed-object.ts'
import type { SealingOwner, SourceFile } from './messages.ts'
import type { PackWriter } from './pack-writer.ts'
import { SourceStream } from './source-file.ts'

/** A content that is sealed while it arrives, ahead of its commit, in a pack that it has for itself. */
export class SealingStream {
  readonly writer: PackWriter
  readonly objectKey = newObjectKey()
  /** of the body frame */
  readonly offset: number
  readonly #sealer: BodySealer
  readonly #source: Hasher = startDigest(BLAKE3_256)
  #file: SourceStream | null = null
  #writing: Promise<void>
  #ended: { summary: BodySummary; digest: Buffer } | null = null

  constructor(owner: SealingOwner, writer: PackWriter, objectId: ObjectId) {
    this.writer = writer
    this.offset = writer.length
    this.#sealer = new BodySealer(objectId, this.objectKey, owner.digest)
    this.#writing = writer.write([encodeBodyHead()])
    // told to whoever pushes next
    this.#writing.catch(() => undefined)
  }

  get coreHeader(): Buffer {
    return this.#sealer.coreHeader
  }

  /**
   * Resolves when the drive has taken what came before: one piece is written while the next is sealed.
   * @param bytes - of a buffer that is the stream's now
   */
  async push(bytes: Uint8Array): Promise<void> {
    this.#source.update(bytes)
    const before = this.#writing
    this.#write(this.#sealer.push(bytes))
    giveBackBuffer(bytes.buffer)
    await before
  }

  #write(sealed: Buffer[]): void {
    if (sealed.length === 0) return
    const before = this.#writing
    const after = this.writer.write(sealed)
    this.#writing = (async () => {
      await before
      await after
      for (const each of sealed) giveBack(each)
    })()
    after.catch(() => undefined)
    this.#writing.catch(() => undefined)
  }

  /** @returns bytes read; 0 when the file is at its end and has held still */
  async read(source: SourceFile, atMost: number): Promise<number> {
    this.#file ??= await SourceStream.open(source)
    const file = this.#file
    let done = 0
    while (done < atMost && file.left > 0) {
      const piece = await file.next()
      done += piece.length
      await this.push(piece)
    }
    if (done === 0) await file.finish()
    return done
  }

  async end(): Promise<{ summary: BodySummary; digest: Buffer }> {
    if (this.#ended === null) {
      const { sealed, summary } = this.#sealer.finish()
      this.#write(sealed)
      this.#ended = { summary, digest: this.#source.digest() }
      await this.#closeFile()
    }
    await this.#writing
    return this.#ended
  }

  get ended(): { summary: BodySummary; digest: Buffer } {
    if (this.#ended === null) throw new StoreError('damaged', 'a commit of a content that has not ended')
    return this.#ended
  }

  async abort(): Promise<void> {
    this.#sealer.abort()
    this.objectKey.fill(0)
    await this.#closeFile()
    await this.#writing.catch(() => undefined)
    await this.writer.takeBack()
  }

  async #closeFile(): Promise<void> {
    await this.#file?.close()
    this.#file = null
  }
}
