import type { Kysely } from 'kysely'
import type { DatabaseKind } from './dialect.ts'
import { addAclObjects } from './keystore-acl-objects.ts'
import { addDirectory } from './keystore-directory.ts'
import { addExports, type ExportTables } from './keystore-exports.ts'
import { addIdentities, type IdentityTables } from './keystore-identities.ts'
import { addMasterKeys, type MasterKeyTables } from './keystore-master-keys.ts'
import { addProcesses, type ProcessTables } from './keystore-processes.ts'
import type { Migrations } from './open.ts'

/** The authority's own tables: nobody else reads or writes them. Times are ms since 1970; ids and keys as their room writes them. */
export type KeystoreSchema = IdentityTables &
  MasterKeyTables &
  ProcessTables &
  ExportTables & {
    /** one row a name: certificates, the sealed state key, the audit's head */
    facts: { name: string; value: Buffer }
    accounts: {
      id: string
      name: string
      created_at: number
      disabled_at: number | null
    }
    /** an account's own user bears its id */
    users: {
      id: string
      account: string
      name: string
      /** lower case; not unique */
      email: string | null
      created_at: number
      disabled_at: number | null
    }
    groups: { id: string; account: string; name: string; email: string | null; created_at: number }
    members: { group_id: string; kind: MemberKind; member: string }
    /** ACLs in their text form */
    buckets: {
      name: string
      owner: string
      account: string
      acl: string
      default_acl: string | null
      revision: number
      created_at: number
    }
    /** digests of signed changes of ACLs, each used once; forgotten when the request is too old by itself */
    spent: { request: Buffer; until: number }
    /** `place`: bucket and key; null: gone */
    acl_objects: {
      id: string
      place: Buffer | null
      object_id: string
      generation: number
      owner: string
      consent: number
    }
    acl_generations: { id: string; generation: number; acl: string }
    /** verified ones; all users of the account belong to it */
    domains: { domain: string; account: string }
    credentials: {
      access_key: string
      account: string
      /** whose it is */
      user: string
      name: string
      /** sealed under the state key */
      secret: Buffer
      created_at: number
      disabled_at: number | null
    }
    jobs: {
      id: string
      account: string
      /** the signed order */
      signed_order: Buffer
      state: string
      /** 0, and no key: an export, for which nothing is sealed to us */
      suite: number
      spki: Buffer
      key_destroyed_at: number | null
      limits: Buffer
      created_at: number
    }
    devices: {
      job: string
      device: string
      identity: Buffer
      certificate: Buffer
      /** signed token profile */
      profile: Buffer
      prepared_at: number
      /** objects proved so far */
      proved: number
    }
    grants: {
      hash: Buffer
      id: string
      job: string
      device: string
      counter: number
      issued_at: number
      /** sealed to the state opening key in the token */
      share: Buffer
    }
    epochs: {
      id: string
      account: string
      job: string | null
      device: string | null
      commitment: Buffer
      /** the epoch key, sealed to this version of this master key */
      master: string
      version: number
      suite: number
      encapsulated: Buffer
      ciphertext: Buffer
      created_at: number
    }
    /**
     * `place` names (account, job, bucket, key, object): copies share an object id, not a binding. `base`: the revision that the object
     * began with, above 0 where a copy came to a place that its body had been at before
     */
    bindings: { place: Buffer; acl: string; revision: number; base: number }
    stations: { id: string; name: string; secret_digest: Buffer; created_at: number }
    audit: { seq: number; body: Buffer; hash: Buffer }
  }

type MemberKind = 'user' | 'group'

export const keystoreMigrations: Migrations = kind => ({
  '0001-first': { up: (database: Kysely<unknown>) => first(database, kind) },
  '0002-directory': { up: (database: Kysely<unknown>) => addDirectory(database, kind) },
  '0003-acl-objects': { up: (database: Kysely<unknown>) => addAclObjects(database, kind) },
  '0004-identities': { up: (database: Kysely<unknown>) => addIdentities(database, kind) },
  '0005-metagenerations': { up: (database: Kysely<unknown>) => addMetagenerations(database, kind) },
  '0006-master-keys': { up: (database: Kysely<unknown>) => addMasterKeys(database, kind) },
  '0007-processes': { up: (database: Kysely<unknown>) => addProcesses(database, kind) },
  '0008-exports': { up: (database: Kysely<unknown>) => addExports(database, kind) },
})

async function addMetagenerations(database: Kysely<unknown>, { wholeNumber }: DatabaseKind): Promise<void> {
  await database.schema
    .alterTable('bindings')
    .addColumn('base', wholeNumber, column => column.notNull().defaultTo(0))
    .execute()
}

