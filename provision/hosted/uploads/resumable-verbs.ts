import { hash, randomBytes } from 'node:crypto'
import { W } from '../../../access/acl/acl.ts'
import { newId, type ObjectId } from '../../../format/bytes.ts'
import { SHA_256 } from '../../../format/digest.ts'
import { COMPOSITE, encodeParts } from '../../../format/envelope.ts'
import { encodeMetadata } from '../../../format/metadata.ts'
import type { KeyRelease } from '../../../format/release.ts'
import { encodeProof } from '../../../format/request-proof.ts'
import type { ResumableState, ResumableStore } from '../../../store/ability.ts'
import { mostParts } from '../../../store/indexed-uploads.ts'
import { isKey } from '../../../store/key.ts'
import { type ObjectAttributes, type ObjectRecord, type ObjectStore, StoreError } from '../../../store/object-store.ts'
import type { ResumableRow } from '../../database/hosted-resumables.ts'
import type { Database } from '../../database/hosted-schema.ts'
import { namedObject } from '../acl/acl-objects.ts'
import { boundColumns } from '../acl/acl-rows.ts'
import { type BoundCaller, requireBucket, requireKnown } from '../acl/rights.ts'
import { addBody, dropPartSet, placeObject, requireTerms } from '../objects/commit.ts'
import type { Terms } from '../objects/generations.ts'
import { asked } from '../release-fault.ts'
import { keyBytes, keyText, metadataOf } from '../rows.ts'
import type { Shelf } from '../shelf.ts'
import { changeOpen } from '../usage/stored.ts'
import { md5From, takePieces, UNIT_BYTES } from './resumable-pieces.ts'
import { sweepResumables, UPLOAD_LIFE_MS } from './resumable-sweep.ts'
import { compositePart, openParts } from './upload-verbs.ts'

export type ResumableVerbs = Omit<ResumableStore, keyof ObjectStore>

/**
 * Uploads to an address that stands for whoever began them, for a week: what he may is looked at again with each request, by the ticket that
 * the authority gave him.
 */
export function resumableVerbs(shelf: Shelf, release: KeyRelease, caller: BoundCaller): ResumableVerbs {
  const { database } = shelf
  return {
    async startResumable(bucket, key, { attributes, condition, generations }) {
      const { proof } = requireKnown(caller)
      await requireBucket(database, bucket, caller, W)
      if (!isKey(key)) throw new RangeError('key must be 1..1024 bytes of UTF-8')
      const id = randomBytes(32).toString('base64url')
      const named = await namedObject(database, proof)
      const ticket = await asked(release.beginUpload({ proof, place: { bucket, key }, upload: id, named }))
      const terms: Terms = { condition, generations }
      await sweepResumables(shelf)
      await database.transaction().execute(async change => {
        await requireBucket(change, bucket, caller, W)
        await requireTerms(change, { bucket, key: keyBytes(key) }, terms)
        const row: ResumableRow = {
          ...{ id, bucket, key: keyBytes(key), started_at: shelf.clock().getTime(), ticket },
          ...{ attributes: JSON.stringify(attributes), terms: JSON.stringify(terms), creation: Buffer.from(proof) },
          ...{ total: null, stored: 0, pieces: 0, digest: Buffer.from((await md5From(null)).save()) },
          ...{ done: null, gone: 0 },
        }
        await change.insertInto('resumables').values(row).execute()
      })
      return id
    },
    async resumable(id) {
      return stateOf(await liveRow(shelf, id))
    },
    async appendResumable(id, { first, length, total, body }) {
      let row = await liveRow(shelf, id)
      if (row.done !== null || first > row.stored) return stateOf(row)
      if (total !== null && ((row.total !== null && row.total !== total) || total < row.stored))
        throw new StoreError('invalid-part', 'the upload has another length than was said before')
      const last = total !== null && first + length === total
      if (!last && (length % UNIT_BYTES !== 0 || (row.total ?? first + length) < first + length))
        throw new StoreError('invalid-part', `pieces but the last hold a multiple of ${UNIT_BYTES} bytes`)
      const proof = encodeProof({ kind: 'upload', ticket: row.ticket })
      const owner = { proof, principal: await asked(release.authenticate(proof)) }
      await requireBucket(database, row.bucket, owner, W)
      if (total !== null && row.total === null)
        await database.updateTable('resumables').set({ total }).where('id', '=', id).execute()
      row = await takePieces(shelf, release, proof, { ...row, total }, { body: after(body, row.stored - first), last })
      if (!last) return stateOf(row)
      if (row.stored !== total)
        throw new StoreError('incomplete-body', `${row.stored} bytes are there, ${total} were announced`)
      return { ...stateOf(row), done: await complete(shelf, release, owner, row) }
    },
    async dropResumable(id) {
      await liveRow(shelf, id)
      await shelf.bury(
        await database.transaction().execute(async change => {
          const row = await change.selectFrom('resumables').selectAll().where('id', '=', id).executeTakeFirst()
          if (row?.done === null && row.gone === 0) await changeOpen(change, shelf.ledger, row.bucket, -row.stored)
          await change.deleteFrom('resumables').where('id', '=', id).execute()
          // of one that is done they are the object's
          return row?.done === null ? dropPartSet(change, id) : []
        }),
      )
    },
  }
}

