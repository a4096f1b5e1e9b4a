import { asBuffer } from '../../../format/bytes.ts'
import { StoreError } from '../../object-store.ts'
import { doneWith } from '../../own-body.ts'
import type { LiveEpoch } from '../epochs.ts'
import type { OpenPack } from '../open-pack.ts'
import type { HeldPack, PackSet } from '../pack-set.ts'
import type { Lane } from './lane.ts'
import type { Committed, Label, Reached, Refused, SourceFile, WholeObject } from './messages.ts'

/** A small content: what came of the body `from`, or where it lies. */
export type WholeBody = { buffers: Uint8Array[]; from: AsyncIterable<Uint8Array> } | { file: SourceFile }

/** An object at hand whole that waits for its turn. */
export type WaitingObject = {
  label: Label
  epoch: LiveEpoch
  body: WholeBody
  bytes: number
  /** Called in the order of the pack, before anyone is told. */
  done: (committed: Committed, leaf: Buffer) => void
  failed: (error: unknown) => void
}

const BATCH_OBJECTS = 64
/** what a medium takes in one write without a second one gaining anything */
const BATCH_BYTES = 2 << 20
/** One is written and synced while the next is sealed. */
const BATCHES_A_LANE = 2
/** A second batch or lane is worth its own messages and syncs only when there is this much to do. */
const SPILL_OBJECTS = 16
const SPILL_BYTES = 256 << 10

/**
 * Gathers objects into batches for the lanes: few messages, few syncs. Nothing waits for a batch to fill: what is there when a lane is
 * free goes out.
 */
export class WholeQueue {
  readonly #packs: PackSet
  readonly #reached: (pack: OpenPack, reached: Reached) => void
  #queue: WaitingObject[] = []
  #bytes = 0
  #due = false

  /** @param reached - all of a pack up to here has been told to `done` */
  constructor(packs: PackSet, reached: (pack: OpenPack, reached: Reached) => void) {
    this.#packs = packs
    this.#reached = reached
  }

  add(object: WaitingObject): void {
    this.#queue.push(object)
    this.#bytes += object.bytes
    if (this.#due) return
    this.#due = true
    // what arrives in the same turn of the loop goes together
    setImmediate(() => {
      this.#due = false
      this.#dispatch()
    })
  }

  #dispatch(): void {
    for (let under = 1; under <= BATCHES_A_LANE; under++)
      for (const [at, lane] of this.#packs.lanes.entries()) {
        if (this.#queue.length === 0) return
        if (lane.batches >= under) continue
        const more = at > 0 || under > 1
        if (more && this.#queue.length < SPILL_OBJECTS && this.#bytes < SPILL_BYTES) continue
        lane.batches++
        void this.#send(lane, this.#take()).finally(() => {
          lane.batches--
          this.#dispatch()
        })
      }
  }

  #take(): WaitingObject[] {
    let count = 0
    let bytes = 0
    for (const each of this.#queue) {
      if (count === BATCH_OBJECTS || (count > 0 && bytes + each.bytes > BATCH_BYTES)) break
      count++
      bytes += each.bytes
    }
    this.#bytes -= bytes
    return this.#queue.splice(0, count)
  }

  async #send(lane: Lane, batch: WaitingObject[]): Promise<void> {
    let held: HeldPack
    try {
      held = await this.#packs.shared(lane)
    } catch (error) {
      for (const each of batch) each.failed(error)
      return
    }
    try {
      await this.#sendInto(held.pack, lane, batch)
    } finally {
      // whatever one of them does when it hears: a pack in hand for ever could never be closed
      await held.done()
    }
  }

  async #sendInto(pack: OpenPack, lane: Lane, batch: WaitingObject[]): Promise<void> {
    let answer: { results: (Committed | Refused)[]; leaves: Buffer; reached: Reached }
    try {
      const { objects, bytes } = this.#message(batch)
      const epochs = lane.news(new Set(batch.map(each => each.epoch)))
      const request = { pack: pack.id, epochs, bytes, objects: JSON.stringify(objects) }
      const { results, leaves, reached, report } = await lane.call('seal', request, [bytes.buffer])
      pack.learn(report)
      answer = { results: JSON.parse(results) as (Committed | Refused)[], leaves: asBuffer(leaves), reached }
    } catch (error) {
      await pack.fail()
      for (const each of batch) each.failed(error)
      return
    }
    settleAll(batch, answer.results, answer.leaves)
    try {
      this.#reached(pack, answer.reached)
    } catch {
      // rows that could not be written are held: the next write or look tries again, and tells its caller
    }
  }

  /** Bodies side by side in one buffer, which is given away. */
  #message(batch: WaitingObject[]): { objects: WholeObject[]; bytes: Buffer<ArrayBuffer> } {
    let total = 0
    for (const { body, bytes } of batch) if ('buffers' in body) total += bytes
    const bytes = Buffer.allocUnsafeSlow(total)
    let at = 0
    const objects = batch.map(({ label, body, bytes: length }): WholeObject => {
      if ('file' in body) return { ...label, body: body.file }
      const offset = at
      for (const each of body.buffers) {
        bytes.set(each, at)
        at += each.length
        doneWith(body.from, each)
      }
      return { ...label, body: { offset, length } }
    })
    return { objects, bytes }
  }
}

/** Each hears once, and what one of them throws concerns it alone: it is committed, and is found again from the packs. */
function settleAll(batch: WaitingObject[], results: (Committed | Refused)[], leaves: Buffer): void {
  let leafAt = 0
  for (const [at, waiting] of batch.entries()) {
    const result = results[at]
    if (result === undefined || 'fault' in result) {
      waiting.failed(new StoreError(result?.fault ?? 'damaged', result?.message ?? 'the sealing thread left it out'))
      continue
    }
    const leaf = leaves.subarray(leafAt, leafAt + result.leafLength)
    leafAt += result.leafLength
    try {
      waiting.done(result, leaf)
    } catch (error) {
      waiting.failed(error)
    }
  }
}
