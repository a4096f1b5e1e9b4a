import type { Kysely } from 'kysely'
import type { DatabaseKind } from './dialect.ts'

/** Certificates of processes on other machines; the row is what revokes one. */
export type ProcessTables = {
  process_certificates: {
    serial: string
    role: 'hosted' | 'intake'
    name: string
    expires_at: number
    revoked_at: number | null
  }
}

export async function addProcesses(database: Kysely<unknown>, kind: DatabaseKind): Promise<void> {
  const { wholeNumber, tableEnd } = kind
  await database.schema
    .createTable('process_certificates')
    .modifyEnd(tableEnd)
    .addColumn('serial', 'text', column => column.primaryKey().notNull())
    .addColumn('role', 'text', column => column.notNull())
    .addColumn('name', 'text', column => column.notNull())
    .addColumn('expires_at', wholeNumber, column => column.notNull())
    .addColumn('revoked_at', wholeNumber)
    .execute()
}
