import type { Shelf } from '../shelf.ts'
import { movePack } from '../stores/moves.ts'
import { takeBatch } from './intake-batch.ts'
import type { Taken } from './taken.ts'

/** What came by drive enters here: packs whole, objects by the thousand. Nothing of it needs or sees a key. */
export type Registration = {
  /** Makes the account's bucket where it is missing. 'foreign': another account has one of that name. */
  openBucket(bucket: string, account: string): Promise<'ready' | 'foreign'>
  /** Copies a pack in; the same name again gives what is there. It stays till `settle`, even when nothing refers to it. */
  adopt(pack: string, path: string): Promise<{ size: number }>
  /** The file that the copy is, to be read. null: not adopted, or settled. */
  pathOf(pack: string): Promise<string | null>
  /**
   * Makes a batch visible, in one step and once: a batch whose position is not above the last one of `source` changes nothing.
   * @param origin - job "/" device
   */
  register(source: string, position: number, origin: string, batch: Taken[]): Promise<void>
  /** The intake is over: packs that nothing refers to are removed. */
  settle(packs: string[]): Promise<void>
}

/** @param wake - called when a pack is to be moved to where its bucket's bodies lie */
export function registrationOf(shelf: Shelf, wake: () => void = () => undefined): Registration {
  const { database } = shelf
  const adopted = (pack: string) =>
    database.selectFrom('blobs').select(['id', 'size']).where('origin', '=', pack).executeTakeFirst()
  return {
    async openBucket(bucket, account) {
      await database
        .insertInto('buckets')
        .values({
          name: bucket,
          owner: account,
          account,
          acl: 'private',
          acl_ref: null,
          default_acl: null,
          acl_revision: 0,
          created_at: shelf.clock().getTime(),
        })
        .onConflict(conflict => conflict.column('name').doNothing())
        .execute()
      const row = await database.selectFrom('buckets').select('account').where('name', '=', bucket).executeTakeFirst()
      return row?.account === account ? 'ready' : 'foreign'
    },
    async adopt(pack, path) {
      const there = await adopted(pack)
      if (there !== undefined) return { size: there.size }
      const { blob, size } = await shelf.blobs.adopt(path)
      try {
        // the commit point: from here on the copy is a pack of this intake, and a crash does not lose it
        await database.insertInto('blobs').values({ id: blob, size, refs: 0, state: 'live', origin: pack }).execute()
      } catch (error) {
        await shelf.blobs.remove(blob)
        throw error
      }
      await shelf.blobs.keep(blob)
      return { size }
    },
    async pathOf(pack) {
      const row = await adopted(pack)
      return row === undefined ? null : shelf.blobs.pathOf(row.id)
    },
    async register(source, position, origin, batch) {
      const dead = await database.transaction().execute(async change => {
        const last = await change
          .selectFrom('intakes')
          .select('position')
          .where('origin', '=', source)
          .executeTakeFirst()
        if (last !== undefined && last.position >= position) return []
        const dead = await takeBatch(change, shelf.ledger, origin, batch)
        await change
          .insertInto('intakes')
          .values({ origin: source, position })
          .onConflict(conflict => conflict.column('origin').doUpdateSet({ position }))
          .execute()
        return dead
      })
      await shelf.bury(dead)
    },
    async settle(packs) {
      for (const pack of packs) {
        const row = await adopted(pack)
        if (row === undefined) continue
        const dead = await database.transaction().execute(async change => {
          const left = await change
            .updateTable('blobs')
            .set({ origin: null })
            .where('id', '=', row.id)
            .returning('refs')
            .executeTakeFirst()
          if (left !== undefined && left.refs > 0) await movePack(change, row.id)
          if (left === undefined || left.refs > 0) return []
          await change.updateTable('blobs').set({ state: 'dead' }).where('id', '=', row.id).execute()
          return [row.id]
        })
        await shelf.bury(dead)
      }
      wake()
    },
  }
}
