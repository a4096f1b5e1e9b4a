import type { Kysely } from 'kysely'
import type { DatabaseKind } from './dialect.ts'

/** Identity providers that are trusted, whom they name, and what was used up or ended before its time. */
export type IdentityTables = {
  /** `settings`: CBOR; `secret` sealed under the state key */
  issuers: {
    id: string
    name: string
    url: string
    account: string
    settings: Buffer
    secret: Buffer | null
    created_at: number
  }
  /** by the provider's URL: one that is added again finds its people again */
  identities: { url: string; subject: string; user: string; created_at: number }
  /** DPoP proofs, each of one request; forgotten when too old by themselves */
  dpop_proofs: { proof: Buffer; request: string; until: number }
  /** sessions that were ended before their time */
  ended_sessions: { session: string; until: number }
  login_origins: { origin: string; created_at: number }
}

export async function addIdentities(database: Kysely<unknown>, kind: DatabaseKind): Promise<void> {
  const { bytes, wholeNumber, tableEnd } = kind
  const table = (name: string) => database.schema.createTable(name).modifyEnd(tableEnd)
  await table('issuers')
    .addColumn('id', 'text', column => column.primaryKey().notNull())
    .addColumn('name', 'text', column => column.notNull().unique())
    .addColumn('url', 'text', column => column.notNull().unique())
    .addColumn('account', 'text', column => column.notNull().references('accounts.id'))
    .addColumn('settings', bytes, column => column.notNull())
    .addColumn('secret', bytes)
    .addColumn('created_at', wholeNumber, column => column.notNull())
    .execute()
  await table('identities')
    .addColumn('url', 'text', column => column.notNull())
    .addColumn('subject', 'text', column => column.notNull())
    .addColumn('user', 'text', column => column.notNull().references('users.id'))
    .addColumn('created_at', wholeNumber, column => column.notNull())
    .addPrimaryKeyConstraint('identities_key', ['url', 'subject'])
    .execute()
  await table('dpop_proofs')
    .addColumn('proof', bytes, column => column.primaryKey().notNull())
    .addColumn('request', 'text', column => column.notNull())
    .addColumn('until', wholeNumber, column => column.notNull())
    .execute()
  await table('ended_sessions')
    .addColumn('session', 'text', column => column.primaryKey().notNull())
    .addColumn('until', wholeNumber, column => column.notNull())
    .execute()
  await table('login_origins')
    .addColumn('origin', 'text', column => column.primaryKey().notNull())
    .addColumn('created_at', wholeNumber, column => column.notNull())
    .execute()
  for (const name of ['dpop_proofs', 'ended_sessions'])
    await database.schema.createIndex(`${name}_until`).on(name).columns(['until']).execute()
}
