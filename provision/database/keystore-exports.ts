import type { Kysely } from 'kysely'
import type { DatabaseKind } from './dialect.ts'

export type ExportTables = {
  /** one row for each access key that signed it; withdrawn ones stay */
  export_orders: {
    id: string
    job: string
    user: string
    access_key: string
    bucket: string
    prefix: string
    ordered_at: number
    withdrawn_at: number | null
  }
  /** what was withdrawn, by digest: a request that lives no longer than `until` was signed before that */
  export_withdrawals: { about: Buffer; until: number }
  /** the one device of an export, by its newest grant, and what is sealed to it */
  export_devices: { job: string; device: string; grant_hash: Buffer; suite: number; spki: Buffer }
}

export async function addExports(database: Kysely<unknown>, kind: DatabaseKind): Promise<void> {
  const { bytes, wholeNumber, tableEnd } = kind
  await database.schema
    .createTable('export_orders')
    .modifyEnd(tableEnd)
    .addColumn('id', 'text', column => column.primaryKey().notNull())
    .addColumn('job', 'text', column => column.notNull().references('jobs.id'))
    .addColumn('user', 'text', column => column.notNull())
    .addColumn('access_key', 'text', column => column.notNull())
    .addColumn('bucket', 'text', column => column.notNull())
    .addColumn('prefix', 'text', column => column.notNull())
    .addColumn('ordered_at', wholeNumber, column => column.notNull())
    .addColumn('withdrawn_at', wholeNumber)
    .addUniqueConstraint('export_orders_same', ['job', 'user', 'access_key', 'bucket', 'prefix'])
    .execute()
  await database.schema
    .createTable('export_withdrawals')
    .modifyEnd(tableEnd)
    .addColumn('about', bytes, column => column.primaryKey().notNull())
    .addColumn('until', wholeNumber, column => column.notNull())
    .execute()
  await database.schema
    .createTable('export_devices')
    .modifyEnd(tableEnd)
    .addColumn('job', 'text', column => column.primaryKey().notNull().references('jobs.id'))
    .addColumn('device', 'text', column => column.notNull())
    .addColumn('grant_hash', bytes, column => column.notNull())
    .addColumn('suite', wholeNumber, column => column.notNull())
    .addColumn('spki', bytes, column => column.notNull())
    .execute()
}
