import type { ObjectId } from './bytes.ts'
import { CORE_HEADER_BYTES, encodeCorePrefix, floeAad } from './core-header.ts'
import { BLAKE3_256, type DigestId, digestOf, type Hasher, SHA_256, SHORT_BODY_BYTES, startDigest } from './digest.ts'
import { DEFAULT_SEGMENT_BYTES, Floe, SEGMENT_OVERHEAD, segmentCount, segmentsLength } from './floe.ts'

/** What is known of a body once its last byte is sealed. */
export type BodySummary = {
  objectId: ObjectId
  plaintextLength: number
  bodyLength: number
  digestId: DigestId
  digest: Buffer
}

/** Body length on media, core header included. @see FORMAT.md §3.3 */
export function bodyLength(plaintextLength: number, segmentBytes: number): number {
  return CORE_HEADER_BYTES + segmentsLength(plaintextLength, segmentBytes)
}

/**
 * Seals a stream of unknown length: feed it with `push`, end it with `finish`; what they return goes to the medium in that order.
 * A segment is held back until more plaintext arrives, because only then it is known not to be the last.
 */
export class BodySealer {
  readonly objectId: ObjectId
  readonly coreHeader: Buffer
  readonly #floe: Floe
  readonly #room: number
  readonly #long: boolean
  #pending: Buffer
  #held = 0
  #index = 0
  #plaintextLength = 0
  #bodyLength = 0
  #hasher: Hasher | null = null

  /**
   * @param objectKey - 32 random bytes for this one body
   * @param digest - 'fast': BLAKE3-256, SHA-256 for bodies of at most 16 KiB; 'sha-256' where the grant asks for it
   */
  constructor(
    objectId: ObjectId,
    objectKey: Uint8Array,
    digest: 'fast' | 'sha-256' = 'fast',
    segmentBytes = DEFAULT_SEGMENT_BYTES,
  ) {
    this.objectId = objectId
    this.#room = segmentBytes - SEGMENT_OVERHEAD
    this.#long = digest === 'sha-256'
    const prefix = encodeCorePrefix(objectId, segmentBytes)
    this.#floe = Floe.start(objectKey, floeAad(prefix), { segmentBytes, rotationBits: 20 })
    this.coreHeader = Buffer.concat([prefix, this.#floe.header])
    this.#pending = Buffer.alloc(0)
  }

  /** @returns sealed bytes that are ready, the core header before the first segment; often none */
  push(plaintext: Uint8Array): Buffer[] {
    const out: Buffer[] = []
    let at = 0
    while (at < plaintext.length) {
      if (this.#held === this.#room) {
        out.push(...this.#seal(this.#pending, false))
        this.#held = 0
      }
      const rest = plaintext.length - at
      if (this.#held === 0 && rest > this.#room) {
        out.push(...this.#seal(plaintext.subarray(at, at + this.#room), false))
        at += this.#room
        continue
      }
      const take = Math.min(rest, this.#room - this.#held)
      this.#reserve(this.#held + take)
      this.#pending.set(plaintext.subarray(at, at + take), this.#held)
      this.#held += take
      at += take
    }
    return out
  }

  finish(): { sealed: Buffer[]; summary: BodySummary } {
    const sealed = this.#seal(this.#pending.subarray(0, this.#held), true)
    this.#pending.fill(0)
    this.#floe.close()
    let digestId: DigestId
    let digest: Buffer
    if (this.#hasher !== null) {
      digestId = this.#long ? SHA_256 : BLAKE3_256
      digest = this.#hasher.digest()
    } else {
      digestId = this.#long || this.#bodyLength <= SHORT_BODY_BYTES ? SHA_256 : BLAKE3_256
      digest = digestOf(digestId, Buffer.concat(sealed))
    }
    return {
      sealed,
      summary: {
        objectId: this.objectId,
        plaintextLength: this.#plaintextLength,
        bodyLength: this.#bodyLength,
        digestId,
        digest,
      },
    }
  }

  /** Wipes what is held of an upload that will not be finished. */
  abort(): void {
    this.#pending.fill(0)
    this.#floe.close()
  }

  #seal(plaintext: Uint8Array, final: boolean): Buffer[] {
    const out = this.#floe.sealPieces(this.#index, plaintext, final)
    if (this.#index === 0) out.unshift(this.coreHeader)
    this.#index++
    this.#plaintextLength += plaintext.length
    for (const piece of out) this.#bodyLength += piece.length
    if (!final || this.#hasher !== null) {
      this.#hasher ??= startDigest(this.#long ? SHA_256 : BLAKE3_256)
      for (const piece of out) this.#hasher.update(piece)
    }
    return out
  }

  #reserve(size: number): void {
    if (this.#pending.length >= size) return
    const grown = Buffer.alloc(Math.min(this.#room, Math.max(size, this.#pending.length * 4)))
    this.#pending.copy(grown, 0, 0, this.#held)
    this.#pending.fill(0)
    this.#pending = grown
  }
}

/** A whole sealed body, and what is known of it. */
export type SealedBody = { coreHeader: Buffer; body: Buffer; summary: BodySummary }

/**
 * Seals what is at hand whole: the same bytes as a `BodySealer` would leave, without its state.
 *
 * @param objectKey - 32 random bytes for this one body
 * @param body - where it goes: `bodyLength` bytes
 */
export function sealBody(
  objectId: ObjectId,
  objectKey: Uint8Array,
  plaintext: Uint8Array,
  digest: 'fast' | 'sha-256' = 'fast',
  segmentBytes = DEFAULT_SEGMENT_BYTES,
  body: Buffer = Buffer.allocUnsafe(bodyLength(plaintext.length, segmentBytes)),
): SealedBody {
  const prefix = encodeCorePrefix(objectId, segmentBytes)
  const floe = Floe.start(objectKey, floeAad(prefix), { segmentBytes, rotationBits: 20 })
  prefix.copy(body)
  floe.header.copy(body, prefix.length)
  const room = segmentBytes - SEGMENT_OVERHEAD
  const count = segmentCount(plaintext.length, segmentBytes)
  for (let index = 0, at = CORE_HEADER_BYTES; index < count; index++) {
    const piece = plaintext.subarray(index * room, (index + 1) * room)
    at += floe.sealSegment(index, piece, index === count - 1, body, at)
  }
  floe.close()
  const digestId = digest === 'sha-256' || body.length <= SHORT_BODY_BYTES ? SHA_256 : BLAKE3_256
  return {
    coreHeader: body.subarray(0, CORE_HEADER_BYTES),
    body,
    summary: {
      objectId,
      plaintextLength: plaintext.length,
      bodyLength: body.length,
      digestId,
      digest: digestOf(digestId, body),
    },
  }
}
