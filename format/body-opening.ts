import { bodyLength } from './body.ts'
import { giveBack } from './bytes.ts'
import { CORE_HEADER_BYTES, floeAad, parseCoreHeader } from './core-header.ts'
import { FormatError } from './fault.ts'
import { Floe, SEGMENT_OVERHEAD, segmentCount } from './floe.ts'

/** Reads `length` bytes at `offset` of the body, which are then the asker's; fewer only when the medium is cut short. */
export type ReadBody = (offset: number, length: number) => Promise<Buffer>

/** Segments read in one go: few calls for large ranges, bounded memory. */
const READ_AHEAD_BYTES = 4 << 20

/**
 * Plaintext of a range, segment by segment, each checked before a byte of it is released.
 *
 * @param plaintextLength - authenticated (from the envelope's AAD), as FLOE's commitment demands
 * @throws FormatError "tampered" | "truncated" | "mismatch"
 */
export async function* openBody(
  read: ReadBody,
  objectKey: Uint8Array,
  coreHeader: Uint8Array,
  plaintextLength: number,
  range: { first: number; last: number } = { first: 0, last: plaintextLength - 1 },
): AsyncGenerator<Buffer> {
  const opening = new Opening(objectKey, coreHeader, plaintextLength, range)
  try {
    const batch = Math.max(1, Math.floor(READ_AHEAD_BYTES / opening.segmentBytes))
    for (let first = opening.from; first <= opening.to; first += batch) {
      const last = Math.min(opening.to, first + batch - 1)
      const { start, length } = opening.place(first, last)
      const bytes = await read(start, length)
      for (const piece of opening.pieces(bytes, first, last)) yield piece
      giveBack(bytes)
    }
  } finally {
    opening.close()
  }
}

/**
 * The same of a body at hand, at once: for small ones.
 *
 * @param body - from where its core header lies; what is behind it is not looked at
 */
export function openHeldBody(
  body: Buffer,
  objectKey: Uint8Array,
  coreHeader: Uint8Array,
  plaintextLength: number,
  range: { first: number; last: number } = { first: 0, last: plaintextLength - 1 },
): Buffer {
  const opening = new Opening(objectKey, coreHeader, plaintextLength, range)
  try {
    const { start, length } = opening.place(opening.from, opening.to)
    const pieces = [...opening.pieces(body.subarray(start, start + length), opening.from, opening.to)]
    const [only] = pieces
    return pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces)
  } finally {
    opening.close()
  }
}

/** Which segments hold a range, where they lie, and how they are opened. */
class Opening {
  readonly segmentBytes: number
  /** first and last segment */
  readonly from: number
  readonly to: number
  readonly #floe: Floe
  readonly #range: { first: number; last: number }
  readonly #room: number
  readonly #count: number
  readonly #total: number

  constructor(
    objectKey: Uint8Array,
    coreHeader: Uint8Array,
    plaintextLength: number,
    range: { first: number; last: number },
  ) {
    const { segmentBytes, floeHeader } = parseCoreHeader(coreHeader)
    this.#floe = Floe.open(objectKey, floeAad(coreHeader), floeHeader, { segmentBytes, rotationBits: 20 })
    this.segmentBytes = segmentBytes
    this.#range = range
    this.#room = segmentBytes - SEGMENT_OVERHEAD
    this.#count = segmentCount(plaintextLength, segmentBytes)
    this.#total = bodyLength(plaintextLength, segmentBytes)
    this.from = Math.floor(Math.max(0, range.first) / this.#room)
    this.to = Math.min(this.#count - 1, Math.floor(Math.max(0, range.last) / this.#room))
  }

  /** Of segments in the body. */
  place(first: number, last: number): { start: number; length: number } {
    const start = CORE_HEADER_BYTES + first * this.segmentBytes
    const end = last === this.#count - 1 ? this.#total : CORE_HEADER_BYTES + (last + 1) * this.segmentBytes
    return { start, length: end - start }
  }

  /** What of these segments is in the range. @param bytes - all of theirs */
  *pieces(bytes: Buffer, first: number, last: number): Generator<Buffer> {
    const { start, length } = this.place(first, last)
    if (bytes.length !== length)
      throw new FormatError('truncated', `body: wanted ${length} bytes at ${start}, found ${bytes.length}`)
    for (let index = first; index <= last; index++) {
      const at = (index - first) * this.segmentBytes
      const plain = this.#floe.openSegment(
        index,
        bytes.subarray(at, Math.min(at + this.segmentBytes, bytes.length)),
        index === this.#count - 1,
      )
      const base = index * this.#room
      const piece = plain.subarray(
        Math.max(0, this.#range.first - base),
        Math.min(plain.length, this.#range.last + 1 - base),
      )
      if (piece.length > 0) yield piece
    }
  }

  close(): void {
    this.#floe.close()
  }
}

/** Opens every segment, the lone empty one too. @throws FormatError as `openBody` */
export async function checkBody(
  read: ReadBody,
  objectKey: Uint8Array,
  coreHeader: Uint8Array,
  plaintextLength: number,
): Promise<void> {
  for await (const piece of openBody(read, objectKey, coreHeader, plaintextLength)) {
    piece.fill(0)
    giveBack(piece)
  }
}
