import { createMD5, type IHasher } from 'hash-wasm'
import { PART } from '../../../format/envelope.ts'
import type { KeyRelease } from '../../../format/release.ts'
import { mostParts } from '../../../store/indexed-uploads.ts'
import { StoreError } from '../../../store/object-store.ts'
import type { ResumableRow } from '../../database/hosted-resumables.ts'
import type { PartRow } from '../../database/hosted-schema.ts'
import { addBlob, addBody } from '../objects/commit.ts'
import { creationOfPart, holding, sealToBlob, wrapSealed } from '../objects/sealing.ts'
import { keyText, metadataOf } from '../rows.ts'
import type { Shelf } from '../shelf.ts'
import { changeOpen } from '../usage/stored.ts'

/** What Google's clients count in: pieces but the last hold a multiple of it. */
export const UNIT_BYTES = 256 << 10
/** A piece is on stable storage when it ends: so much is sent again after a crash at most. It grows with the number of pieces. */
const PIECE_BYTES = 64 << 20
const PIECES_A_SIZE = 1000

/** The MD5 of what came so far goes on where it was. */
export async function md5From(state: Buffer | null): Promise<IHasher> {
  const md5 = await createMD5()
  return state === null ? md5.init() : md5.load(state)
}

/**
 * Takes bytes in, a sealed piece after another, each acknowledged in the row when it is on stable storage. What breaks off in the middle is
 * kept in whole units. Nothing of it lies anywhere in clear.
 *
 * @param proof - the upload's ticket
 * @param row - as it is; the one that comes back is as it became
 * @throws StoreError "busy" - another request goes on with the same upload
 */
export async function takePieces(
  shelf: Shelf,
  release: KeyRelease,
  proof: Uint8Array,
  row: ResumableRow,
  { body, last }: { body: AsyncIterable<Uint8Array>; last: boolean },
): Promise<ResumableRow> {
  const source = inUnits(body)
  let now = row
  let next = await source.next()
  // an empty object has one empty piece
  const isEmpty = last && row.pieces === 0 && next.done === true && next.value === null
  for (let first = isEmpty; !next.done || first; first = false) {
    const limit = PIECE_BYTES * 2 ** Math.floor(now.pieces / PIECES_A_SIZE)
    const md5 = await md5From(now.digest)
    let size = 0
    async function* piece(): AsyncGenerator<Uint8Array> {
      while (!next.done && size < limit) {
        const bytes = next.value
        size += bytes.length
        md5.update(bytes)
        yield bytes
        next = await source.next()
      }
    }
    now = await keepPiece(shelf, release, proof, now, piece(), () => ({ size, digest: Buffer.from(md5.save()) }))
  }
  const fault = next.value
  if (fault !== null) throw fault
  return now
}

/** Units, and what is left at a good end. @returns what broke it; null: nothing */
async function* inUnits(body: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, unknown> {
  let held: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of body) {
      held.push(chunk)
      size += chunk.length
      if (size < UNIT_BYTES) continue
      const all = Buffer.concat(held)
      const whole = size - (size % UNIT_BYTES)
      yield all.subarray(0, whole)
      held = [all.subarray(whole)]
      size -= whole
    }
  } catch (error) {
    return error
  }
  if (size > 0) yield Buffer.concat(held)
  return null
}

async function keepPiece(
  shelf: Shelf,
  release: KeyRelease,
  proof: Uint8Array,
  row: ResumableRow,
  body: AsyncIterable<Uint8Array>,
  ended: () => { size: number; digest: Buffer },
): Promise<ResumableRow> {
  const number = row.pieces + 1
  if (number > mostParts)
    throw new StoreError('invalid-part', `an upload has at most ${mostParts} pieces: send larger ones`)
  const sealed = await sealToBlob(shelf, row.bucket, body, holding(release, proof))
  const { size, digest } = ended()
  const { id, bucket, key } = row
  const place = { bucket, key: keyText(key), part: { upload: id, number } }
  const modifiedAt = shelf.clock().getTime()
  const next = { stored: row.stored + size, pieces: number, digest }
  try {
    const metadata = metadataOf(place, { headers: {}, metadata: {} }, { etag: '' }, modifiedAt, sealed.digest)
    const creation = creationOfPart(row.creation)
    const wrapped = await wrapSealed(release, proof, sealed, { kind: PART, place, metadata, named: null, creation })
    const { envelope, binding, account } = wrapped
    const { objectId: object_id, bodyLength: length } = sealed.summary
    const part: PartRow = {
      ...{ part_set: id, object_id, upload: id, number, bucket, key, size, etag: '', checksum: null },
      ...{ modified_at: modifiedAt, account, job: null, envelope, binding },
    }
    // commit point: acknowledged
    await shelf.database.transaction().execute(async change => {
      const { numUpdatedRows } = await change
        .updateTable('resumables')
        .set(next)
        .where('id', '=', id)
        .where('pieces', '=', row.pieces)
        .where('done', 'is', null)
        .where('gone', '=', 0)
        .executeTakeFirst()
      if (numUpdatedRows === 0n) throw new StoreError('busy', 'another request goes on with this upload')
      await changeOpen(change, shelf.ledger, bucket, size)
      await addBlob(change, sealed.blob)
      const { coreHeader: core_header } = sealed
      await addBody(change, { object_id, blob: sealed.blob.id, offset: 0, length, core_header })
      await change.insertInto('parts').values(part).execute()
    })
  } catch (error) {
    sealed.objectKey.fill(0)
    await shelf.blobs.remove(sealed.blob.id)
    throw error
  }
  await shelf.blobs.keep(sealed.blob.id)
  return { ...row, ...next }
}
