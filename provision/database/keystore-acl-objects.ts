import type { Kysely } from 'kysely'
import type { DatabaseKind } from './dialect.ts'

/** ACL objects: which there are, and what each of their generations says. */
export async function addAclObjects(database: Kysely<unknown>, kind: DatabaseKind): Promise<void> {
  const { bytes, wholeNumber, tableEnd } = kind
  const table = (name: string) => database.schema.createTable(name).modifyEnd(tableEnd)
  await table('acl_objects')
    .addColumn('id', 'text', column => column.primaryKey().notNull())
    // null: gone; whatever takes its name is another one
    .addColumn('place', bytes, column => column.unique())
    .addColumn('object_id', 'text', column => column.notNull())
    .addColumn('generation', wholeNumber, column => column.notNull())
    .addColumn('owner', 'text', column => column.notNull())
    .addColumn('consent', wholeNumber, column => column.notNull())
    .execute()
  await table('acl_generations')
    .addColumn('id', 'text', column => column.notNull().references('acl_objects.id'))
    .addColumn('generation', wholeNumber, column => column.notNull())
    .addColumn('acl', 'text', column => column.notNull())
    .addPrimaryKeyConstraint('acl_generations_key', ['id', 'generation'])
    .execute()
}