async function first(database: Kysely<unknown>, kind: DatabaseKind): Promise<void> {
  const { bytes, wholeNumber, tableEnd } = kind
  const table = (name: string) => database.schema.createTable(name).modifyEnd(tableEnd)
  await table('facts')
    .addColumn('name', 'text', column => column.primaryKey().notNull())
    .addColumn('value', bytes, column => column.notNull())
    .execute()
  await table('accounts')
    .addColumn('id', 'text', column => column.primaryKey().notNull())
    .addColumn('name', 'text', column => column.notNull().unique())
    .addColumn('created_at', wholeNumber, column => column.notNull())
    .addColumn('disabled_at', wholeNumber)
    .addColumn('suite', wholeNumber, column => column.notNull())
    .addColumn('spki', bytes, column => column.notNull())
    .execute()
  await table('credentials')
    .addColumn('access_key', 'text', column => column.primaryKey().notNull())
    .addColumn('account', 'text', column => column.notNull().references('accounts.id'))
    .addColumn('name', 'text', column => column.notNull())
    .addColumn('secret', bytes, column => column.notNull())
    .addColumn('created_at', wholeNumber, column => column.notNull())
    .addColumn('disabled_at', wholeNumber)
    .execute()
  await table('jobs')
    .addColumn('id', 'text', column => column.primaryKey().notNull())
    .addColumn('account', 'text', column => column.notNull().references('accounts.id'))
    .addColumn('signed_order', bytes, column => column.notNull())
    .addColumn('state', 'text', column => column.notNull())
    .addColumn('suite', wholeNumber, column => column.notNull())
    .addColumn('spki', bytes, column => column.notNull())
    .addColumn('key_destroyed_at', wholeNumber)
    .addColumn('limits', bytes, column => column.notNull())
    .addColumn('created_at', wholeNumber, column => column.notNull())
    .execute()
  await table('devices')
    .addColumn('job', 'text', column => column.notNull().references('jobs.id'))
    .addColumn('device', 'text', column => column.notNull())
    .addColumn('identity', bytes, column => column.notNull())
    .addColumn('certificate', bytes, column => column.notNull())
    .addColumn('profile', bytes, column => column.notNull())
    .addColumn('prepared_at', wholeNumber, column => column.notNull())
    .addColumn('proved', wholeNumber, column => column.notNull())
    .addPrimaryKeyConstraint('devices_key', ['job', 'device'])
    .execute()
  await table('grants')
    .addColumn('hash', bytes, column => column.primaryKey().notNull())
    .addColumn('id', 'text', column => column.notNull())
    .addColumn('job', 'text', column => column.notNull())
    .addColumn('device', 'text', column => column.notNull())
    .addColumn('counter', wholeNumber, column => column.notNull())
    .addColumn('issued_at', wholeNumber, column => column.notNull())
    .addColumn('share', bytes, column => column.notNull())
    .addForeignKeyConstraint('grants_device', ['job', 'device'], 'devices', ['job', 'device'])
    .execute()
  await table('epochs')
    .addColumn('id', 'text', column => column.primaryKey().notNull())
    .addColumn('account', 'text', column => column.notNull().references('accounts.id'))
    .addColumn('job', 'text', column => column.references('jobs.id'))
    .addColumn('device', 'text')
    .addColumn('commitment', bytes, column => column.notNull())
    .addColumn('suite', wholeNumber, column => column.notNull())
    .addColumn('encapsulated', bytes, column => column.notNull())
    .addColumn('ciphertext', bytes, column => column.notNull())
    .addColumn('created_at', wholeNumber, column => column.notNull())
    .execute()
  await table('bindings')
    .addColumn('place', bytes, column => column.primaryKey().notNull())
    .addColumn('acl', 'text', column => column.notNull())
    .addColumn('revision', wholeNumber, column => column.notNull())
    .execute()
  await table('stations')
    .addColumn('id', 'text', column => column.primaryKey().notNull())
    .addColumn('name', 'text', column => column.notNull().unique())
    .addColumn('secret_digest', bytes, column => column.notNull())
    .addColumn('created_at', wholeNumber, column => column.notNull())
    .execute()
  await table('audit')
    .addColumn('seq', wholeNumber, column => column.primaryKey().notNull())
    .addColumn('body', bytes, column => column.notNull())
    .addColumn('hash', bytes, column => column.notNull())
    .execute()
  for (const [name, on, columns] of [
    ['credentials_account', 'credentials', ['account']],
    ['grants_of_device', 'grants', ['job', 'device']],
    ['epochs_of_job', 'epochs', ['job', 'device']],
  ] as const)
    await database.schema
      .createIndex(name)
      .on(on)
      .columns([...columns])
      .execute()
}