function stateOf(row: ResumableRow): ResumableState {
  const { bucket, stored, total } = row
  return { bucket, key: keyText(row.key), stored, total, done: row.done === null ? null : recordIn(row.done) }
}

/** Only this room writes it. */
function recordIn(json: string): ObjectRecord {
  const record = JSON.parse(json) as ObjectRecord
  return { ...record, modifiedAt: new Date(record.modifiedAt) }
}

/** @throws StoreError "no-upload" | "upload-expired" */
async function liveRow({ database, clock }: { database: Database; clock: () => Date }, id: string) {
  const row = await database.selectFrom('resumables').selectAll().where('id', '=', id).executeTakeFirst()
  if (row === undefined) throw new StoreError('no-upload', 'no such upload')
  if (row.gone !== 0 || row.started_at + UPLOAD_LIFE_MS <= clock().getTime())
    throw new StoreError('upload-expired', 'the upload began more than a week ago: begin it again')
  return row
}

/** What comes after `skip` bytes, which are there already. */
async function* after(body: AsyncIterable<Uint8Array>, skip: number): AsyncGenerator<Uint8Array> {
  let left = skip
  for await (const chunk of body) {
    const cut = Math.min(left, chunk.length)
    left -= cut
    if (cut < chunk.length) yield chunk.subarray(cut)
  }
}

/** The pieces become the object, with the ACL that was asked for when they began to come. */
async function complete(
  shelf: Shelf,
  release: KeyRelease,
  owner: NonNullable<BoundCaller>,
  row: ResumableRow,
): Promise<ObjectRecord> {
  const { database } = shelf
  const { id, bucket, creation } = row
  const parts = (await openParts(database, id, 0, mostParts)).map(compositePart)
  const finished = { etag: (await md5From(row.digest)).digest('hex') }
  const objectId = newId<ObjectId>()
  const modifiedAt = shelf.clock().getTime()
  const attributes = JSON.parse(row.attributes) as ObjectAttributes
  const place = { bucket, key: keyText(row.key) }
  const objectKey = randomBytes(32)
  const { envelope, binding, account } = await asked(
    release.wrap({
      ...{ proof: owner.proof, creation, named: await namedObject(database, creation), kind: COMPOSITE, objectId },
      ...{ coreHeader: Buffer.alloc(0), place, plaintextLength: row.stored, bodyLength: 0, digestId: SHA_256 },
      ...{ digest: hash('sha256', encodeParts(parts), 'buffer'), parts, objectKey },
      metadata: encodeMetadata(metadataOf(place, attributes, finished, modifiedAt)),
    }),
  ).finally(() => objectKey.fill(0))
  // the commit point: the pieces become the object, and the upload is over
  const done = await database.transaction().execute(async change => {
    await requireBucket(change, bucket, owner, W)
    const nothing = Buffer.alloc(0)
    await addBody(change, { object_id: objectId, blob: null, offset: 0, length: 0, core_header: nothing })
    const object = {
      ...{ bucket, key: row.key, object_id: objectId, size: row.stored, etag: finished.etag, modified_at: modifiedAt },
      ...{ attributes: row.attributes, checksum: null, parts: null, account, job: null, upload: null, part_set: id },
      ...{ envelope, binding, ...boundColumns(binding), origin: null, sequence: null },
    }
    await changeOpen(change, shelf.ledger, bucket, -row.stored)
    const placed = await placeObject(change, shelf.ledger, object, JSON.parse(row.terms) as Terms)
    const { numUpdatedRows } = await change
      .updateTable('resumables')
      .set({ done: JSON.stringify(placed.record) })
      .where('id', '=', id)
      .where('pieces', '=', row.pieces)
      .where('done', 'is', null)
      .where('gone', '=', 0)
      .executeTakeFirst()
    if (numUpdatedRows === 0n) throw new StoreError('busy', 'another request goes on with this upload')
    return placed
  })
  await shelf.bury(done.dead)
  return done.record
}
