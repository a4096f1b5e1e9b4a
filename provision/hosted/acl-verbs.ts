import { parseCannedAcl } from '../../access/canned-acl.ts'
import type { KeyRelease } from '../../format/release.ts'
import type { AclStore } from '../../store/ability.ts'
import { StoreError } from '../../store/object-store.ts'
import { bodyOf } from './reading.ts'
import { asked } from './release-fault.ts'
import { type BoundCaller, denied, findBucket, judgeRead, mayUse, requireKnown } from './rights.ts'
import { keyBytes, storedObject } from './rows.ts'
import type { Database, Shelf } from './shelf.ts'

export type AclVerbs = Pick<AclStore, 'getAcl' | 'setAcl'>

/** Canned ACLs of buckets and objects. Of an object the authority is told first: from its answer on the new one is in force. */
export function aclVerbs(shelf: Shelf, release: KeyRelease, caller: BoundCaller): AclVerbs {
  const { database } = shelf
  return {
    async getAcl(bucket, key) {
      const home = await findBucket(database, bucket)
      const row = key === null ? home : await findObject(database, bucket, key)
      if (row === undefined) {
        judgeRead(home, undefined, caller)
        return null
      }
      if (!mayUse(row, caller, 'RA')) throw denied()
      return row.acl
    },
    async setAcl(bucket, key, text) {
      const acl = parseCannedAcl(text)
      if (acl === null) throw new StoreError('forbidden', 'the ACLs kept here are private and public-read')
      const home = await findBucket(database, bucket)
      if (key === null) {
        if (!mayUse(home, caller, 'WA')) throw denied()
        await database.updateTable('buckets').set({ acl }).where('name', '=', bucket).execute()
        return true
      }
      const row = await findObject(database, bucket, key)
      if (row === undefined) {
        if (!mayUse(home, caller, 'R')) throw denied()
        return false
      }
      if (!mayUse(row, caller, 'WA')) throw denied()
      const { proof } = requireKnown(caller)
      const object = storedObject(row, (await bodyOf(database, row.object_id)).core_header)
      await asked(release.bind({ proof, object, acl }))
      await database
        .updateTable('objects')
        .set({ acl })
        .where('bucket', '=', bucket)
        .where('key', '=', keyBytes(key))
        // an object that came meanwhile has an ACL of its own
        .where('object_id', '=', row.object_id)
        .execute()
      return true
    },
  }
}

export function findObject(database: Database, bucket: string, key: string) {
  return database
    .selectFrom('objects')
    .selectAll()
    .where('bucket', '=', bucket)
    .where('key', '=', keyBytes(key))
    .executeTakeFirst()
}
