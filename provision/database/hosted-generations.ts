import { type Kysely, sql } from 'kysely'
import type { DatabaseKind } from './dialect.ts'

/** Objects are numbered: `generation` by one sequence of the whole store, `metageneration` by the changes of each. */
export async function addGenerations(
  database: Kysely<unknown>,
  { wholeNumber, tableEnd }: DatabaseKind,
): Promise<void> {
  await database.schema
    .createTable('sequences')
    .modifyEnd(tableEnd)
    .addColumn('name', 'text', column => column.primaryKey().notNull())
    .addColumn('last', wholeNumber, column => column.notNull())
    .execute()
  // begins where clocks in microseconds are, as clients that know Google's numbers expect; what is there has 1
  await sql`insert into sequences (name, last) values ('generation', ${sql.lit(Date.now() * 1000)})`.execute(database)
  for (const column of ['generation', 'metageneration'])
    await database.schema
      .alterTable('objects')
      .addColumn(column, wholeNumber, each => each.notNull().defaultTo(1))
      .execute()
  await sql`update objects set metageneration = acl_revision + 1`.execute(database)
}
