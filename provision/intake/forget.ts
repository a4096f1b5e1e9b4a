import type { Kysely } from 'kysely'
import { withoutOverwriting } from '../database/dialect.ts'
import { APPLIED_DELETE } from './register.ts'
import type { WorkSchema } from './schema.ts'

/**
 * Names in clear and rows by the million are of no use any more: report and receipts hold what counts.
 * @param what - 'work': a further run may come, which must know what this one stored or deleted
 */
export async function forget(database: Kysely<WorkSchema>, run: number, what: 'all' | 'work'): Promise<void> {
  for (const table of ['commits', 'leaves'] as const) await forgetSealed(database, table, run)
  for (const table of ['epochs', 'packs', 'spans'] as const)
    await database.deleteFrom(table).where('run', '=', run).execute()
  const items = database.deleteFrom('items').where('run', '=', run)
  if (what === 'work') await items.where('state', '!=', 'stored').where('reason', '!=', APPLIED_DELETE).execute()
  else if (await isAlone(database, run)) await database.deleteFrom('items').execute()
  else await items.execute()
}

/** What is sealed on the drive too, and under no key of this process: gone, and not written over. */
export async function forgetSealed(
  database: Kysely<WorkSchema>,
  table: 'commits' | 'leaves',
  run: number,
): Promise<void> {
  const others = await database
    .selectFrom('runs')
    .select('row')
    .where('row', '!=', run)
    .where('report', 'is', null)
    .limit(1)
    .execute()
  // a table that is emptied as a whole is not gone through row by row
  const rows = database.deleteFrom(table)
  await withoutOverwriting(database, async () => {
    await (others.length === 0 ? rows : rows.where('run', '=', run)).execute()
  })
}

/** Whether all items are this run's. Rows of one run lie together: its neighbours are looked at, on both sides. */
async function isAlone(database: Kysely<WorkSchema>, run: number): Promise<boolean> {
  for (const side of ['<', '>'] as const) {
    const other = await database.selectFrom('items').select('idx').where('run', side, run).limit(1).execute()
    if (other.length > 0) return false
  }
  return true
}
