import { R } from '../../access/acl/acl.ts'
import type { KeyRelease } from '../../format/release.ts'
import { type ObjectStore, StoreError } from '../../store/object-store.ts'
import type { Change } from '../database/hosted-schema.ts'
import { namedObject } from './acl/acl-objects.ts'
import { moveReference, referenceIn } from './acl/acl-rows.ts'
import {
  type BoundCaller,
  bucketResource,
  denied,
  findBucket,
  mayDelete,
  requireBucket,
  requireKnown,
} from './acl/rights.ts'
import { dropPartSet } from './objects/commit.ts'
import { asked } from './release-fault.ts'
import type { Shelf } from './shelf.ts'
import { changeOpen, type Ledger, openBytes } from './usage/stored.ts'

export type BucketVerbs = Pick<ObjectStore, 'listBuckets' | 'headBucket' | 'createBucket' | 'deleteBucket'>

/** Buckets as one caller may use them. */
export function bucketVerbs(shelf: Shelf, release: KeyRelease, caller: BoundCaller): BucketVerbs {
  const { database } = shelf
  return {
    async listBuckets() {
      const { principal } = requireKnown(caller)
      const rows = await database
        .selectFrom('buckets')
        .select(['name', 'created_at'])
        .where('owner', '=', principal.user)
        .orderBy('name')
        .execute()
      return rows.map(row => ({ name: row.name, createdAt: new Date(row.created_at) }))
    },
    async headBucket(bucket) {
      const row = await database.selectFrom('buckets').selectAll().where('name', '=', bucket).executeTakeFirst()
      if (row === undefined) return null
      await requireBucket(database, bucket, caller, R)
      return { name: row.name, createdAt: new Date(row.created_at) }
    },
    async createBucket(bucket) {
      const { proof, principal } = requireKnown(caller)
      const createdAt = shelf.clock()
      const there = await database.selectFrom('buckets').select('owner').where('name', '=', bucket).executeTakeFirst()
      if (there !== undefined)
        throw new StoreError(
          there.owner === principal.user ? 'bucket-exists' : 'bucket-taken',
          `bucket ${bucket} exists`,
        )
      // the authority first: whose it is says who may; cut off here, its owner makes it again
      const { owner, account, acl, defaultAcl, revision } = await asked(
        release.openBucket({ proof, bucket, named: await namedObject(database, proof) }),
      )
      const made = await database.transaction().execute(async change => {
        const made = await change
          .insertInto('buckets')
          .values({
            name: bucket,
            owner,
            account,
            acl,
            acl_ref: referenceIn(acl),
            default_acl: defaultAcl,
            acl_revision: revision,
            created_at: createdAt.getTime(),
          })
          .onConflict(conflict => conflict.column('name').doNothing())
          .executeTakeFirst()
        await moveReference(change, null, made.numInsertedOrUpdatedRows === 0n ? null : referenceIn(acl))
        return made
      })
      if (made.numInsertedOrUpdatedRows === 0n) throw new StoreError('bucket-exists', `bucket ${bucket} exists`)
      return { name: bucket, createdAt }
    },
    async deleteBucket(bucket) {
      const { proof } = requireKnown(caller)
      const dead = await database.transaction().execute(async change => {
        const row = await findBucket(change, bucket)
        if (!mayDelete(await bucketResource(change, row), caller, shelf.decision)) throw denied()
        const held = await change.selectFrom('objects').select('key').where('bucket', '=', bucket).limit(1).execute()
        if (held.length > 0) throw new StoreError('bucket-not-empty', `bucket ${bucket} holds objects`)
        // uploads left open go with it: they could never be completed
        const dead = await dropUploads(change, shelf.ledger, bucket)
        await change.deleteFrom('buckets').where('name', '=', bucket).execute()
        await moveReference(change, row.acl_ref, null)
        return dead
      })
      await shelf.bury(dead)
      // after it: cut off between, the name stays its owner's
      await asked(release.closeBucket({ proof, bucket }))
    },
  }
}

async function dropUploads(change: Change, ledger: Ledger, bucket: string): Promise<string[]> {
  const dead: string[] = []
  const drop = async (set: string): Promise<void> => {
    await changeOpen(change, ledger, bucket, -(await openBytes(change, set)))
    dead.push(...(await dropPartSet(change, set)))
  }
  for (const { id } of await change.selectFrom('uploads').select('id').where('bucket', '=', bucket).execute())
    await drop(id)
  await change.deleteFrom('uploads').where('bucket', '=', bucket).execute()
  const begun = await change
    .selectFrom('resumables')
    .select('id')
    .where('bucket', '=', bucket)
    .where('done', 'is', null)
    .execute()
  for (const { id } of begun) await drop(id)
  await change.deleteFrom('resumables').where('bucket', '=', bucket).execute()
  return dead
}
