import type { Kysely } from 'kysely'
import type { WorkSchema } from './schema.ts'
import type { Work } from './work.ts'

/** Writes what is found; the same a second time is one finding. */
export function findingsInto(database: Kysely<WorkSchema>, run: number): Work['find'] {
  return async (code, message) => {
    await database
      .insertInto('findings')
      .values({ run, code, message })
      .onConflict(conflict => conflict.columns(['run', 'code', 'message']).doNothing())
      .execute()
  }
}
