import { dropPartSet } from '../objects/commit.ts'
import type { Shelf } from '../shelf.ts'
import { changeOpen } from '../usage/stored.ts'

export const UPLOAD_LIFE_MS = 7 * 86_400_000
/** At a time: whoever begins an upload waits for it. */
const SWEPT_AT_ONCE = 20

/**
 * Uploads that nobody went on with for a week give up their bytes; that there was one is known for a week more, and then forgotten. Called
 * at each start of the store and of an upload: what nobody adds to need not be taken from.
 */
export async function sweepResumables(shelf: Shelf): Promise<void> {
  const { database, clock } = shelf
  const before = clock().getTime() - UPLOAD_LIFE_MS
  const dead = await database.transaction().execute(async change => {
    const over = await change
      .selectFrom('resumables')
      .select(['id', 'done', 'bucket', 'stored'])
      .where('started_at', '<=', before)
      .where('gone', '=', 0)
      .orderBy('started_at')
      .limit(SWEPT_AT_ONCE)
      .execute()
    const out: string[] = []
    for (const { id, done, bucket, stored } of over) {
      // of one that is done they are the object's
      if (done === null) {
        out.push(...(await dropPartSet(change, id)))
        await changeOpen(change, shelf.ledger, bucket, -stored)
      }
      await change.updateTable('resumables').set({ gone: 1 }).where('id', '=', id).execute()
    }
    await change
      .deleteFrom('resumables')
      .where('started_at', '<=', before - UPLOAD_LIFE_MS)
      .where('gone', '=', 1)
      .execute()
    return out
  })
  await shelf.bury(dead)
}
