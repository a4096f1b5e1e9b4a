import { createSecretKey, hash, type KeyObject, randomBytes } from 'node:crypto'
import { type BodySummary, checkBody, openBody } from '../../format/body.ts'
import { type EpochId, newId, type ObjectId } from '../../format/bytes.ts'
import type { ObjectContext } from '../../format/context.ts'
import { CORE_HEADER_BYTES, coreHeaderHash } from '../../format/core-header.ts'
import { SHA_256, startDigest } from '../../format/digest.ts'
import {
  COMPOSITE,
  type CompositePart,
  compositeHeaderHash,
  type Envelope,
  type EnvelopeKind,
  EPOCH_KEK,
  encodeParts,
  OBJECT,
  openEnvelope,
  PART,
  parseEnvelope,
  sealEnvelope,
  TOMBSTONE,
} from '../../format/envelope.ts'
import { deriveEpochKeys, unwrapMetadataKey } from '../../format/epoch-key.ts'
import {
  BODY_HEAD_BYTES,
  encodeBodyHead,
  encodeCommit,
  encodeFrame,
  FRAME,
  FRAME_HEAD_BYTES,
  openFrame,
  parseCommit,
} from '../../format/frame.ts'
import { encodeTombstoneFrame, leafOf, tombstoneLeaf } from '../../format/leaf.ts'
import { encodeMetadata, encodeTombstone, type ObjectMetadata, sealMetadata } from '../../format/metadata.ts'
import type { Index } from '../index-store.ts'
import { type ByteRange, StoreError } from '../object-store.ts'
import type { EpochSource, PackOwner } from './epoch-source.ts'
import type { Epochs, LiveEpoch } from './epochs.ts'
import type { PackSet } from './pack-set.ts'
import type { PackEnd, PackWriter, Run } from './pack-writer.ts'
import { commitChanges, epochChange, type Place, packChange, readBody, readEpoch, tombstoneChanges } from './rows.ts'

/** A sealed body that is ready to be committed: in memory, or written ahead in a pack of its own. */
export type ReadyBody = { buffers: Buffer[] } | { offset: number }

export type ToCommit = {
  kind: EnvelopeKind
  objectId: ObjectId
  objectKey: Buffer
  coreHeader: Buffer
  summary: BodySummary
  parts: CompositePart[]
  metadata: ObjectMetadata
}

/** What of its metadata an object's key is bound to. */
export type ObjectName = Pick<ObjectMetadata, 'bucket' | 'key' | 'part'>

const OPENED_EPOCHS_KEPT = 4
const CHECK_BYTES = 1 << 20

/**
 * Commits and opens sealed objects. One per set of drives; everything above it (names, uploads, sealing the drive) goes through here.
 */
