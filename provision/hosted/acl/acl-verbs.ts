import { type Acl, NO_ENTRIES, RA, W, WA } from '../../../access/acl/acl.ts'
import { NO_WISH } from '../../../access/precondition.ts'
import type { KeyRelease } from '../../../format/release.ts'
import type { AclStore, AclTarget, KeptAcl, Numbers } from '../../../store/ability.ts'
import { StoreError } from '../../../store/object-store.ts'
import type { Change, Database, ObjectRow } from '../../database/hosted-schema.ts'
import { inOneMoment } from '../../database/shared-file.ts'
import { namesOf } from '../names-of.ts'
import { judgeTerms, type Terms } from '../objects/generations.ts'
import { bodyOf } from '../objects/reading.ts'
import { asked } from '../release-fault.ts'
import { keyBytes, keyText, storedObject } from '../rows.ts'
import type { Shelf } from '../shelf.ts'
import { namedObject, requireSignedDocument } from './acl-objects.ts'
import { aclObjectAt, effectiveAcl, moveReference, referenceIn, shownReference } from './acl-rows.ts'
import {
  allows,
  type BoundCaller,
  type BucketRow,
  bucketResource,
  denied,
  findBucket,
  judgeRead,
  objectResource,
  requireKnown,
} from './rights.ts'

export type AclVerbs = Pick<AclStore, 'getAcl' | 'setAcl' | 'referrers'>

/** ACLs of buckets and objects. The authority is told first, by the caller's own request: from its answer on the new one is in force. */
export function aclVerbs(shelf: Shelf, release: KeyRelease, caller: BoundCaller): AclVerbs {
  const { database, decision } = shelf
  const shown = async (owner: string | null, text: string): Promise<KeptAcl> => {
    const { acl, reference } = await inOneMoment(database, async at => ({
      acl: await effectiveAcl(at, text),
      reference: referenceIn(text) === null ? null : await shownReference(at, text),
    }))
    const ids = [...new Set([...(owner === null ? [] : [owner]), ...idsIn(acl ?? NO_ENTRIES)])]
    const names = await namesOf(release, ids)
    return { owner, acl: acl ?? NO_ENTRIES, names, reference, dangling: acl === null }
  }
  /** Bucket and object, if the caller has the right to the ACL that is meant; no object: if the caller may list. */
  const found = (bucket: string, key: string | null, right: typeof RA | typeof WA) =>
    inOneMoment(database, async at => {
      const home = await findBucket(at, bucket)
      const row = key === null ? undefined : await findObject(at, bucket, key)
      if (row !== undefined) {
        if (!allows(await objectResource(at, home, row), caller, right, decision)) throw denied()
      } else if (key !== null) await judgeRead(at, home, undefined, caller)
      else if (!allows(await bucketResource(at, home), caller, right, decision)) throw denied()
      return { home, row }
    })
  const setBucketAcl = async (home: BucketRow, of: AclTarget['of'], document: Uint8Array): Promise<Numbers> => {
    const { proof } = requireKnown(caller)
    if (document.length > 0) requireSignedDocument(proof)
    const named = await namedObject(database, proof)
    const bound = await asked(release.bindBucket({ proof, bucket: home.name, of, document, named }))
    await database.transaction().execute(async change => {
      const old = await findBucket(change, home.name)
      // changes that went on side by side: the last at the authority is the last here
      if (old.acl_revision >= bound.revision) return
      const acl_ref = referenceIn(bound.acl)
      await change
        .updateTable('buckets')
        .set({ acl: bound.acl, acl_ref, default_acl: bound.defaultAcl, acl_revision: bound.revision })
        .where('name', '=', home.name)
        .execute()
      await moveReference(change, old.acl_ref, acl_ref)
    })
    if (!bound.held) throw metagenerationFailed()
    return { metageneration: bound.revision }
  }
  return {
    async getAcl({ bucket, key, of }) {
      const { home, row } = await found(bucket, key, RA)
      if (key === null) {
        const kept = await shown(home.owner, of === 'acl' ? home.acl : (home.default_acl ?? ''))
        return { ...kept, metageneration: metagenerationOf(home) }
      }
      if (row === undefined) return null
      const { generation, metageneration } = row
      return { ...(await shown(row.owner === '' ? null : row.owner, row.acl)), generation, metageneration }
    },
    async setAcl({ bucket, key, of }, document, options = {}) {
      const { home, row } = await found(bucket, key, WA)
      if (key === null) return setBucketAcl(home, of, document)
      if (row === undefined) {
        judgeTerms(options, undefined)
        return null
      }
      const { proof } = requireKnown(caller)
      if (document.length > 0) requireSignedDocument(proof)
      // an overwrite from here on has another object, which this change does not touch
      judgeGeneration(options, row)
      const object = storedObject(row, (await bodyOf(database, row.object_id)).core_header)
      const named = await namedObject(database, proof)
      const bound = await asked(release.bind({ proof, object, document, named }))
      await database.transaction().execute(async change => {
        const old = await change
          .selectFrom('objects')
          .select(['acl_ref', 'acl_revision'])
          .where('bucket', '=', bucket)
          .where('key', '=', keyBytes(key))
          // an object that came meanwhile has an ACL of its own
          .where('object_id', '=', row.object_id)
          .executeTakeFirst()
        const { acl, revision, metageneration } = bound
        if (old === undefined || acl === null || old.acl_revision >= revision) return
        const acl_ref = referenceIn(acl)
        await change
          .updateTable('objects')
          .set({ acl, acl_ref, acl_revision: revision, metageneration })
          .where('bucket', '=', bucket)
          .where('key', '=', keyBytes(key))
          .execute()
        await moveReference(change, old.acl_ref, acl_ref)
      })
      // told after the row is what the authority says: the next try meets the number that counts
      if (!bound.held) throw metagenerationFailed()
      return { generation: row.generation, metageneration: bound.metageneration }
    },
    async referrers({ bucket, key, after, limit }) {
      // who may change it or write it anew sees what it governs (rules 39, 41)
      const may = await inOneMoment(database, async at => {
        const home = await findBucket(at, bucket)
        const row = await findObject(at, bucket, key)
        return (
          row !== undefined &&
          (allows(await objectResource(at, home, row), caller, WA, decision) ||
            allows(await bucketResource(at, home), caller, W))
        )
      })
      if (!may) throw denied()
      const acl = await aclObjectAt(database, { bucket, key: keyBytes(key) })
      if (acl === undefined) throw new StoreError('invalid-state', `${bucket}/${key} is no ACL object`)
      return { count: acl.refs, names: await referring(database, acl.id, after, limit) }
    },
  }
}

