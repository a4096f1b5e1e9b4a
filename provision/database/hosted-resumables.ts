import type { Kysely } from 'kysely'
import type { DatabaseKind } from './dialect.ts'

/**
 * Uploads that are sent in pieces to one address. Their pieces are `parts` of the set that bears the upload's id. `digest`: the state of the
 * MD5 so far. `done`: the record of the object that it became; the set is that object's then. `gone`: ended without one.
 */
export type ResumableRow = {
  id: string
  bucket: string
  key: Buffer
  started_at: number
  attributes: string
  /** conditions, JSON */
  terms: string
  ticket: Buffer
  /** proof of the request that began it */
  creation: Buffer
  /** bytes of the whole, once they were said */
  total: number | null
  stored: number
  pieces: number
  digest: Buffer
  done: string | null
  gone: number
}

export async function addResumables(database: Kysely<unknown>, kind: DatabaseKind): Promise<void> {
  const { bytes, wholeNumber, tableEnd } = kind
  await database.schema
    .createTable('resumables')
    .modifyEnd(tableEnd)
    .addColumn('id', 'text', column => column.primaryKey().notNull())
    .addColumn('bucket', 'text', column => column.notNull())
    .addColumn('key', bytes, column => column.notNull())
    .addColumn('started_at', wholeNumber, column => column.notNull())
    .addColumn('attributes', 'text', column => column.notNull())
    .addColumn('terms', 'text', column => column.notNull())
    .addColumn('ticket', bytes, column => column.notNull())
    .addColumn('creation', bytes, column => column.notNull())
    .addColumn('total', wholeNumber)
    .addColumn('stored', wholeNumber, column => column.notNull())
    .addColumn('pieces', wholeNumber, column => column.notNull())
    .addColumn('digest', bytes, column => column.notNull())
    .addColumn('done', 'text')
    .addColumn('gone', wholeNumber, column => column.notNull())
    .execute()
  for (const column of ['started_at', 'bucket'])
    await database.schema.createIndex(`resumables_by_${column}`).on('resumables').column(column).execute()
}
