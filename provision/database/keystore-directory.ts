import { type Kysely, sql } from 'kysely'
import type { DatabaseKind } from './dialect.ts'

/** Users, groups, domains, and whose buckets are. Every account there is gets its own user, and every access key becomes his. */
export async function addDirectory(database: Kysely<unknown>, kind: DatabaseKind): Promise<void> {
  const { bytes, wholeNumber, tableEnd } = kind
  const table = (name: string) => database.schema.createTable(name).modifyEnd(tableEnd)
  await table('users')
    .addColumn('id', 'text', column => column.primaryKey().notNull())
    .addColumn('account', 'text', column => column.notNull().references('accounts.id'))
    .addColumn('name', 'text', column => column.notNull())
    .addColumn('email', 'text')
    .addColumn('created_at', wholeNumber, column => column.notNull())
    .addColumn('disabled_at', wholeNumber)
    .addUniqueConstraint('users_name', ['account', 'name'])
    .execute()
  await table('groups')
    .addColumn('id', 'text', column => column.primaryKey().notNull())
    .addColumn('account', 'text', column => column.notNull().references('accounts.id'))
    .addColumn('name', 'text', column => column.notNull())
    .addColumn('email', 'text')
    .addColumn('created_at', wholeNumber, column => column.notNull())
    .addUniqueConstraint('groups_name', ['account', 'name'])
    .execute()
  await table('members')
    .addColumn('group_id', 'text', column => column.notNull().references('groups.id'))
    .addColumn('kind', 'text', column => column.notNull())
    .addColumn('member', 'text', column => column.notNull())
    .addPrimaryKeyConstraint('members_key', ['group_id', 'kind', 'member'])
    .execute()
  await table('domains')
    .addColumn('domain', 'text', column => column.primaryKey().notNull())
    .addColumn('account', 'text', column => column.notNull().references('accounts.id'))
    .execute()
  await table('buckets')
    .addColumn('name', 'text', column => column.primaryKey().notNull())
    .addColumn('owner', 'text', column => column.notNull().references('users.id'))
    .addColumn('account', 'text', column => column.notNull().references('accounts.id'))
    .addColumn('acl', 'text', column => column.notNull())
    .addColumn('default_acl', 'text')
    .addColumn('revision', wholeNumber, column => column.notNull())
    .addColumn('created_at', wholeNumber, column => column.notNull())
    .execute()
  await table('spent')
    .addColumn('request', bytes, column => column.primaryKey().notNull())
    .addColumn('until', wholeNumber, column => column.notNull())
    .execute()
  await sql`insert into users (id, account, name, email, created_at, disabled_at)
    select id, id, name, null, created_at, null from accounts`.execute(database)
  await database.schema.alterTable('credentials').addColumn('user', 'text').execute()
  await sql`update credentials set ${sql.ref('user')} = account`.execute(database)
  for (const [name, on, columns] of [
    ['users_email', 'users', ['email']],
    ['groups_email', 'groups', ['email']],
    ['members_member', 'members', ['kind', 'member']],
    ['domains_account', 'domains', ['account']],
    ['credentials_user', 'credentials', ['user']],
    ['spent_until', 'spent', ['until']],
  ] as const)
    await database.schema
      .createIndex(name)
      .on(on)
      .columns([...columns])
      .execute()
}
