import { bodyLength, sealBody } from '../../../format/body.ts'
import { apart, asBuffer, type EpochId, giveBackBuffer, type PackId } from '../../../format/bytes.ts'
import { BLAKE3_256, digestOf, selfTestDigests } from '../../../format/digest.ts'
import { DEFAULT_SEGMENT_BYTES } from '../../../format/floe.ts'
import { BODY_HEAD_BYTES, encodeBodyHead, FRAME } from '../../../format/frame.ts'
import { StoreError } from '../../object-store.ts'
import type { Place } from '../rows.ts'
import { newObjectKey, type ToCommit } from '../sealed-object.ts'
import { makeWritingRooms } from './aligned-rooms.ts'
import { commitOf } from './commit-of.ts'
import type {
  Committed,
  Label,
  Refused,
  SealingCall,
  SealingCalls,
  SealingEpoch,
  SealingOwner,
  SourceFile,
  WholeObject,
} from './messages.ts'
import { PackWriter } from './pack-writer.ts'
import { isDue, type ReadBack, readBackFault } from './read-back.ts'
import { refusedOf } from './refused.ts'
import { buildRun, type RunBuilder } from './run.ts'
import { type Contents, SourceReader } from './source-file.ts'
import { SealingStream } from './stream.ts'

const BODY_HEAD = encodeBodyHead()

type Handlers = { [K in SealingCall]: (request: SealingCalls[K]['request']) => Promise<SealingCalls[K]['reply']> }

/**
 * Seals, writes and syncs. What a sealing thread does; knows packs and keys of epochs, and nothing of names taken, order or rows.
 */
export class Sealer {
  readonly #owner: SealingOwner
  readonly #writers = new Map<PackId, PackWriter>()
  readonly #epochs = new Map<EpochId, SealingEpoch>()
  readonly #streams = new Map<number, SealingStream>()
  readonly #sources = new SourceReader()
  readonly #rooms = makeWritingRooms()
  #reading: Promise<unknown> = Promise.resolve()

  constructor(owner: SealingOwner) {
    // before anything is sealed with it
    selfTestDigests()
    this.#owner = owner
  }

  call<K extends SealingCall>(name: K, request: SealingCalls[K]['request']): Promise<SealingCalls[K]['reply']> {
    const handlers: Handlers = this.#handlers
    return handlers[name](request)
  }

  readonly #handlers: Handlers = {
    open: async ({ drive, header }) => {
      const writer = await PackWriter.create(drive, header, this.#rooms)
      this.#writers.set(header.pack, writer)
      return writer.report()
    },
    seal: async ({ pack, epochs, bytes, objects: text }) => {
      this.#learn(epochs)
      // written by this store's own queue
      const objects = JSON.parse(text) as WholeObject[]
      const contents = await this.#contents(asBuffer(bytes), objects)
      const sealed = this.#seal(this.#writer(pack), objects, contents)
      // all is sealed now, and being written
      contents.release()
      return sealed
    },
    begin: async ({ stream, pack, objectId }) => {
      this.#streams.set(stream, new SealingStream(this.#owner, this.#writer(pack), objectId))
      return null
    },
    push: async ({ stream, bytes }) => {
      await this.#stream(stream).push(bytes)
      return null
    },
    read: ({ stream, file, atMost }) => this.#stream(stream).read(file, atMost),
    end: async ({ stream }) => ({ plaintextLength: (await this.#stream(stream).end()).summary.plaintextLength }),
    commit: ({ stream, epochs, label }) => {
      this.#learn(epochs)
      return this.#commit(stream, label)
    },
    abort: async ({ stream }) => {
      const found = this.#streams.get(stream)
      this.#streams.delete(stream)
      await found?.abort()
      return null
    },
    append: ({ pack, epochs, epoch, type, payload }) => {
      this.#learn(epochs)
      const writer = this.#writer(pack)
      return writer.inTurn(async () => {
        const { offset, reached } = await writer.append(end =>
          buildRun(writer, end, run => {
            if (epoch !== null) run.epoch(epoch, this.#epoch(epoch).frame)
            const offset = run.at
            run.frame(type, payload)
            return { offset, reached: run.reached }
          }),
        )
        return { offset, reached, report: writer.report() }
      })
    },
    close: async ({ pack }) => {
      const writer = this.#writer(pack)
      // objects that were given before still go in
      await this.#reading
      await writer.inTurn(async () => undefined)
      await writer.close()
      this.#writers.delete(pack)
      return writer.report()
    },
    forget: async ({ epoch }) => {
      this.#epochs.delete(epoch)
      return null
    },
  }

  #learn(epochs: SealingEpoch[]): void {
    for (const epoch of epochs) this.#epochs.set(epoch.id, epoch)
  }

  #epoch(id: EpochId): SealingEpoch {
    const epoch = this.#epochs.get(id)
    if (epoch === undefined) throw new StoreError('damaged', `the keys of epoch ${id} are not here`)
    return epoch
  }

  #writer(pack: PackId): PackWriter {
    const writer = this.#writers.get(pack)
    if (writer === undefined) throw new StoreError('damaged', `pack ${pack} is not open`)
    return writer
  }

  #stream(id: number): SealingStream {
    const stream = this.#streams.get(id)
    if (stream === undefined) throw new StoreError('damaged', 'no such content under way')
    return stream
  }

