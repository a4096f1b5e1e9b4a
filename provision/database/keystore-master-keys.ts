import { type Kysely, sql } from 'kysely'
import type { DatabaseKind } from './dialect.ts'

/** Keys of accounts in the token, who may use them, what is being done with them, and what was signed when one was destroyed. */
export type MasterKeyTables = {
  /** an account's own bears its id and no name; labels in the token follow from id and version */
  master_keys: {
    id: string
    account: string
    name: string
    version: number
    suite: number
    spki: Buffer
    created_at: number
    disabled_at: number | null
    destroyed_at: number | null
  }
  master_key_users: { master: string; kind: 'user' | 'group'; member: string }
  /** one a key at most; `old_version` and `old_spki`: the pair that goes, 0 and empty where none but the last one does */
  key_works: {
    master: string
    kind: 'rotate' | 'destroy'
    old_version: number
    old_spki: Buffer
    epochs: number
    asked_by: string
    started_at: number
  }
  /** signed records, as files */
  destructions: { master: string; version: number; record: Buffer }
}

export async function addMasterKeys(database: Kysely<unknown>, kind: DatabaseKind): Promise<void> {
  const { bytes, wholeNumber, tableEnd } = kind
  const table = (name: string) => database.schema.createTable(name).modifyEnd(tableEnd)
  await table('master_keys')
    .addColumn('id', 'text', column => column.primaryKey().notNull())
    .addColumn('account', 'text', column => column.notNull().references('accounts.id'))
    .addColumn('name', 'text', column => column.notNull())
    .addColumn('version', wholeNumber, column => column.notNull())
    .addColumn('suite', wholeNumber, column => column.notNull())
    .addColumn('spki', bytes, column => column.notNull())
    .addColumn('created_at', wholeNumber, column => column.notNull())
    .addColumn('disabled_at', wholeNumber)
    .addColumn('destroyed_at', wholeNumber)
    .addUniqueConstraint('master_keys_name', ['account', 'name'])
    .execute()
  await table('master_key_users')
    .addColumn('master', 'text', column => column.notNull().references('master_keys.id'))
    .addColumn('kind', 'text', column => column.notNull())
    .addColumn('member', 'text', column => column.notNull())
    .addPrimaryKeyConstraint('master_key_users_key', ['master', 'kind', 'member'])
    .execute()
  await table('key_works')
    .addColumn('master', 'text', column => column.primaryKey().notNull().references('master_keys.id'))
    .addColumn('kind', 'text', column => column.notNull())
    .addColumn('old_version', wholeNumber, column => column.notNull())
    .addColumn('old_spki', bytes, column => column.notNull())
    .addColumn('epochs', wholeNumber, column => column.notNull())
    .addColumn('asked_by', 'text', column => column.notNull())
    .addColumn('started_at', wholeNumber, column => column.notNull())
    .execute()
  await table('destructions')
    .addColumn('master', 'text', column => column.notNull().references('master_keys.id'))
    .addColumn('version', wholeNumber, column => column.notNull())
    .addColumn('record', bytes, column => column.notNull())
    .addPrimaryKeyConstraint('destructions_key', ['master', 'version'])
    .execute()
  await sql`insert into master_keys (id, account, name, version, suite, spki, created_at)
    select id, id, '', 1, suite, spki, created_at from accounts`.execute(database)
  for (const column of ['suite', 'spki']) await database.schema.alterTable('accounts').dropColumn(column).execute()
  await database.schema
    .alterTable('epochs')
    .addColumn('master', 'text', column => column.notNull().defaultTo(''))
    .execute()
  await database.schema
    .alterTable('epochs')
    .addColumn('version', wholeNumber, column => column.notNull().defaultTo(1))
    .execute()
  await sql`update epochs set master = account`.execute(database)
  await database.schema.createIndex('epochs_of_master').on('epochs').columns(['master', 'version']).execute()
}
