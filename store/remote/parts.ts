import { createHash } from 'node:crypto'
import { giveBack } from '../../format/bytes.ts'
import { doneWith, OwnBody } from '../own-body.ts'

/** A stretch of a stream, held till the endpoint has acknowledged it, with what it is acknowledged by. */
export type Part = {
  pieces: Uint8Array[]
  size: number
  /** hex */
  sha256: string
  md5: Buffer
  last: boolean
}

const SAME_SIZE = 1000
/** S3's own bound on parts. */
export const PARTS_MOST = 10_000
const PART_MOST = 256 << 20

/** Bytes of the part with this number, from 1. */
export function partSize(partBytes: number, number: number): number {
  return Math.min(PART_MOST, partBytes * 2 ** Math.floor((number - 1) / SAME_SIZE))
}

/** The stream in parts; there is always one, which may be empty. */
export async function* inParts(body: AsyncIterable<Uint8Array>, partBytes: number): AsyncGenerator<Part> {
  let number = 1
  let part = new Growing()
  for await (const piece of body) {
    for (let at = 0; at < piece.length; ) {
      const room = partSize(partBytes, number) - part.size
      if (room === 0) {
        yield part.end({ last: false })
        part = new Growing()
        number++
        continue
      }
      const taken = at === 0 && piece.length <= room ? piece : piece.subarray(at, at + room)
      part.add(taken)
      at += taken.length
    }
    if (piece.length === 0) doneWith(body, piece)
  }
  yield part.end({ last: true })
}

/** Lets go of what was acknowledged. */
export function letGo(part: Part, body: AsyncIterable<Uint8Array>): void {
  if (body instanceof OwnBody) for (const piece of part.pieces) giveBack(piece)
  part.pieces = []
}

class Growing {
  readonly #pieces: Uint8Array[] = []
  readonly #sha256 = createHash('sha256')
  readonly #md5 = createHash('md5')
  size = 0

  add(piece: Uint8Array): void {
    this.#pieces.push(piece)
    this.#sha256.update(piece)
    this.#md5.update(piece)
    this.size += piece.length
  }

  end({ last }: { last: boolean }): Part {
    const { size } = this
    return { pieces: this.#pieces, size, sha256: this.#sha256.digest('hex'), md5: this.#md5.digest(), last }
  }
}