  /** One call's after the other's: what was given first goes into the pack first. */
  #contents(bytes: Buffer, objects: WholeObject[]): Promise<Contents> {
    const before = this.#reading
    const contents = (async () => {
      await before
      const files = objects.flatMap(({ body }): SourceFile[] => ('path' in body ? [body] : []))
      const source = files.length > 0 ? await this.#sources.open(files) : null
      let at = 0
      return {
        next: (): Buffer | StoreError => {
          const body = objects[at++]?.body
          if (body === undefined || 'path' in body)
            return source?.next() ?? new StoreError('source-unreadable', 'not read')
          return bytes.subarray(body.offset, body.offset + body.length)
        },
        release: () => {
          giveBackBuffer(bytes.buffer)
          source?.release()
        },
      }
    })()
    // not the contents themselves: each would hold all that were before it
    this.#reading = contents.then(
      () => undefined,
      () => undefined,
    )
    return contents
  }

  #seal(writer: PackWriter, objects: WholeObject[], contents: Contents) {
    return writer.inTurn(async () => {
      const readBacks: (ReadBack & { at: number })[] = []
      const { results, leaves, reached } = await writer.append(end =>
        buildRun(writer, end, run => {
          const leaves: Buffer[] = []
          const results = objects.map((object, at): Committed | Refused => {
            const content = contents.next()
            if (content instanceof StoreError) return refusedOf(content)
            try {
              const { committed, objectKey, leaf } = this.#add(run, writer.id, object, content)
              leaves.push(leaf)
              if (isDue(this.#owner.readBack))
                readBacks.push({ place: committed.place, objectKey, plaintextLength: content.length, at })
              else objectKey.fill(0)
              return committed
            } catch (error) {
              return refusedOf(error)
            } finally {
              content.fill(0)
            }
          })
          return { results, leaves, reached: run.reached }
        }),
      )
      for (const each of readBacks) {
        const fault = await readBackFault(writer, each)
        each.objectKey.fill(0)
        if (fault !== null) results[each.at] = refusedOf(fault)
      }
      return {
        results: JSON.stringify(results),
        leaves: apart(Buffer.concat(leaves)),
        reached,
        report: writer.report(),
      }
    })
  }

  #add(run: RunBuilder, pack: PackId, object: WholeObject, content: Buffer) {
    const epoch = this.#epoch(object.epoch)
    run.epoch(epoch.id, epoch.frame)
    const objectKey = newObjectKey()
    const bodyOffset = run.at
    const length = BODY_HEAD_BYTES + bodyLength(content.length, DEFAULT_SEGMENT_BYTES)
    const room = run.room(length)
    BODY_HEAD.copy(room)
    const body = room.subarray(BODY_HEAD_BYTES)
    const { digest } = this.#owner
    const { coreHeader, summary } = sealBody(object.objectId, objectKey, content, digest, DEFAULT_SEGMENT_BYTES, body)
    const toCommit: ToCommit = {
      kind: object.kind,
      objectId: object.objectId,
      objectKey,
      coreHeader,
      summary,
      parts: [],
      metadata: metadataOf(object, digestOf(BLAKE3_256, content)),
    }
    const { payload, leaf } = commitOf(this.#owner, epoch, toCommit, {
      sequence: object.sequence,
      committedAt: object.committedAt,
      bodyOffset,
      durableOffset: run.durable,
    })
    // nothing that can refuse comes after this
    run.take(length)
    const commitOffset = run.at
    run.frame(FRAME.commit, payload)
    const place = { pack, commitOffset, commitBytes: run.at - commitOffset, bodyOffset }
    return { committed: committedOf(place, toCommit, leaf), objectKey, leaf }
  }

  async #commit(id: number, label: Label): Promise<SealingCalls['commit']['reply']> {
    const stream = this.#stream(id)
    const { writer, objectKey, coreHeader, offset: bodyOffset } = stream
    const { summary, digest } = stream.ended
    const epoch = this.#epoch(label.epoch)
    const object: ToCommit = {
      kind: label.kind,
      objectId: label.objectId,
      objectKey,
      coreHeader,
      summary,
      parts: [],
      metadata: metadataOf(label, digest),
    }
    const reply = await writer.inTurn(async () => {
      const { result, leaf, reached } = await writer.append(end =>
        buildRun(writer, end, run => {
          const { sequence, committedAt } = label
          const place = { sequence, committedAt, bodyOffset, durableOffset: run.durable }
          const { payload, leaf } = commitOf(this.#owner, epoch, object, place)
          run.epoch(epoch.id, epoch.frame, bodyOffset)
          const commitOffset = run.at
          run.frame(FRAME.commit, payload)
          const at = { pack: writer.id, commitOffset, commitBytes: run.at - commitOffset, bodyOffset }
          return { result: committedOf(at, object, leaf), leaf, reached: run.reached }
        }),
      )
      const { plaintextLength } = summary
      if (isDue(this.#owner.readBack)) {
        const fault = await readBackFault(writer, { place: result.place, objectKey, plaintextLength })
        if (fault !== null) throw fault
      }
      return { result, leaf: apart(leaf), reached, report: writer.report() }
    })
    objectKey.fill(0)
    this.#streams.delete(id)
    return reply
  }
}

function metadataOf({ metadata }: Pick<Label, 'metadata'>, digest: Buffer): ToCommit['metadata'] {
  const etag = metadata.etag ?? `${digest.toString('hex', 0, 16)}-1`
  return { ...metadata, etag, digest: { id: BLAKE3_256, bytes: digest } }
}

function committedOf(place: Place, { summary, metadata }: ToCommit, leaf: Buffer): Committed {
  const { plaintextLength, bodyLength } = summary
  return { place, etag: metadata.etag, plaintextLength, bodyLength, leafLength: leaf.length }
}
