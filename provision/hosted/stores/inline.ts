import { randomBytes } from 'node:crypto'
import type { Blobs } from '../../../store/blobs.ts'
import { ownedAs } from '../../../store/own-body.ts'
import type { Change, Database, HostedSchema } from '../../database/hosted-schema.ts'
import { seeker } from '../../database/rows.ts'
import { addressIn, INLINE } from './address.ts'

/** A blob that is not yet in any row. `bytes`: it lies in the database, and comes there with the row that names it */
export type NewBlob = { id: string; size: number; bytes?: Buffer }

/** What may lie in the database at most: such bodies are held whole. */
export const INLINE_MOST = 1 << 20

const rowOf = seeker<HostedSchema['inline_blobs']>('inline_blobs', ['id', 'bytes'], ['id'])

/** Blobs in the database. */
export function inlineBlobs(database: Database): Pick<Blobs, 'open' | 'remove'> {
  return {
    async open(blob) {
      const row = await rowOf(database, blob)
      if (row === undefined) return null
      const { bytes } = row
      return {
        // a copy: it is the reader's, who gives its memory back
        read: (offset, length) => Buffer.from(bytes.subarray(offset, offset + length)),
        close: async () => undefined,
      }
    },
    async remove(blob) {
      await database.deleteFrom('inline_blobs').where('id', '=', blob).execute()
    },
  }
}

/** In the transaction that names the blob. */
export async function addInline(change: Change, id: string, bytes: Buffer): Promise<void> {
  await change.insertInto('inline_blobs').values({ id, bytes }).execute()
}

/**
 * Holds a body that is small enough for the database.
 * @param most - bytes, at least 1
 * @returns otherwise `body`, whole, to go elsewhere
 */
export async function heldInline(
  body: AsyncIterable<Uint8Array>,
  most: number,
): Promise<{ blob: NewBlob } | { body: AsyncIterable<Uint8Array> }> {
  const source = body[Symbol.asyncIterator]()
  const held: Uint8Array[] = []
  let size = 0
  for (;;) {
    const next = await source.next()
    if (next.done) {
      const bytes = Buffer.concat(held)
      return { blob: { id: addressIn(INLINE, randomBytes(16).toString('hex')), size, bytes } }
    }
    held.push(next.value)
    size += next.value.length
    if (size > most) return { body: ownedAs(body, rejoined(held, source)) }
  }
}

async function* rejoined(
  held: readonly Uint8Array[],
  source: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  let over = false
  try {
    yield* held
    for (;;) {
      const next = await source.next()
      over = next.done === true
      if (next.done) return
      yield next.value
    }
  } finally {
    if (!over) await source.return?.()
  }
}
