import { hash, randomBytes } from 'node:crypto'
import { R, W } from '../../../access/acl/acl.ts'
import { newId, type ObjectId } from '../../../format/bytes.ts'
import { SHA_256 } from '../../../format/digest.ts'
import { COMPOSITE, type CompositePart, encodeParts, PART, parseEnvelope } from '../../../format/envelope.ts'
import { encodeMetadata } from '../../../format/metadata.ts'
import type { KeyRelease } from '../../../format/release.ts'
import { leastPartBytes, mostParts } from '../../../store/indexed-uploads.ts'
import { isKey } from '../../../store/key.ts'
import {
  type CompletedPart,
  type MultipartStore,
  type ObjectStore,
  StoreError,
  type UploadId,
} from '../../../store/object-store.ts'
import { requireLength } from '../../../store/shelf.ts'
import type { Change, Database, HostedSchema, PartRow } from '../../database/hosted-schema.ts'
import { namedObject } from '../acl/acl-objects.ts'
import { boundColumns } from '../acl/acl-rows.ts'
import { type BoundCaller, requireBucket, requireKnown } from '../acl/rights.ts'
import { addBlob, addBody, dropPartSet, dropParts, placeObject } from '../objects/commit.ts'
import { creationOfPart, holding, sealToBlob, wrapSealed } from '../objects/sealing.ts'
import { asked } from '../release-fault.ts'
import {
  jsonOf,
  keyBytes,
  keyText,
  metadataOf,
  partRecordOf,
  RECORD_COLUMNS,
  recordOf,
  uploadRecordOf,
} from '../rows.ts'
import type { Shelf } from '../shelf.ts'
import { changeOpen, openBytes } from '../usage/stored.ts'
import { listUploads } from './upload-listing.ts'

export type UploadVerbs = Omit<MultipartStore, keyof ObjectStore>

/** Multipart uploads: every part is a sealed object of its own; completion has the authority wrap their authenticated list. */
export function uploadVerbs(shelf: Shelf, release: KeyRelease, caller: BoundCaller): UploadVerbs {
  const { database } = shelf
  return {
    async createUpload(bucket, key, attributes, checksum) {
      await requireBucket(database, bucket, caller, W)
      const { proof, principal } = requireKnown(caller)
      if (!isKey(key)) throw new RangeError('key must be 1..1024 bytes of UTF-8')
      const startedAt = shelf.clock()
      const row = {
        // grows with time, so that uploads of one key list in the order they were started
        id: startedAt.getTime().toString(16).padStart(12, '0') + randomBytes(16).toString('hex'),
        bucket,
        key: keyBytes(key),
        started_at: startedAt.getTime(),
        attributes: JSON.stringify(attributes),
        checksum: jsonOf(checksum),
        account: principal.account,
        owner: principal.user,
        creation: Buffer.from(proof),
      }
      await database.transaction().execute(async change => {
        await requireBucket(change, bucket, caller, W)
        await change.insertInto('uploads').values(row).execute()
      })
      return uploadRecordOf(row)
    },
    async putPart(id, number, body, { length, finish }) {
      if (!Number.isInteger(number) || number < 1 || number > mostParts)
        throw new StoreError('invalid-part', `part number must be 1..${mostParts}`)
      const upload = await findUpload(database, id, caller)
      const { proof, principal } = requireKnown(caller)
      const sealed = await sealToBlob(shelf, upload.bucket, body, holding(release, proof))
      let dead: string[]
      let row: PartRow
      try {
        requireLength(sealed.summary.plaintextLength, length)
        const finished = finish()
        const modifiedAt = shelf.clock().getTime()
        const place = { bucket: upload.bucket, key: keyText(upload.key), part: { upload: id, number } }
        const plain = { headers: {}, metadata: {} }
        const metadata = metadataOf(place, plain, finished, modifiedAt, sealed.digest)
        const { envelope, binding } = await wrapSealed(release, proof, sealed, {
          kind: PART,
          place,
          metadata,
          named: null,
          creation: creationOfPart(upload.creation),
        })
        row = {
          object_id: sealed.summary.objectId,
          part_set: id,
          upload: id,
          number,
          bucket: upload.bucket,
          key: upload.key,
          size: sealed.summary.plaintextLength,
          etag: finished.etag,
          checksum: jsonOf(finished.checksum),
          modified_at: modifiedAt,
          account: principal.account,
          job: null,
          envelope,
          binding,
        }
        dead = await database.transaction().execute(async change => {
          // again: it may have been completed or aborted while the bytes came
          await findUpload(change, id, caller)
          const old = await openParts(change, id, number - 1, 1)
          const replaced = old.filter(part => part.number === number)
          const before = replaced.reduce((sum, part) => sum + part.size, 0)
          await changeOpen(change, shelf.ledger, upload.bucket, row.size - before)
          await addBlob(change, sealed.blob)
          await addBody(change, {
            object_id: row.object_id,
            blob: sealed.blob.id,
            offset: 0,
            length: sealed.summary.bodyLength,
            core_header: sealed.coreHeader,
          })
          await change.insertInto('parts').values(row).execute()
          return dropParts(
            change,
            id,
            replaced.map(part => part.object_id),
          )
        })
      } catch (error) {
        sealed.objectKey.fill(0)
        await shelf.blobs.remove(sealed.blob.id)
        throw error
      }
      await shelf.blobs.keep(sealed.blob.id)
      await shelf.bury(dead)
      return partRecordOf(row)
    },
    async completeUpload(id, wanted, { finish, condition, generations }) {
      const upload = await findUpload(database, id, caller)
      const { proof, principal } = requireKnown(caller)
      const chosen = choose(await openParts(database, id, 0, mostParts), wanted)
      const finished = finish(chosen.map(partRecordOf))
      const parts = chosen.map(compositePart)
      const objectId = newId<ObjectId>()
      const size = parts.reduce((sum, part) => sum + part.plaintextLength, 0)
      const modifiedAt = shelf.clock().getTime()
      const { attributes } = uploadRecordOf(upload)
      const place = { bucket: upload.bucket, key: keyText(upload.key) }
      const objectKey = randomBytes(32)
      const { envelope, binding } = await asked(
        release.wrap({
          proof,
          creation: upload.creation,
          named: await namedObject(database, upload.creation),
          kind: COMPOSITE,
          objectId,
          coreHeader: Buffer.alloc(0),
          place,
          plaintextLength: size,
          bodyLength: 0,
          digestId: SHA_256,
          digest: hash('sha256', encodeParts(parts), 'buffer'),
          parts,
          metadata: encodeMetadata(metadataOf(place, attributes, finished, modifiedAt)),
          objectKey,
        }),
      ).finally(() => objectKey.fill(0))
      // the commit point: the list becomes the object, and the upload is over
      const done = await database.transaction().execute(async change => {
        await findUpload(change, id, caller)
        const all = await openParts(change, id, 0, mostParts)
        const used = new Set<string>(parts.map(part => part.objectId))
        if (all.filter(part => used.has(part.object_id)).length !== used.size)
          throw new StoreError('invalid-part', 'a part was replaced while the upload was completed')
        await changeOpen(change, shelf.ledger, upload.bucket, -(await openBytes(change, id)))
        const nothing = Buffer.alloc(0)
        await addBody(change, { object_id: objectId, blob: null, offset: 0, length: 0, core_header: nothing })
        const unused = await dropParts(
          change,
          id,
          all.filter(part => !used.has(part.object_id)).map(part => part.object_id),
        )
        await change.deleteFrom('uploads').where('id', '=', id).execute()
        const placed = await placeObject(
          change,
          shelf.ledger,
          {
            bucket: upload.bucket,
            key: upload.key,
            object_id: objectId,
            size,
            etag: finished.etag,
            modified_at: modifiedAt,
            attributes: JSON.stringify(attributes),
            checksum: jsonOf(finished.checksum),
            parts: parts.length,
            account: principal.account,
            job: null,
            upload: null,
            part_set: id,
            envelope,
            binding,
            ...boundColumns(binding),
            origin: null,
            sequence: null,
          },
          { condition, generations },
        )
        return { record: placed.record, dead: [...unused, ...placed.dead] }
      })
      await shelf.bury(done.dead)
      return done.record
    },
    async completed(bucket, key, id) {
      const { principal } = requireKnown(caller)
      await requireBucket(database, bucket, caller, W)
      const row = await database
        .selectFrom('objects')
        .select(RECORD_COLUMNS)
        .where('bucket', '=', bucket)
        .where('key', '=', keyBytes(key))
        .where('part_set', '=', id)
        .where('owner', '=', principal.user)
        .executeTakeFirst()
      return row === undefined ? null : recordOf(row)
    },
    async abortUpload(id) {
      const dead = await database.transaction().execute(async change => {
        const { bucket } = await findUpload(change, id, caller)
        await changeOpen(change, shelf.ledger, bucket, -(await openBytes(change, id)))
        await change.deleteFrom('uploads').where('id', '=', id).execute()
        return dropPartSet(change, id)
      })
      await shelf.bury(dead)
    },
    async listParts(id, after, limit) {
      const upload = uploadRecordOf(await findUpload(database, id, caller))
      const found = await openParts(database, id, after, limit + 1)
      return { upload, parts: found.slice(0, limit).map(partRecordOf), more: found.length > limit }
    },
    async listUploads(bucket, query) {
      await requireBucket(database, bucket, caller, R)
      return listUploads(database, bucket, query)
    },
  }
}

