import { R, W } from '../../access/acl/acl.ts'
import { OBJECT } from '../../format/envelope.ts'
import { type KeyRelease, parseBinding } from '../../format/release.ts'
import { isKey } from '../../store/key.ts'
import type { ObjectStore } from '../../store/object-store.ts'
import { requireLength } from '../../store/shelf.ts'
import { addBlob, addBody, placeObject, removeObject } from './commit.ts'
import { getObject } from './get-verb.ts'
import { listObjects } from './listing.ts'
import { type BoundCaller, findBucket, judgeRead, requireBucket } from './rights.ts'
import { jsonOf, keyBytes, metadataOf, RECORD_COLUMNS, recordOf } from './rows.ts'
import { sealToBlob, wrapSealed } from './sealing.ts'
import type { Shelf } from './shelf.ts'

export type ObjectVerbs = Pick<ObjectStore, 'put' | 'head' | 'get' | 'delete' | 'list'>

/** Objects as one caller may use them: the data is decided here, the key by the authority, on the caller's own proof. */
export function objectVerbs(shelf: Shelf, release: KeyRelease, caller: BoundCaller): ObjectVerbs {
  const { database } = shelf
  return {
    async put(bucket, key, body, { attributes, length, finish, condition }) {
      await requireBucket(database, bucket, caller, W)
      if (!isKey(key)) throw new RangeError('key must be 1..1024 bytes of UTF-8')
      const sealed = await sealToBlob(shelf, body)
      let done: Awaited<ReturnType<typeof placeObject>>
      try {
        requireLength(sealed.summary.plaintextLength, length)
        const finished = finish()
        const modifiedAt = shelf.clock().getTime()
        const metadata = metadataOf({ bucket, key }, attributes, finished, modifiedAt, sealed.digest)
        const place = { bucket, key }
        const { envelope, binding, account } = await wrapSealed(release, caller?.proof ?? null, sealed, {
          kind: OBJECT,
          place,
          metadata,
        })
        // the commit point: from this transaction on, readers and restarts see the new object
        done = await database.transaction().execute(async change => {
          await requireBucket(change, bucket, caller, W)
          await addBlob(change, sealed.blob)
          await addBody(change, {
            object_id: sealed.summary.objectId,
            blob: sealed.blob.id,
            offset: 0,
            length: sealed.summary.bodyLength,
            core_header: sealed.coreHeader,
          })
          return placeObject(
            change,
            {
              bucket,
              key: keyBytes(key),
              object_id: sealed.summary.objectId,
              size: sealed.summary.plaintextLength,
              etag: finished.etag,
              modified_at: modifiedAt,
              attributes: JSON.stringify(attributes),
              checksum: jsonOf(finished.checksum),
              parts: null,
              account,
              job: null,
              upload: null,
              part_set: null,
              envelope,
              binding,
              ...parseBinding(binding),
              acl_revision: 0,
              origin: null,
              sequence: null,
            },
            condition,
          )
        })
      } catch (error) {
        sealed.objectKey.fill(0)
        await shelf.blobs.remove(sealed.blob.id)
        throw error
      }
      await shelf.blobs.keep(sealed.blob.id)
      await shelf.bury(done.dead)
      return done.record
    },
    async head(bucket, key) {
      const home = await findBucket(database, bucket)
      const row = await database
        .selectFrom('objects')
        .select(RECORD_COLUMNS)
        .where('bucket', '=', bucket)
        .where('key', '=', keyBytes(key))
        .executeTakeFirst()
      const seen = judgeRead(home, row, caller)
      return seen && recordOf(seen)
    },
    get: (bucket, key, wanted) => getObject(shelf, release, caller, { bucket, key, wanted }),
    async delete(bucket, key) {
      const dead = await database.transaction().execute(async change => {
        await requireBucket(change, bucket, caller, W)
        return removeObject(change, { bucket, key: keyBytes(key) })
      })
      if (dead === null) return false
      await shelf.bury(dead)
      return true
    },
    async list(bucket, query) {
      await requireBucket(database, bucket, caller, R)
      return listObjects(database, bucket, query)
    },
  }
}
