import type { Kysely } from 'kysely'
import { AdministrationError } from '../../../format/administration.ts'
import type { User } from '../../../format/directory.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import { Lru } from '../lru.ts'
import type { Accounts } from './accounts.ts'
import { checkedEmail, checkedName, newPrincipalId } from './names.ts'

/** Users of accounts. As of accounts, what is cached is forgotten in the very call that changes it. */
export type Users = {
  create(account: string, name: string, email: string | null): Promise<User>
  list(account: string): Promise<User[]>
  setEmail(user: string, email: string | null): Promise<void>
  disable(user: string): Promise<void>
  /** By id. */
  byId(id: string): Promise<User | null>
  /** By id, `account/name`, or account for its own. Fault `not-found`. */
  find(reference: string): Promise<User>
  idsByEmail(email: string): Promise<string[]>
}

const CACHED_MAX = 10_000
/** More of one address than matter to whoever asks whether it is one. */
const SAME_EMAIL_MAX = 2

export function usersOf(database: Kysely<KeystoreSchema>, accounts: Accounts, clock: () => number): Users {
  const cache = new Lru<string, User>(CACHED_MAX)
  const byId: Users['byId'] = async id => {
    const cached = cache.get(id)
    if (cached !== undefined) return cached
    const { forgotten } = cache
    const row = await database.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst()
    if (row === undefined) return null
    const user = userOf(row)
    cache.setUnless(forgotten, id, user)
    return user
  }
  const byName = async (account: string, name: string): Promise<User | null> => {
    const row = await database
      .selectFrom('users')
      .selectAll()
      .where('account', '=', account)
      .where('name', '=', name)
      .executeTakeFirst()
    return row === undefined ? null : userOf(row)
  }
  const ownUser = async (account: string): Promise<User | null> => {
    try {
      return await byId((await accounts.find(account)).id)
    } catch (error) {
      if (error instanceof AdministrationError && error.fault === 'not-found') return null
      throw error
    }
  }
  const find: Users['find'] = async reference => {
    const cut = reference.indexOf('/')
    const found =
      cut < 0
        ? ((await byId(reference)) ?? (await ownUser(reference)))
        : await byName((await accounts.find(reference.slice(0, cut))).id, reference.slice(cut + 1))
    if (found === null)
      throw new AdministrationError('not-found', `no user "${reference}": want account/name, an account, or an id`)
    return found
  }
  return {
    byId,
    find,
    async create(reference, given, email) {
      const account = await accounts.find(reference)
      const name = checkedName(given)
      if ((await byName(account.id, name)) !== null)
        throw new AdministrationError('exists', `account "${account.name}" has a user "${name}" already`)
      const user: User = {
        id: newPrincipalId(),
        account: account.id,
        name,
        email: email === null ? null : checkedEmail(email),
        createdAt: clock(),
        disabled: false,
      }
      const { id, createdAt } = user
      const row = { id, account: user.account, name, email: user.email, created_at: createdAt, disabled_at: null }
      await database.insertInto('users').values(row).execute()
      return user
    },
    async list(reference) {
      const account = await accounts.find(reference)
      const rows = await database
        .selectFrom('users')
        .selectAll()
        .where('account', '=', account.id)
        .orderBy('name')
        .execute()
      return rows.map(userOf)
    },
    async setEmail(reference, given) {
      const { id } = await find(reference)
      const email = given === null ? null : checkedEmail(given)
      await database.updateTable('users').set({ email }).where('id', '=', id).execute()
      cache.delete(id)
    },
    async disable(reference) {
      const user = await find(reference)
      if (user.id === user.account)
        throw new AdministrationError('refused', "an account's own user goes with it: disable the account")
      await database.updateTable('users').set({ disabled_at: clock() }).where('id', '=', user.id).execute()
      cache.delete(user.id)
    },
    async idsByEmail(email) {
      const rows = await database
        .selectFrom('users')
        .select('id')
        .where('email', '=', email.trim().toLowerCase())
        .where('disabled_at', 'is', null)
        .limit(SAME_EMAIL_MAX)
        .execute()
      return rows.map(each => each.id)
    },
  }
}

function userOf({ id, account, name, email, created_at, disabled_at }: KeystoreSchema['users']): User {
  return { id, account, name, email, createdAt: created_at, disabled: disabled_at !== null }
}
