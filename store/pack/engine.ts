import { hash } from 'node:crypto'
import type { BodySummary } from '../../format/body.ts'
import { newId, type ObjectId } from '../../format/bytes.ts'
import { coreHeaderHash } from '../../format/core-header.ts'
import { SHA_256 } from '../../format/digest.ts'
import {
  COMPOSITE,
  type CompositePart,
  compositeHeaderHash,
  EPOCH_KEK,
  encodeParts,
  PART,
  parseEnvelope,
  sealEnvelope,
  TOMBSTONE,
} from '../../format/envelope.ts'
import { encodeBodyHead, encodeCommit, encodeFrame, FRAME } from '../../format/frame.ts'
import { encodeTombstoneFrame, leafOf, tombstoneLeaf } from '../../format/leaf.ts'
import { encodeMetadata, encodeTombstone, sealMetadata } from '../../format/metadata.ts'
import type { Index } from '../index-store.ts'
import { commitChanges, tombstoneChanges } from './changes.ts'
import type { EpochSource, PackOwner } from './epoch-source.ts'
import type { Epochs, LiveEpoch } from './epochs.ts'
import { PackReader } from './pack-reader.ts'
import { packChange } from './pack-rows.ts'
import type { PackSet } from './pack-set.ts'
import type { PackEnd, PackWriter, Run } from './pack-writer.ts'
import type { Place } from './rows.ts'
import { contextOf, type ReadyBody, type ToCommit } from './sealed-object.ts'

/**
 * Commits sealed objects. One per set of drives; everything above it (names, uploads, sealing the drive) goes through here.
 */
export class Engine {
  readonly owner: PackOwner
  readonly source: EpochSource
  readonly packs: PackSet
  readonly index: Index
  readonly now: () => number
  readonly reader: PackReader
  epochs: Epochs
  #sequence: number

  constructor(
    owner: PackOwner,
    source: EpochSource,
    packs: PackSet,
    index: Index,
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
  }

  get nextSequence(): number {
    return this.#sequence + 1
  }

  /**
   * Commits one sealed object: its run of frames in one pack, durable when it resolves, then its rows in the index.
   * @throws StoreError "full" | "damaged" | "read-only" - nothing of it counts
   */
  async commit(writer: PackWriter, object: ToCommit, body: ReadyBody): Promise<Place> {
    const epoch = await this.epochs.enter(object.summary.bodyLength)
    try {
      const { place, envelope, sequence, committedAt, end, checksum } = await writer.append(at => {
        const sequence = ++this.#sequence
        const committedAt = this.now()
        const envelope = this.#envelope(epoch, object)
        const run = this.#run(writer, epoch, at, 'offset' in body ? body.offset : undefined)
        const bodyOffset = 'offset' in body ? body.offset : object.kind === COMPOSITE ? 0 : run.at
        if ('buffers' in body && object.kind !== COMPOSITE) run.add(encodeBodyHead(), ...body.buffers)
        const commitOffset = run.at
        const checksum = run.frame(
          FRAME.commit,
          encodeCommit({ sequence, committedAt, bodyOffset, durableOffset: at.durable, envelope }),
        )
        const place = { pack: writer.id, commitOffset, commitBytes: run.at - commitOffset, bodyOffset }
        return run.of({ place, envelope, sequence, committedAt, end: run.at, checksum })
      })
      const parsed = parseEnvelope(envelope)
      epoch.leaves.push(leafOf(parsed, envelope, sequence, committedAt))
      // W3: the index after the packs, without a sync of its own
      const commit = { sequence, committedAt, bodyOffset: place.bodyOffset, durableOffset: 0, envelope }
      this.index.write([
        ...commitChanges(this.index, place, commit, parsed, object.metadata),
        packChange(writer.id, end, checksum),
      ])
      return place
    } finally {
      this.epochs.leave(epoch)
    }
  }

