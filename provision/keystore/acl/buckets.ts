import type { Kysely } from 'kysely'
import { type BoundAcl, encodeBoundAcl, parseBoundAcl } from '../../../access/acl/bound.ts'
import { fulfils, isWish, type Wish } from '../../../access/precondition.ts'
import type { BucketFacts } from '../../../format/release.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import { Lru } from '../lru.ts'
import { type Spending, spend } from '../proofs/spent.ts'

/** A bucket as the authority knows it: whose it is, who may, and what new objects get. Not what lies in it. */
export type Bucket = {
  name: string
  /** user */
  owner: string
  account: string
  acl: BoundAcl
  /** null: none was set */
  defaultAcl: BoundAcl | null
  revision: number
}

/** `held` false: the metageneration was not as it was wanted. */
type Changed = { bucket: Bucket; held: boolean }

/** This process alone writes them: what is cached is forgotten in the very call that changes it. */
export type Buckets = {
  find(name: string): Promise<Bucket | null>
  /** @returns null: the name is taken */
  open(name: string, owner: { user: string; account: string }, acl: BoundAcl): Promise<Bucket | null>
  /**
   * By a signed request, which counts once.
   * @returns what is in force now, whether this or something later set it
   */
  change(bucket: Bucket, of: 'acl' | 'default-object', acl: BoundAcl, by: Spending | null, wish: Wish): Promise<Changed>
  close(name: string): Promise<void>
}

const CACHED_MAX = 10_000

export function bucketsOf(database: Kysely<KeystoreSchema>, clock: () => number): Buckets {
  const cache = new Lru<string, Bucket>(CACHED_MAX)
  const find: Buckets['find'] = async name => {
    const cached = cache.get(name)
    if (cached !== undefined) return cached
    const { forgotten } = cache
    const row = await database.selectFrom('buckets').selectAll().where('name', '=', name).executeTakeFirst()
    if (row === undefined) return null
    const bucket = {
      name,
      owner: row.owner,
      account: row.account,
      acl: parseBoundAcl(row.acl),
      defaultAcl: row.default_acl === null ? null : parseBoundAcl(row.default_acl),
      revision: row.revision,
    }
    cache.setUnless(forgotten, name, bucket)
    return bucket
  }
  return {
    find,
    async open(name, { user, account }, acl) {
      const row = {
        name,
        owner: user,
        account,
        acl: encodeBoundAcl(acl),
        default_acl: null,
        revision: 1,
        created_at: clock(),
      }
      const made = await database
        .insertInto('buckets')
        .values(row)
        .onConflict(conflict => conflict.doNothing())
        .executeTakeFirst() // commit point: the name is his
      return made.numInsertedOrUpdatedRows === 0n ? null : find(name)
    },
    async change(bucket, of, acl, by, wish) {
      const text = encodeBoundAcl(acl)
      const held = await database.transaction().execute(async change => {
        // used up even where it does not hold: it was answered so
        const fresh = await spend(change, by, Buffer.from(`${of}/${bucket.name}`), clock())
        if (!fresh) return !isWish(wish)
        const there = await change
          .selectFrom('buckets')
          .select('revision')
          .where('name', '=', bucket.name)
          .executeTakeFirst()
        if (!fulfils(wish, there?.revision ?? 0)) return false
        await change
          .updateTable('buckets')
          .set(row => ({
            ...(of === 'acl' ? { acl: text } : { default_acl: text }),
            revision: row('revision', '+', 1),
          }))
          .where('name', '=', bucket.name)
          .execute()
        return true
      }) // commit point: from here on it is in force
      cache.delete(bucket.name)
      return { bucket: (await find(bucket.name)) ?? bucket, held }
    },
    async close(name) {
      await database.deleteFrom('buckets').where('name', '=', name).execute()
      cache.delete(name)
    },
  }
}

export function bucketFacts({ owner, account, acl, defaultAcl, revision }: Bucket): BucketFacts {
  return {
    owner,
    account,
    acl: encodeBoundAcl(acl),
    defaultAcl: defaultAcl === null ? null : encodeBoundAcl(defaultAcl),
    revision,
  }
}
