import type { BodySummary } from '../../format/body.ts'
import { asBuffer, newId, type ObjectId } from '../../format/bytes.ts'
import { SHA_256, sha256 } from '../../format/digest.ts'
import { COMPOSITE, type CompositePart, encodeParts, PART, TOMBSTONE } from '../../format/envelope.ts'
import { FRAME, FRAME_HEAD_BYTES } from '../../format/frame.ts'
import { encodeLeaf, encodeTombstoneFrame, parseLeaf, tombstoneLeaf } from '../../format/leaf.ts'
import { encodeTombstone, type ObjectMetadata, sealMetadata } from '../../format/metadata.ts'
import type { BatchedIndex } from '../batched-index.ts'
import { type CommittedObject, commitChanges, tombstoneChanges } from './changes.ts'
import type { EpochSource, PackOwner } from './epoch-source.ts'
import type { Epochs, LiveEpoch } from './epochs.ts'
import type { OpenPack } from './open-pack.ts'
import { PackReader } from './pack-reader.ts'
import { packChange } from './pack-rows.ts'
import type { HeldPack, PackSet } from './pack-set.ts'
import { newObjectKey, type ToCommit } from './sealed-object.ts'
import { commitOf } from './sealing/commit-of.ts'
import type { Committed, Label, Reached, SourceFile } from './sealing/messages.ts'
import { type WholeBody, WholeQueue } from './sealing/whole-queue.ts'

/** What is at hand whole. */
/** A label before the object has its place in the order. */
type Unplaced = Omit<Label, 'sequence' | 'committedAt' | 'epoch'>
/** An object that is committed and in the index. */
export type Landed = { objectId: ObjectId; size: number; metadata: Omit<ObjectMetadata, 'digest'> }

/**
 * Commits contents. One per set of drives; everything above it (names, uploads, sealing the drive) goes through here. It gives every
 * object its epoch and its place in the order, lets the lanes seal, and writes rows when their bytes are on stable storage.
 */
export class Engine {
  readonly owner: PackOwner
  readonly source: EpochSource
  readonly packs: PackSet
  readonly index: BatchedIndex
  readonly now: () => number
  readonly reader: PackReader
  epochs: Epochs
  readonly #queue: WholeQueue
  /** sequences that are given out and not yet in a pack */
  readonly #underWay = new Set<number>()
  #sequence: number

  constructor(
    owner: PackOwner,
    source: EpochSource,
    packs: PackSet,
    index: BatchedIndex,
    epochs: Epochs,
    sequence: number,
    now: () => number,
  ) {
    this.owner = owner
    this.source = source
    this.packs = packs
    this.index = index
    this.epochs = epochs
    this.#sequence = sequence
    this.now = now
    this.reader = new PackReader(owner, source, packs, index, epoch => this.epochs.live(epoch))
    this.#queue = new WholeQueue(packs, (pack, reached) => this.#readTo(pack, reached))
  }

  /** No pack that is made from now on holds a lower one. */
  get lowestSequence(): number {
    let lowest = this.#sequence + 1
    for (const each of this.#underWay) if (each < lowest) lowest = each
    return lowest
  }

  /**
   * A place in the order, taken at once when an epoch has been entered: so no object of an epoch comes after one of the next, and the last
   * sequence of a checkpoint stands for all before it. `#over` when it has landed or failed.
   */
  #next(): { sequence: number; committedAt: number } {
    const sequence = ++this.#sequence
    this.#underWay.add(sequence)
    return { sequence, committedAt: this.now() }
  }

