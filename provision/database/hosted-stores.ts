import { type Kysely, sql } from 'kysely'
import type { DatabaseKind } from './dialect.ts'

/** Where bytes lie, and are to lie. The id of a blob says in which store it is: `<store>:<id>`, and without a colon in the files. */
export type HostedStoreTables = {
  /** blobs whose bytes are here */
  inline_blobs: { id: string; bytes: Buffer }
  /** where the bodies of a bucket go; of one without a row into the files. `inline_max`: sealed bytes; up to so many go in here */
  placements: { bucket: string; store: string; inline_max: number }
  /** Stores elsewhere. `mark`: what the object says by which the prefix is known as this store's. `settings`: JSON, without secrets */
  data_stores: { name: string; mark: string; settings: string; added_at: number }
  /** Blobs to be copied into another store. `target`: the copy, once it is there */
  moves: { blob: string; store: string; target: string | null }
}

/** A value in the statement, not beside it: only so is the index of the dead used. */
export const DEAD = sql<'dead'>`'dead'`

export async function addDataStores(database: Kysely<unknown>, kind: DatabaseKind): Promise<void> {
  const { bytes, wholeNumber, tableEnd } = kind
  const table = (name: string) => database.schema.createTable(name).modifyEnd(tableEnd)
  await table('inline_blobs')
    .addColumn('id', 'text', column => column.primaryKey().notNull().references('blobs.id'))
    .addColumn('bytes', bytes, column => column.notNull())
    .execute()
  await table('data_stores')
    .addColumn('name', 'text', column => column.primaryKey().notNull())
    .addColumn('mark', 'text', column => column.notNull())
    .addColumn('settings', 'text', column => column.notNull())
    .addColumn('added_at', wholeNumber, column => column.notNull())
    .execute()
  await table('placements')
    .addColumn('bucket', 'text', column => column.primaryKey().notNull().references('buckets.name').onDelete('cascade'))
    .addColumn('store', 'text', column => column.notNull())
    .addColumn('inline_max', wholeNumber, column => column.notNull())
    .execute()
  await table('moves')
    .addColumn('blob', 'text', column => column.primaryKey().notNull())
    .addColumn('store', 'text', column => column.notNull())
    .addColumn('target', 'text')
    .execute()
  // they are looked for each minute, among millions that live
  await database.schema.createIndex('dead_blobs').on('blobs').column('id').where(sql.ref('state'), '=', DEAD).execute()
}