export class Engine {
  readonly owner: PackOwner
  readonly source: EpochSource
  readonly packs: PackSet
  readonly index: Index
  readonly now: () => number
  epochs: Epochs
  #sequence: number
  readonly #opened = new Map<EpochId, KeyObject>()

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
  }

  get nextSequence(): number {
    return this.#sequence + 1
  }

  contextOf(metadata: ObjectName, objectId: ObjectId): ObjectContext {
    return {
      account: this.owner.account,
      job: this.owner.job,
      bucket: metadata.bucket,
      key: metadata.key,
      objectId,
      ...(metadata.part !== undefined && { part: metadata.part }),
    }
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
      this.contextOf(kind === PART ? metadata : { bucket: metadata.bucket, key: metadata.key }, objectId),
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

  async envelopeAt(place: Place): Promise<Envelope> {
    const frame = await this.packs.read(place.pack, place.commitOffset, place.commitBytes)
    if (frame.length < FRAME_HEAD_BYTES)
      throw new StoreError('damaged', `pack ${place.pack}: cut short at ${place.commitOffset}`)
    return parseEnvelope(parseCommit(openFrame(frame).payload).envelope)
  }

  /** @throws StoreError "invalid-state" - its epoch has ended and the job is write-only */
  async wrapKeyOf(epoch: EpochId): Promise<KeyObject> {
    const live = this.epochs.live(epoch)?.keys.wrapKey ?? this.#opened.get(epoch)
    if (live !== undefined) return live
    const row = readEpoch(this.index, epoch)
    const epochKey = row === null ? null : await this.source.openEpoch(row.keyRecord)
    if (epochKey === null)
      throw new StoreError(
        'invalid-state',
        'sealed for the provider: this job is write-only and the epoch of this object has ended, so it cannot be read here any more',
      )
    const { wrapKey } = deriveEpochKeys(epochKey)
    epochKey.fill(0)
    this.#opened.set(epoch, wrapKey)
    const [oldest] = this.#opened.keys()
    if (this.#opened.size > OPENED_EPOCHS_KEPT && oldest !== undefined) this.#opened.delete(oldest)
    return wrapKey
  }

  /** The key that opens an epoch's metadata, from the index. */
  metadataKeyOf(epoch: EpochId): KeyObject {
    const live = this.epochs.live(epoch)
    if (live !== null) return live.keys.metadataKey
    const row = readEpoch(this.index, epoch)
    if (row === null) throw new StoreError('damaged', `epoch ${epoch}: its key record is in none of the packs`)
    return createSecretKey(unwrapMetadataKey(this.source.indexKey, row.keptMetadataKey, epoch))
  }

  /**
   * Content of an object, checked before a byte of it is given out.
   * @throws StoreError "invalid-state" before the first byte; FormatError "tampered" when the medium gives back something else
   */
  async open(place: Place, name: ObjectName, range: ByteRange | null): Promise<AsyncIterable<Uint8Array>> {
    const envelope = await this.envelopeAt(place)
    const { bucket, key } = name
    if (envelope.kind !== COMPOSITE) return this.#openSingle(place, envelope, { bucket, key }, range)
    const wrapKey = await this.wrapKeyOf(envelope.kekId)
    const context = this.contextOf({ bucket, key }, envelope.objectId)
    // authenticates the list
    openEnvelope(wrapKey, envelope, compositeHeaderHash(envelope.objectId), context).fill(0)
    const slices = slicesOf(envelope.parts, range)
    const first = slices[0]
    if (first === undefined) return emptyBody()
    // the first part's key is asked for now, so that a refusal comes before the first byte
    await this.wrapKeyOf((await this.envelopeAt(this.#partPlace(first.part))).kekId)
    return this.#openParts(slices, { bucket, key })
  }

  #partPlace(part: CompositePart): Place {
    const row = readBody(this.index, part.objectId)
    if (row === null) throw new StoreError('damaged', `part ${part.objectId} is in none of the packs`)
    return row.place
  }

  async *#openParts(slices: Slice[], name: { bucket: string; key: string }): AsyncGenerator<Uint8Array> {
    for (const { part, range } of slices) {
      const row = readBody(this.index, part.objectId)
      if (row === null) throw new StoreError('damaged', `part ${part.objectId} is in none of the packs`)
      const envelope = await this.envelopeAt(row.place)
      if (!envelope.digest.equals(part.digest) || envelope.plaintextLength !== part.plaintextLength)
        throw new StoreError('damaged', `part ${part.objectId} is not the one that its composite lists`)
      yield* await this.#openSingle(
        row.place,
        envelope,
        { ...name, part: { upload: row.upload, number: row.number } },
        range,
      )
    }
  }

  async #openSingle(place: Place, envelope: Envelope, name: ObjectName, range: ByteRange | null) {
    const wrapKey = await this.wrapKeyOf(envelope.kekId)
    const bodyAt = place.bodyOffset + BODY_HEAD_BYTES
    const coreHeader = await this.packs.read(place.pack, bodyAt, CORE_HEADER_BYTES)
    const objectKey = openEnvelope(
      wrapKey,
      envelope,
      coreHeaderHash(coreHeader),
      this.contextOf(name, envelope.objectId),
    )
    const read = (offset: number, length: number): Promise<Buffer> =>
      this.packs.read(place.pack, bodyAt + offset, length)
    return openBody(
      read,
      objectKey,
      coreHeader,
      envelope.plaintextLength,
      range ?? { first: 0, last: envelope.plaintextLength - 1 },
    )
  }

  /** Reads a just-committed body again and checks every tag, while its key is still at hand. @throws StoreError "damaged" */
  async readBack(place: Place, object: ToCommit): Promise<void> {
    if (object.kind !== OBJECT && object.kind !== PART) return
    const bodyAt = place.bodyOffset + BODY_HEAD_BYTES
    const read = (offset: number, length: number): Promise<Buffer> =>
      this.packs.read(place.pack, bodyAt + offset, length)
    try {
      await checkBody(read, object.objectKey, await read(0, CORE_HEADER_BYTES), object.summary.plaintextLength)
    } catch (cause) {
      throw new StoreError(
        'damaged',
        `the drive gave back something else than was written (object ${object.objectId}): do not trust this drive`,
        { cause },
      )
    }
  }

  /**
   * Whether the medium still holds what was committed: every tag where a key is at hand, else the digest over the sealed body.
   * @returns which of the two was done
   * @throws StoreError "damaged" | FormatError "tampered"
   */
  async check(place: Place, name: ObjectName): Promise<'tags' | 'digest'> {
    const envelope = await this.envelopeAt(place)
    if (envelope.kind === COMPOSITE) {
      let how: 'tags' | 'digest' = 'tags'
      for (const part of envelope.parts) {
        const row = readBody(this.index, part.objectId)
        if (row === null) throw new StoreError('damaged', `part ${part.objectId} is in none of the packs`)
        const done = await this.check(row.place, { ...name, part: { upload: row.upload, number: row.number } })
        if (done === 'digest') how = 'digest'
      }
      return how
    }
    try {
      for await (const piece of await this.#openSingle(place, envelope, name, null)) piece.fill(0)
      return 'tags'
    } catch (error) {
      if (!(error instanceof StoreError) || error.fault !== 'invalid-state') throw error
    }
    const hasher = startDigest(envelope.digestId)
    const bodyAt = place.bodyOffset + BODY_HEAD_BYTES
    for (let at = 0; at < envelope.bodyLength; at += CHECK_BYTES)
      hasher.update(await this.packs.read(place.pack, bodyAt + at, Math.min(CHECK_BYTES, envelope.bodyLength - at)))
    if (!hasher.digest().equals(envelope.digest))
      throw new StoreError('damaged', `object ${envelope.objectId}: the drive does not give back what was sealed`)
    return 'digest'
  }

  /** Key record of an epoch into the index: readable jobs and rebuilt names need it. */
  rememberEpoch(epoch: EpochId, keyRecord: Buffer, keptMetadataKey: Buffer): void {
    this.index.write([epochChange(epoch, keyRecord, keptMetadataKey)])
  }

  forgetKeys(): void {
    this.#opened.clear()
  }
}

export function newObjectKey(): Buffer {
  return randomBytes(32)
}

type Slice = { part: CompositePart; range: ByteRange }

/** Which bytes of which parts make up the range. */
export function slicesOf(parts: CompositePart[], range: ByteRange | null): Slice[] {
  const out: Slice[] = []
  let start = 0
  for (const part of parts) {
    const first = Math.max(0, (range?.first ?? 0) - start)
    const last = Math.min(part.plaintextLength - 1, (range?.last ?? Number.MAX_SAFE_INTEGER) - start)
    if (first <= last) out.push({ part, range: { first, last } })
    start += part.plaintextLength
  }
  return out
}

async function* emptyBody(): AsyncGenerator<Uint8Array> {}