  #over(epoch: LiveEpoch, sequence: number): void {
    this.#underWay.delete(sequence)
    this.epochs.leave(epoch)
  }

  /**
   * Seals and commits what is at hand whole; on stable storage and in the index when it resolves.
   * @throws StoreError "full" | "damaged" | "read-only" | "source-changed" | "source-unreadable" - nothing of it counts
   */
  async commitWhole(label: Unplaced, body: WholeBody, bytes: number): Promise<Landed> {
    const epoch = await this.epochs.enter(bytes)
    return new Promise<Landed>((resolve, reject) => this.#enqueue(label, epoch, body, bytes, resolve, reject))
  }

  /** The same without a promise each, for thousands: `settled` is called with what came of it. */
  commitFile(label: Unplaced, file: SourceFile, settled: (fault: unknown) => void): void {
    const go = (epoch: LiveEpoch): void =>
      this.#enqueue(label, epoch, { file }, file.length, () => settled(null), settled)
    try {
      const epoch = this.epochs.enterNow(file.length)
      if (epoch !== null) go(epoch)
      else this.epochs.enter(file.length).then(go, settled)
    } catch (error) {
      settled(error)
    }
  }

  #enqueue(
    label: Unplaced,
    epoch: LiveEpoch,
    body: WholeBody,
    bytes: number,
    landed: (landed: Landed) => void,
    failed: (error: unknown) => void,
  ): void {
    const placed: Label = { ...label, ...this.#next(), epoch: epoch.id }
    this.#queue.add({
      label: placed,
      epoch,
      body,
      bytes,
      done: (committed, leaf) => {
        const result = this.#land(epoch, committed, placed, leaf)
        this.#over(epoch, placed.sequence)
        landed(result)
      },
      failed: error => {
        this.#over(epoch, placed.sequence)
        failed(error)
      },
    })
  }

  /** Commits what a lane has sealed ahead. @throws StoreError as `commitWhole` */
  async commitStream(label: Unplaced, pack: OpenPack, stream: number, bytes: number): Promise<Landed> {
    const epoch = await this.epochs.enter(bytes)
    const placed: Label = { ...label, ...this.#next(), epoch: epoch.id }
    try {
      const epochs = pack.lane.news([epoch])
      const { result, leaf, reached, report } = await pack.lane.call('commit', { stream, epochs, label: placed })
      pack.learn(report)
      const landed = this.#land(epoch, result, placed, asBuffer(leaf))
      this.#readTo(pack, reached)
      return landed
    } catch (error) {
      await pack.fail()
      throw error
    } finally {
      this.#over(epoch, placed.sequence)
    }
  }

  /** Commits a list of parts as one object. @throws StoreError "full" | "damaged" | "read-only" */
  async commitComposite(parts: CompositePart[], metadata: ObjectMetadata): Promise<Landed> {
    const objectId = newId<ObjectId>()
    const objectKey = newObjectKey()
    const epoch = await this.epochs.enter(0)
    const order = this.#next()
    let held: HeldPack | null = null
    try {
      held = await this.packs.some()
      const { pack } = held
      const object: ToCommit = {
        kind: COMPOSITE,
        objectId,
        objectKey,
        coreHeader: Buffer.alloc(0),
        summary: compositeSummary(objectId, parts),
        parts,
        metadata,
      }
      const keys = { id: epoch.id, ...epoch.keys }
      const at = { ...order, bodyOffset: 0, durableOffset: pack.length }
      const { payload, leaf, fields } = commitOf(this.owner, keys, object, at)
      // commit point: the composite's frame; the parts are durable already
      const { offset, reached } = await pack.append(FRAME.commit, payload, epoch)
      epoch.leaves.push({ sequence: order.sequence, bytes: leaf })
      const place = {
        pack: pack.id,
        commitOffset: offset,
        commitBytes: payload.length + FRAME_HEAD_BYTES,
        bodyOffset: 0,
      }
      const composite = { ...fields, digest: { id: fields.digestId, bytes: fields.digest }, parts: parts.length }
      this.index.write(commitChanges(this.index, place, order.sequence, composite, metadata))
      this.#readTo(pack, reached)
      return { objectId, size: object.summary.plaintextLength, metadata }
    } finally {
      objectKey.fill(0)
      await held?.done()
      this.#over(epoch, order.sequence)
    }
  }

  /** Takes back a name, or parts of an upload (key ''). Durable when it resolves. */
  async bury(bucket: string, key: string, objectIds: ObjectId[]): Promise<void> {
    const epoch = await this.epochs.enter(0)
    const order = this.#next()
    const objectId = newId<ObjectId>()
    let held: HeldPack | null = null
    try {
      held = await this.packs.some()
      const { pack } = held
      const { job } = this.owner
      const place = { kind: TOMBSTONE, objectId, job, epoch: epoch.id }
      const sealed = sealMetadata(epoch.keys.metadataKey, place, encodeTombstone({ bucket, key, objectIds }))
      const fields = { ...order, durableOffset: pack.length, objectId, job, epoch: epoch.id, sealed }
      const payload = encodeTombstoneFrame(fields)
      const { reached } = await pack.append(FRAME.tombstone, payload, epoch)
      epoch.leaves.push({ sequence: order.sequence, bytes: encodeLeaf(tombstoneLeaf(fields, payload)) })
      this.index.write(tombstoneChanges(this.index, order.sequence, { bucket, key, objectIds }))
      this.#readTo(pack, reached)
    } finally {
      await held?.done()
      this.#over(epoch, order.sequence)
    }
  }

  /** W3: rows after the packs. */
  #land(epoch: LiveEpoch, committed: Committed, { kind, objectId, sequence, metadata }: Label, leaf: Buffer): Landed {
    epoch.leaves.push({ sequence, bytes: leaf })
    const { plaintextLength, bodyLength, place, etag } = committed
    const fields: CommittedObject = { kind, objectId, kekId: epoch.id, plaintextLength, bodyLength, parts: 0 }
    // only a part's row keeps the digest, for its composite's list
    if (kind === PART) fields.digest = { id: parseLeaf(leaf).digestId, bytes: parseLeaf(leaf).bodyDigest }
    const labelled = { ...metadata, etag }
    this.index.write(commitChanges(this.index, place, sequence, fields, labelled))
    return { objectId, size: plaintextLength, metadata: labelled }
  }

  /** Every run of the pack up to here has its rows. */
  #readTo(pack: OpenPack, { offset, head }: Reached): void {
    this.index.write([packChange(pack.id, offset, asBuffer(head))])
  }
}

/** A composite's summary: no body, its list's digest. */
function compositeSummary(objectId: ObjectId, parts: CompositePart[]): BodySummary {
  return {
    objectId,
    plaintextLength: parts.reduce((sum, part) => sum + part.plaintextLength, 0),
    bodyLength: 0,
    digestId: SHA_256,
    digest: sha256(encodeParts(parts)),
  }
}
