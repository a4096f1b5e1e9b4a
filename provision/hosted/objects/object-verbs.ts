import { R, W } from '../../../access/acl/acl.ts'
import type { KeyRelease } from '../../../format/release.ts'
import type { ObjectStore } from '../../../store/object-store.ts'
import { inOneMoment } from '../../database/shared-file.ts'
import { dropAclObject } from '../acl/acl-objects.ts'
import { type BoundCaller, findBucket, judgeRead, requireBucket } from '../acl/rights.ts'
import { keyBytes, RECORD_COLUMNS, recordOf } from '../rows.ts'
import type { Shelf } from '../shelf.ts'
import { removeObject } from './commit.ts'
import { getObject } from './get-verb.ts'
import { listObjects } from './listing.ts'
import { putVerb } from './put-verb.ts'

export type ObjectVerbs = Pick<ObjectStore, 'put' | 'head' | 'get' | 'delete' | 'list'>

/** Objects as one caller may use them: the data is decided here, the key by the authority, on the caller's own proof. */
export function objectVerbs(
  shelf: Shelf,
  release: KeyRelease,
  caller: BoundCaller,
  form: Uint8Array | null,
): ObjectVerbs {
  const { database } = shelf
  return {
    put: putVerb(shelf, release, caller, form),
    async head(bucket, key) {
      const seen = await inOneMoment(database, async at => {
        const home = await findBucket(at, bucket)
        const row = await at
          .selectFrom('objects')
          .select(RECORD_COLUMNS)
          .where('bucket', '=', bucket)
          .where('key', '=', keyBytes(key))
          .executeTakeFirst()
        return judgeRead(at, home, row, caller)
      })
      return seen && recordOf(seen)
    },
    get: (bucket, key, wanted) => getObject(shelf, release, caller, { bucket, key, wanted }),
    async delete(bucket, key, terms = {}) {
      await requireBucket(database, bucket, caller, W)
      const name = { bucket, key: keyBytes(key) }
      await dropAclObject(shelf, release, caller, { bucket, key }, terms)
      const dead = await database.transaction().execute(async change => {
        await requireBucket(change, bucket, caller, W)
        return removeObject(change, shelf.ledger, name, terms)
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
