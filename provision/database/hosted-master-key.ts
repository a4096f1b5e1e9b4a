import type { Kysely } from 'kysely'

/** Objects say under which named key they are; null, as all that are there: the account's own. */
export async function addMasterKey(database: Kysely<unknown>): Promise<void> {
  await database.schema.alterTable('objects').addColumn('master_key', 'text').execute()
}