  /** Takes back a name, or parts of an upload (key ''). Durable when it resolves. */
  async bury(bucket: string, key: string, objectIds: ObjectId[]): Promise<void> {
    const writer = await this.packs.shared()
    const epoch = await this.epochs.enter(0)
    const objectId = newId<ObjectId>()
    try {
      const { leaf, sequence, end, checksum } = await writer.append(at => {
        const sequence = ++this.#sequence
        const place = { kind: TOMBSTONE, objectId, job: this.owner.job, epoch: epoch.id }
        const sealed = sealMetadata(epoch.keys.metadataKey, place, encodeTombstone({ bucket, key, objectIds }))
        const fields = {
          sequence,
          committedAt: this.now(),
          durableOffset: at.durable,
          objectId,
          job: this.owner.job,
          epoch: epoch.id,
          sealed,
        }
        const payload = encodeTombstoneFrame(fields)
        const run = this.#run(writer, epoch, at)
        const checksum = run.frame(FRAME.tombstone, payload)
        return run.of({ leaf: tombstoneLeaf(fields, payload), sequence, end: run.at, checksum })
      })
      epoch.leaves.push(leaf)
      this.index.write([
        ...tombstoneChanges(this.index, sequence, { bucket, key, objectIds }),
        packChange(writer.id, end, checksum),
      ])
    } finally {
      this.epochs.leave(epoch)
    }
  }

  /**
   * Collects the frames of one run; the epoch's own frame comes first where this pack does not have it yet (W1).
   * @param from - where the run really begins, when its body was written ahead
   */
  #run(writer: PackWriter, epoch: LiveEpoch, end: PackEnd, from?: number) {
    const buffers: Buffer[] = []
    let { offset, previous } = end
    const run = {
      get at() {
        return offset
      },
      of<T>(value: T): Run<T> {
        return { buffers, checksum: previous, value }
      },
      add(...more: Buffer[]) {
        for (const each of more) offset += each.length
        buffers.push(...more)
      },
      frame(type: Parameters<typeof encodeFrame>[0], payload: Buffer): Buffer {
        const { frame, checksum } = encodeFrame(type, previous, payload)
        run.add(frame)
        previous = checksum
        return checksum
      },
    }
    if (!writer.epochs.has(epoch.id)) {
      writer.epochs.set(epoch.id, { offset: from ?? end.offset, previous: end.previous })
      run.frame(FRAME.epoch, epoch.frame)
    }
    return run
  }

  #envelope(epoch: LiveEpoch, object: ToCommit): Buffer {
    const { kind, objectId, summary, parts, metadata } = object
    const sealedMetadata = sealMetadata(
      epoch.keys.metadataKey,
      { kind, objectId, job: this.owner.job, epoch: epoch.id },
      encodeMetadata(metadata),
    )
    return sealEnvelope(
      epoch.keys.wrapKey,
      object.objectKey,
      {
        kind,
        kekKind: EPOCH_KEK,
        kekId: epoch.id,
        job: this.owner.job,
        objectId,
        plaintextLength: summary.plaintextLength,
        bodyLength: summary.bodyLength,
        digestId: summary.digestId,
        digest: summary.digest,
        sealedMetadata,
        parts,
      },
      kind === COMPOSITE ? compositeHeaderHash(objectId) : coreHeaderHash(object.coreHeader),
      // upload and number are set for parts only: FORMAT.md §4.3
      contextOf(this.owner, kind === PART ? metadata : { bucket: metadata.bucket, key: metadata.key }, objectId),
    )
  }

  /** A composite's summary: no body, its list's digest. */
  static compositeSummary(objectId: ObjectId, parts: CompositePart[]): BodySummary {
    return {
      objectId,
      plaintextLength: parts.reduce((sum, part) => sum + part.plaintextLength, 0),
      bodyLength: 0,
      digestId: SHA_256,
      digest: hash('sha256', encodeParts(parts), 'buffer'),
    }
  }
}
