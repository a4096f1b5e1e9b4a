import { parseCannedAcl } from '../../access/canned-acl.ts'
import { encodeMetadata } from '../../format/metadata.ts'
import type { KeyRelease } from '../../format/release.ts'
import type { AclStore, CopyStore } from '../../store/ability.ts'
import { isKey } from '../../store/key.ts'
import { type ObjectAttributes, StoreError } from '../../store/object-store.ts'
import { placeObject } from './commit.ts'
import { bodyOf } from './reading.ts'
import { asked } from './release-fault.ts'
import { type BoundCaller, denied, findBucket, judgeRead, mayUse, requireBucket, requireKnown } from './rights.ts'
import { aclOf, bindingOf, keyBytes, metadataOf, recordOf, storedObject } from './rows.ts'
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

/** A copy is a new envelope for the same body: the authority judges the right to the source and to the destination. */
export function copyVerb(shelf: Shelf, release: KeyRelease, caller: BoundCaller): Pick<CopyStore, 'copy'> {
  const { database } = shelf
  return {
    async copy(source, target, options) {
      const home = await findBucket(database, source.bucket)
      const row = judgeRead(home, await findObject(database, source.bucket, source.key), caller)
      if (row === null) return null
      await requireBucket(database, target.bucket, caller, 'W')
      const { proof, principal } = requireKnown(caller)
      if (!isKey(target.key)) throw new RangeError('key must be 1..1024 bytes of UTF-8')
      if (row.etag !== options.sourceEtag)
        throw new StoreError('precondition-failed', 'the source was replaced meanwhile')
      const from = recordOf(row)
      const { acl: _, ...kept } = from.attributes
      const attributes: ObjectAttributes = options.attributes ?? kept
      const acl = aclOf(attributes.acl)
      const modifiedAt = shelf.clock().getTime()
      const finished = { etag: from.etag, ...(from.checksum && { checksum: from.checksum }) }
      const envelope = await asked(
        release.rewrap({
          proof,
          object: storedObject(row, (await bodyOf(database, row.object_id)).core_header),
          destination: { bucket: target.bucket, key: target.key },
          acl,
          metadata: encodeMetadata(metadataOf({ ...target }, attributes, finished, modifiedAt)),
        }),
      )
      const done = await database.transaction().execute(async change => {
        await requireBucket(change, target.bucket, caller, 'W')
        const shared = await change
          .updateTable('bodies')
          .set(body => ({ refs: body('refs', '+', 1) }))
          .where('object_id', '=', row.object_id)
          .executeTakeFirst()
        if (shared.numUpdatedRows === 0n)
          throw new StoreError('busy', 'the source was replaced while it was copied; try again')
        const placed = {
          ...row,
          bucket: target.bucket,
          key: keyBytes(target.key),
          modified_at: modifiedAt,
          attributes: JSON.stringify(attributes),
          account: principal.account,
          job: null,
          upload: null,
          envelope,
          binding: bindingOf(principal.account, acl),
          owner: principal.account,
          acl,
          origin: null,
          sequence: null,
        }
        return placeObject(change, placed, options.condition)
      })
      await shelf.bury(done.dead)
      return done.record
    },
  }
}

function findObject(database: Database, bucket: string, key: string) {
  return database
    .selectFrom('objects')
    .selectAll()
    .where('bucket', '=', bucket)
    .where('key', '=', keyBytes(key))
    .executeTakeFirst()
}
