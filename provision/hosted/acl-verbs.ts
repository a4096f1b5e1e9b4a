import { type Acl, R, RA, WA } from '../../access/acl/acl.ts'
import { parseAcl } from '../../access/acl/text.ts'
import type { KeyRelease } from '../../format/release.ts'
import type { AclStore, AclTarget } from '../../store/ability.ts'
import { bodyOf } from './reading.ts'
import { asked } from './release-fault.ts'
import {
  type BoundCaller,
  type BucketRow,
  denied,
  findBucket,
  judgeRead,
  mayUseBucket,
  mayUseObject,
  requireKnown,
} from './rights.ts'
import { keyBytes, storedObject } from './rows.ts'
import type { Database, Shelf } from './shelf.ts'

export type AclVerbs = Pick<AclStore, 'getAcl' | 'setAcl'>

/** ACLs of buckets and objects. The authority is told first, by the caller's own request: from its answer on the new one is in force. */
export function aclVerbs(shelf: Shelf, release: KeyRelease, caller: BoundCaller): AclVerbs {
  const { database } = shelf
  const shown = async (owner: string, text: string) => {
    const acl = parseAcl(text)
    const ids = [...new Set([...(owner === '' ? [] : [owner]), ...idsIn(acl)])]
    const names = await asked(release.names(ids))
    const known = ids.flatMap((id, at): [string, string][] => {
      const name = names[at] ?? null
      return name === null ? [] : [[id, name]]
    })
    return { owner: owner === '' ? null : owner, acl, names: new Map(known) }
  }
  const setBucketAcl = async (home: BucketRow, of: AclTarget['of'], document: Uint8Array): Promise<void> => {
    if (!mayUseBucket(home, caller, WA)) throw denied()
    const { proof } = requireKnown(caller)
    const bound = await asked(release.bindBucket({ proof, bucket: home.name, of, document }))
    await database
      .updateTable('buckets')
      .set({ acl: bound.acl, default_acl: bound.defaultAcl, acl_revision: bound.revision })
      .where('name', '=', home.name)
      // changes that went on side by side: the last at the authority is the last here
      .where('acl_revision', '<', bound.revision)
      .execute()
  }
  return {
    async getAcl({ bucket, key, of }) {
      const home = await findBucket(database, bucket)
      if (key === null) {
        if (!mayUseBucket(home, caller, RA)) throw denied()
        return shown(home.owner, of === 'acl' ? home.acl : (home.default_acl ?? ''))
      }
      const row = await findObject(database, bucket, key)
      if (row === undefined) {
        judgeRead(home, undefined, caller)
        return null
      }
      if (!mayUseObject(home, row, caller, RA)) throw denied()
      return shown(row.owner, row.acl)
    },
    async setAcl({ bucket, key, of }, document) {
      const home = await findBucket(database, bucket)
      if (key === null) {
        await setBucketAcl(home, of, document)
        return true
      }
      const row = await findObject(database, bucket, key)
      if (row === undefined) {
        if (!mayUseBucket(home, caller, R)) throw denied()
        return false
      }
      if (!mayUseObject(home, row, caller, WA)) throw denied()
      const { proof } = requireKnown(caller)
      const object = storedObject(row, (await bodyOf(database, row.object_id)).core_header)
      const { acl, revision } = await asked(release.bind({ proof, object, document }))
      await database
        .updateTable('objects')
        .set({ acl, acl_revision: revision })
        .where('bucket', '=', bucket)
        .where('key', '=', keyBytes(key))
        // an object that came meanwhile has an ACL of its own
        .where('object_id', '=', row.object_id)
        .where('acl_revision', '<', revision)
        .execute()
      return true
    },
  }
}

function idsIn(acl: Acl): string[] {
  return acl.entries.flatMap(({ scope }) => (scope.kind === 'user' || scope.kind === 'group' ? [scope.id] : []))
}

export function findObject(database: Database, bucket: string, key: string) {
  return database
    .selectFrom('objects')
    .selectAll()
    .where('bucket', '=', bucket)
    .where('key', '=', keyBytes(key))
    .executeTakeFirst()
}