/** The metageneration is the authority's to judge, in the step that changes it. */
function judgeGeneration({ version, generations }: Terms, row: ObjectRow): void {
  judgeTerms({ version, generations: generations && { ...generations, metageneration: NO_WISH } }, row)
}

function metagenerationFailed(): StoreError {
  return new StoreError('precondition-failed', 'its metageneration is another')
}

/** 0 is in rows of buckets that intake made. */
function metagenerationOf({ acl_revision }: BucketRow): number {
  return Math.max(1, acl_revision)
}

/** Buckets first, then objects by bucket and key. */
async function referring(database: Database, id: string, after: string | null, limit: number): Promise<string[]> {
  const [bucket = '', key = ''] = after === null ? [] : splitName(after)
  const names: string[] = []
  if (key === '')
    for (const { name } of await database
      .selectFrom('buckets')
      .select('name')
      .where('acl_ref', '=', id)
      .where('name', '>', bucket)
      .orderBy('name')
      .limit(limit)
      .execute())
      names.push(name)
  if (names.length === limit) return names
  const objects = await database
    .selectFrom('objects')
    .select(['bucket', 'key'])
    .where('acl_ref', '=', id)
    .where(row =>
      key === ''
        ? row.lit(true)
        : row.or([row('bucket', '>', bucket), row.and([row('bucket', '=', bucket), row('key', '>', keyBytes(key))])]),
    )
    .orderBy('bucket')
    .orderBy('key')
    .limit(limit - names.length)
    .execute()
  for (const each of objects) names.push(`${each.bucket}/${keyText(each.key)}`)
  return names
}

function splitName(name: string): [bucket: string, key: string] {
  const cut = name.indexOf('/')
  return cut < 0 ? [name, ''] : [name.slice(0, cut), name.slice(cut + 1)]
}

function idsIn(acl: Acl): string[] {
  return acl.entries.flatMap(({ scope }) => (scope.kind === 'user' || scope.kind === 'group' ? [scope.id] : []))
}

export function findObject(database: Database | Change, bucket: string, key: string) {
  return database
    .selectFrom('objects')
    .selectAll()
    .where('bucket', '=', bucket)
    .where('key', '=', keyBytes(key))
    .executeTakeFirst()
}