/** Uploads belong to who may write to the bucket. @throws StoreError "no-upload" | "forbidden" */
async function findUpload(
  database: Database | Change,
  id: UploadId,
  caller: BoundCaller,
): Promise<HostedSchema['uploads']> {
  const row = await database.selectFrom('uploads').selectAll().where('id', '=', id).executeTakeFirst()
  if (row === undefined) throw new StoreError('no-upload', 'no such upload; it may have been completed or aborted')
  await requireBucket(database, row.bucket, caller, W)
  return row
}

export function openParts(
  database: Database | Change,
  upload: string,
  after: number,
  limit: number,
): Promise<PartRow[]> {
  return database
    .selectFrom('parts')
    .selectAll()
    .where('part_set', '=', upload)
    .where('number', '>', after)
    .orderBy('number')
    .limit(limit)
    .execute()
}

function choose(rows: PartRow[], wanted: CompletedPart[]): PartRow[] {
  if (wanted.length === 0) throw new StoreError('invalid-part', 'at least one part is needed')
  const all = new Map(rows.map(row => [row.number, row]))
  const chosen = wanted.map(({ partNumber, etag }, at) => {
    const row = all.get(partNumber)
    if (row === undefined || row.etag !== etag || partNumber <= (wanted[at - 1]?.partNumber ?? 0))
      throw new StoreError('invalid-part', `part ${partNumber} is missing, has another ETag or is out of order`)
    return row
  })
  const small = chosen.slice(0, -1).find(row => row.size < leastPartBytes)
  if (small !== undefined)
    throw new StoreError('part-too-small', `part ${small.number} holds ${small.size} bytes, want ${leastPartBytes}`)
  return chosen
}

/** The line of the composite's list: what the part's own envelope says of it. */
export function compositePart(row: PartRow): CompositePart {
  const { objectId, plaintextLength, bodyLength, digestId, digest } = parseEnvelope(row.envelope)
  return { objectId, plaintextLength, bodyLength, digestId, digest: Buffer.from(digest) }
}
