import type { KeyObject } from 'node:crypto'
import { openBody, openHeldBody } from '../../format/body-opening.ts'
import { type EpochId, giveBack } from '../../format/bytes.ts'
import { CORE_HEADER_BYTES, coreHeaderHash } from '../../format/core-header.ts'
import { startDigest } from '../../format/digest.ts'
import {
  COMPOSITE,
  type CompositePart,
  compositeHeaderHash,
  type Envelope,
  openEnvelope,
  parseEnvelope,
} from '../../format/envelope.ts'
import { deriveEpochKeys } from '../../format/epoch-key.ts'
import { BODY_HEAD_BYTES, FRAME_HEAD_BYTES, openFrame, parseCommit } from '../../format/frame.ts'
import type { Index } from '../index-store.ts'
import { type ByteRange, HeldBody, StoreError } from '../object-store.ts'
import { OwnBody } from '../own-body.ts'
import { SMALL_READ_BYTES } from '../range-file.ts'
import type { EpochSource, PackOwner } from './epoch-source.ts'
import type { LiveEpoch } from './epochs.ts'
import { readEpoch } from './pack-rows.ts'
import type { PackSet } from './pack-set.ts'
import { type Place, readBody } from './rows.ts'
import { contextOf, type ObjectName } from './sealed-object.ts'

const OPENED_EPOCHS_KEPT = 4
const CHECK_BYTES = 1 << 20

/** Opens what lies in the packs: content where a key is at hand, soundness always. */
export class PackReader {
  readonly #owner: PackOwner
  readonly #source: EpochSource
  readonly #packs: PackSet
  readonly #index: Index
  readonly #live: (epoch: EpochId) => LiveEpoch | null
  readonly #opened = new Map<EpochId, KeyObject>()
  /** what one look reads of a small object: sealed bytes, good till the next */
  #room: Buffer | null = null

  /** @param live - keys of an epoch that has not ended */
  constructor(
    owner: PackOwner,
    source: EpochSource,
    packs: PackSet,
    index: Index,
    live: (epoch: EpochId) => LiveEpoch | null,
  ) {
    this.#owner = owner
    this.#source = source
    this.#packs = packs
    this.#index = index
    this.#live = live
  }

  async envelopeAt(place: Place): Promise<Envelope> {
    return envelopeOf(place, await this.#packs.read(place.pack, place.commitOffset, place.commitBytes))
  }

  /**
   * A small object whose body and commit, side by side, are read by one look at a prompt drive, and whose key is at hand. All in one turn,
   * so that the room for what is read serves the next.
   * @returns null - not so: to be opened by steps
   */
  #openNow(place: Place, name: ObjectName, range: ByteRange | null): Buffer | null {
    const length = smallRun(place)
    if (length === null) return null
    this.#room ??= Buffer.allocUnsafeSlow(SMALL_READ_BYTES)
    const run = this.#room.subarray(0, length)
    if (this.#packs.readNow(place.pack, place.bodyOffset, run) !== length) return null
    const { envelope, body } = partsOf(place, run)
    const wrapKey = this.#keyAtHand(envelope.kekId)
    return wrapKey === null ? null : this.#openHeld(wrapKey, envelope, body, name, range)
  }

  #keyAtHand(epoch: EpochId): KeyObject | null {
    return this.#live(epoch)?.keys.wrapKey ?? this.#opened.get(epoch) ?? null
  }

