import { newId, type ObjectId } from '../../format/bytes.ts'
import { StoreError } from '../object-store.ts'
import { doneWith } from '../own-body.ts'
import type { Engine, Landed } from './engine.ts'
import type { OpenPack } from './open-pack.ts'
import type { Label, SourceFile } from './sealing/messages.ts'
import type { WholeBody } from './sealing/whole-queue.ts'

/** Content that is ready to be committed under a label. */
export type Content = {
  readonly length: number
  commit(label: Pick<Label, 'kind' | 'metadata'>): Promise<Landed>
  /** Takes back what was written of it. */
  abort(): Promise<void>
}

/** Contents up to this are held whole and share a pack and its syncs with others; larger ones stream to a pack of their own. */
export const WHOLE_BYTES = 1 << 20
/** Pieces of a stream go to its thread in messages of about this. */
const PIECE_BYTES = 1 << 20
const PIECES_UNDER_WAY = 3
const READ_BYTES = 16 << 20

/**
 * Takes in a stream. What is small is only held, so nothing of it is anywhere before it is committed.
 * @param mayWrite - asked at every piece; throws when the store has closed meanwhile
 */
export async function takeIn(engine: Engine, body: AsyncIterable<Uint8Array>, mayWrite: () => void): Promise<Content> {
  let buffers: Uint8Array[] = []
  let held = 0
  let stream: Stream | null = null
  try {
    for await (const piece of body) {
      mayWrite()
      if (stream !== null) {
        await stream.push(piece)
        doneWith(body, piece)
        continue
      }
      buffers.push(piece)
      held += piece.length
      if (held <= WHOLE_BYTES) continue
      stream = await Stream.begin(engine)
      for (const each of buffers) {
        await stream.push(each)
        doneWith(body, each)
      }
      buffers = []
    }
    if (stream !== null) return await stream.end()
  } catch (error) {
    await stream?.abort()
    throw error
  }
  return wholeContent(engine, held, { buffers, from: body })
}

/**
 * A part of a file, which the sealing thread reads.
 * @param moved - told how many bytes have been read
 */
export async function takeFile(
  engine: Engine,
  file: SourceFile,
  mayGo: () => void,
  moved: (bytes: number) => void,
): Promise<Content> {
  if (file.length <= WHOLE_BYTES) return wholeContent(engine, file.length, { file })
  const stream = await Stream.begin(engine)
  try {
    for (;;) {
      mayGo()
      const count = await stream.read(file, READ_BYTES)
      if (count === 0) return await stream.end()
      moved(count)
    }
  } catch (error) {
    await stream.abort()
    throw error
  }
}

function wholeContent(engine: Engine, length: number, body: WholeBody): Content {
  return {
    length,
    commit: label => engine.commitWhole({ ...label, objectId: newId<ObjectId>() }, body, length),
    abort: async () => undefined,
  }
}

/** A content under way in a sealing thread. */
class Stream implements Content {
  static #last = 0
  readonly #engine: Engine
  readonly #pack: OpenPack
  readonly #stream = ++Stream.#last
  readonly #objectId = newId<ObjectId>()
  #piece: Buffer<ArrayBuffer> = Buffer.allocUnsafeSlow(PIECE_BYTES)
  #filled = 0
  #pushing: Promise<unknown>[] = []
  #over = false
  length = 0

  private constructor(engine: Engine, pack: OpenPack) {
    this.#engine = engine
    this.#pack = pack
  }

  static async begin(engine: Engine): Promise<Stream> {
    const pack = await engine.packs.lease()
    const stream = new Stream(engine, pack)
    try {
      await pack.lane.call('begin', { stream: stream.#stream, pack: pack.id, objectId: stream.#objectId })
    } catch (error) {
      await stream.abort()
      throw error
    }
    return stream
  }

  async push(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const take = Math.min(bytes.length - at, PIECE_BYTES - this.#filled)
      this.#piece.set(bytes.subarray(at, at + take), this.#filled)
      this.#filled += take
      at += take
      if (this.#filled === PIECE_BYTES) await this.#send()
    }
  }

  async #send(): Promise<void> {
    const bytes = this.#piece.subarray(0, this.#filled)
    this.#piece = Buffer.allocUnsafeSlow(PIECE_BYTES)
    this.#filled = 0
    const sent = this.#pack.lane.call('push', { stream: this.#stream, bytes }, [bytes.buffer])
    // told to whoever waits for it next
    sent.catch(() => undefined)
    this.#pushing.push(sent)
    if (this.#pushing.length >= PIECES_UNDER_WAY) await this.#pushing.shift()
  }

  read(file: SourceFile, atMost: number): Promise<number> {
    return this.#pack.lane.call('read', { stream: this.#stream, file, atMost })
  }

  async end(): Promise<Content> {
    if (this.#filled > 0) await this.#send()
    this.#piece = Buffer.allocUnsafeSlow(0)
    for (const each of this.#pushing.splice(0)) await each
    const { plaintextLength } = await this.#pack.lane.call('end', { stream: this.#stream })
    this.length = plaintextLength
    return this
  }

  async commit(label: Pick<Label, 'kind' | 'metadata'>): Promise<Landed> {
    if (this.#over) throw new StoreError('damaged', 'a content is committed once')
    const landed = await this.#engine.commitStream(
      { ...label, objectId: this.#objectId },
      this.#pack,
      this.#stream,
      this.length,
    )
    this.#over = true
    await this.#engine.packs.release(this.#pack)
    return landed
  }

  async abort(): Promise<void> {
    if (this.#over) return
    this.#over = true
    await Promise.allSettled(this.#pushing)
    // a thread that is gone has nothing to take back
    await this.#pack.lane.call('abort', { stream: this.#stream }).catch(() => this.#pack.fail())
    await this.#engine.packs.release(this.#pack)
  }
}
