import { type Kysely, sql } from 'kysely'
import type { DatabaseKind } from './dialect.ts'

/** ACL objects: what each generation says, and what refers to them. */
export type HostedAclTables = {
  /** `key` null: gone. `refs`: objects and buckets that refer to it */
  acls: {
    id: string
    bucket: string
    key: Buffer | null
    object_id: string
    generation: number
    refs: number
  }
  acl_generations: { id: string; generation: number; acl: string }
  /** written and not yet in force everywhere: the authority says which of them became it */
  staged_acls: StagedRow
}

/** `holder`: the process that is at it */
export type StagedRow = { object_id: string; bucket: string; key: Buffer; row: string; holder: string }

export async function addAclObjects(database: Kysely<unknown>, kind: DatabaseKind): Promise<void> {
  const { bytes, wholeNumber, tableEnd } = kind
  const table = (name: string) => database.schema.createTable(name).modifyEnd(tableEnd)
  await table('acls')
    .addColumn('id', 'text', column => column.primaryKey().notNull())
    .addColumn('bucket', 'text', column => column.notNull())
    .addColumn('key', bytes)
    .addColumn('object_id', 'text', column => column.notNull())
    .addColumn('generation', wholeNumber, column => column.notNull())
    .addColumn('refs', wholeNumber, column => column.notNull())
    .execute()
  await table('acl_generations')
    .addColumn('id', 'text', column => column.notNull().references('acls.id'))
    .addColumn('generation', wholeNumber, column => column.notNull())
    .addColumn('acl', 'text', column => column.notNull())
    .addPrimaryKeyConstraint('acl_generations_key', ['id', 'generation'])
    .execute()
  await table('staged_acls')
    .addColumn('object_id', 'text', column => column.primaryKey().notNull().references('bodies.object_id'))
    .addColumn('bucket', 'text', column => column.notNull())
    .addColumn('key', bytes, column => column.notNull())
    .addColumn('row', 'text', column => column.notNull())
    .execute()
  for (const name of ['objects', 'buckets'])
    await database.schema.alterTable(name).addColumn('acl_ref', 'text').execute()
  await sql`create unique index acls_by_name on acls (bucket, key) where key is not null`.execute(database)
  // most objects refer to nothing: they are not in these
  await sql`create index objects_by_reference on objects (acl_ref, bucket, key) where acl_ref is not null`.execute(
    database,
  )
  await sql`create index buckets_by_reference on buckets (acl_ref, name) where acl_ref is not null`.execute(database)
}