  /** @throws StoreError "invalid-state" - its epoch has ended and the job is write-only */
  async wrapKeyOf(epoch: EpochId): Promise<KeyObject> {
    const atHand = this.#keyAtHand(epoch)
    if (atHand !== null) return atHand
    const row = readEpoch(this.#index, epoch)
    const epochKey = row === null ? null : await this.#source.openEpoch(row.keyRecord)
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

  /**
   * Content of an object, checked before a byte of it is given out.
   * @throws StoreError "invalid-state" before the first byte; FormatError "tampered" when the medium gives back something else
   */
  async open(place: Place, name: ObjectName, range: ByteRange | null): Promise<AsyncIterable<Uint8Array>> {
    const { bucket, key } = name
    const now = this.#openNow(place, { bucket, key }, range)
    if (now !== null) return new HeldBody(now)
    const length = smallRun(place)
    if (length !== null) {
      const { envelope, body } = partsOf(place, await this.#packs.read(place.pack, place.bodyOffset, length))
      const wrapKey = await this.wrapKeyOf(envelope.kekId)
      return new HeldBody(this.#openHeld(wrapKey, envelope, body, { bucket, key }, range))
    }
    const envelope = await this.envelopeAt(place)
    if (envelope.kind !== COMPOSITE) return new OwnBody(await this.#openSingle(place, envelope, { bucket, key }, range))
    const wrapKey = await this.wrapKeyOf(envelope.kekId)
    const context = contextOf(this.#owner, { bucket, key }, envelope.objectId)
    // authenticates the list
    openEnvelope(wrapKey, envelope, compositeHeaderHash(envelope.objectId), context).fill(0)
    const slices = slicesOf(envelope.parts, range)
    const first = slices[0]
    if (first === undefined) return emptyBody()
    // the first part's key is asked for now, so that a refusal comes before the first byte
    await this.wrapKeyOf((await this.envelopeAt(this.#partPlace(first.part))).kekId)
    return new OwnBody(this.#openParts(slices, { bucket, key }))
  }

  #partPlace(part: CompositePart): Place {
    const row = readBody(this.#index, part.objectId)
    if (row === null) throw new StoreError('damaged', `part ${part.objectId} is in none of the packs`)
    return row.place
  }

  async *#openParts(slices: Slice[], name: { bucket: string; key: string }): AsyncGenerator<Uint8Array> {
    for (const { part, range } of slices) {
      const row = readBody(this.#index, part.objectId)
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

  #openHeld(wrapKey: KeyObject, envelope: Envelope, body: Buffer, name: ObjectName, range: ByteRange | null): Buffer {
    const context = contextOf(this.#owner, name, envelope.objectId)
    const objectKey = openEnvelope(wrapKey, envelope, coreHeaderHash(body), context)
    try {
      return openHeldBody(body, objectKey, body, envelope.plaintextLength, range ?? undefined)
    } finally {
      objectKey.fill(0)
    }
  }

  async #openSingle(place: Place, envelope: Envelope, name: ObjectName, range: ByteRange | null) {
    const wrapKey = await this.wrapKeyOf(envelope.kekId)
    const bodyAt = place.bodyOffset + BODY_HEAD_BYTES
    const coreHeader = await this.#packs.read(place.pack, bodyAt, CORE_HEADER_BYTES)
    const objectKey = openEnvelope(
      wrapKey,
      envelope,
      coreHeaderHash(coreHeader),
      contextOf(this.#owner, name, envelope.objectId),
    )
    const read = (offset: number, length: number): Promise<Buffer> =>
      this.#packs.read(place.pack, bodyAt + offset, length)
    return openBody(
      read,
      objectKey,
      coreHeader,
      envelope.plaintextLength,
      range ?? { first: 0, last: envelope.plaintextLength - 1 },
    )
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
        const row = readBody(this.#index, part.objectId)
        if (row === null) throw new StoreError('damaged', `part ${part.objectId} is in none of the packs`)
        const done = await this.check(row.place, { ...name, part: { upload: row.upload, number: row.number } })
        if (done === 'digest') how = 'digest'
      }
      return how
    }
    try {
      for await (const piece of await this.#openSingle(place, envelope, name, null)) {
        piece.fill(0)
        giveBack(piece)
      }
      return 'tags'
    } catch (error) {
      if (!(error instanceof StoreError) || error.fault !== 'invalid-state') throw error
    }
    const hasher = startDigest(envelope.digestId)
    const bodyAt = place.bodyOffset + BODY_HEAD_BYTES
    for (let at = 0; at < envelope.bodyLength; at += CHECK_BYTES) {
      const piece = await this.#packs.read(place.pack, bodyAt + at, Math.min(CHECK_BYTES, envelope.bodyLength - at))
      hasher.update(piece)
      giveBack(piece)
    }
    if (!hasher.digest().equals(envelope.digest))
      throw new StoreError('damaged', `object ${envelope.objectId}: the drive does not give back what was sealed`)
    return 'digest'
  }

  forgetKeys(): void {
    this.#opened.clear()
  }
}

/** Length of an object's body and commit together; null: none, as of a composite, or too much for one look. */
function smallRun({ bodyOffset, commitOffset, commitBytes }: Place): number | null {
  const length = commitOffset + commitBytes - bodyOffset
  return bodyOffset === 0 || length > SMALL_READ_BYTES ? null : length
}

function partsOf(place: Place, run: Buffer): { envelope: Envelope; body: Buffer } {
  const commitAt = place.commitOffset - place.bodyOffset
  return { envelope: envelopeOf(place, run.subarray(commitAt)), body: run.subarray(BODY_HEAD_BYTES, commitAt) }
}

function envelopeOf(place: Place, frame: Buffer): Envelope {
  if (frame.length < FRAME_HEAD_BYTES)
    throw new StoreError('damaged', `pack ${place.pack}: cut short at ${place.commitOffset}`)
  return parseEnvelope(parseCommit(openFrame(frame).payload).envelope)
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
