import { type Kysely, sql } from 'kysely'

/** For several processes on one database. What was staged before is nobody's: it is settled at the next start. */
export async function addProcesses(database: Kysely<unknown>): Promise<void> {
  await database.schema
    .alterTable('staged_acls')
    .addColumn('holder', 'text', column => column.notNull().defaultTo(''))
    .execute()
  await sql`insert into sequences (name, last) values ('quotas', 0)`.execute(database)
}
