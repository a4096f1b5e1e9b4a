import { giveBack } from '../format/bytes.ts'
import { HeldBody } from './object-store.ts'

/** A body whose pieces are made for the one who reads it, so that he may say when he is done with each. */
export class OwnBody implements AsyncIterable<Uint8Array> {
  readonly #pieces: AsyncIterable<Uint8Array>

  constructor(pieces: AsyncIterable<Uint8Array>) {
    this.#pieces = pieces
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#pieces[Symbol.asyncIterator]()
  }
}

/** The pieces of `body` on their way through something that neither keeps nor changes them. */
export function ownedAs(body: AsyncIterable<Uint8Array>, pieces: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  return body instanceof OwnBody ? new OwnBody(pieces) : pieces
}

/** Gives back the memory of a piece of `body` where that is the reader's to give: nobody reads or writes it any more. */
export function doneWith(body: AsyncIterable<Uint8Array>, piece: Uint8Array): void {
  if (body instanceof OwnBody || body instanceof HeldBody) giveBack(piece)
}
