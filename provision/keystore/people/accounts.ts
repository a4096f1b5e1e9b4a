import { randomBytes } from 'node:crypto'
import type { Kysely } from 'kysely'
import { type AccessKey, type Account, AdministrationError } from '../../../format/administration.ts'
import type { User } from '../../../format/directory.ts'
import type { Token } from '../../../hsm/token.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import { masterLabel, openingKeyOf } from '../keys/token-keys.ts'
import { Lru } from '../lru.ts'
import type { StateKey } from '../state-key.ts'
import { checkedName, newPrincipalId } from './names.ts'

export type Credential = {
  accessKey: string
  account: string
  user: string
  name: string
  secret: string
  disabled: boolean
}

/**
 * Accounts and their access keys. This process is the only one that writes them, so what is cached here is forgotten in the very call
 * that changes it: a disabled key is refused from the next request on.
 */
export type Accounts = {
  create(name: string): Promise<Account>
  list(): Promise<Account[]>
  disable(account: string): Promise<Account>
  /** By id. */
  byId(id: string): Promise<Account | null>
  /** By id or name. Fault `not-found`. */
  find(idOrName: string): Promise<Account>
  createAccessKey(user: User, name: string): Promise<AccessKey>
  disableAccessKey(accessKey: string): Promise<void>
  credential(accessKey: string): Promise<Credential | null>
}

const CACHED_MAX = 10_000
const ACCESS_KEY_SYMBOLS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
const ACCESS_KEY_LENGTH = 16
const SECRET_BYTES = 30 // 40 characters of base64

export function accountsOf(
  database: Kysely<KeystoreSchema>,
  token: Token,
  state: StateKey,
  clock: () => number,
): Accounts {
  const accounts = new Lru<string, Account>(CACHED_MAX)
  const credentials = new Lru<string, Credential>(CACHED_MAX)

  const known = (row: KeystoreSchema['accounts']): Account => {
    const { id, name, created_at: createdAt, disabled_at } = row
    return { id, name, createdAt, disabled: disabled_at !== null }
  }
  const byId: Accounts['byId'] = async id => {
    const cached = accounts.get(id)
    if (cached !== undefined) return cached
    const { forgotten } = accounts
    const row = await database.selectFrom('accounts').selectAll().where('id', '=', id).executeTakeFirst()
    if (row === undefined) return null
    const account = known(row)
    accounts.setUnless(forgotten, id, account)
    return account
  }
  const find: Accounts['find'] = async idOrName => {
    const row = await database
      .selectFrom('accounts')
      .selectAll()
      .where(either => either.or([either('id', '=', idOrName), either('name', '=', idOrName)]))
      .executeTakeFirst()
    if (row === undefined) throw new AdministrationError('not-found', `no account "${idOrName}"`)
    return known(row)
  }
  return {
    byId,
    find,
    async create(given) {
      const name = checkedName(given)
      const taken = await database.selectFrom('accounts').select('id').where('name', '=', name).executeTakeFirst()
      if (taken !== undefined) throw new AdministrationError('exists', `there is an account "${name}" already`)
      const id = newPrincipalId()
      // the key first: a crash here leaves a key that nobody names, never an account without its key
      const { suite, spki } = await openingKeyOf(token, masterLabel({ id, account: id }, 1))
      const createdAt = clock()
      const row = { id, name, created_at: createdAt, disabled_at: null }
      const pair = { version: 1, suite, spki, disabled_at: null, destroyed_at: null }
      const own = { id, account: id, name, email: null, created_at: createdAt, disabled_at: null }
      await database.transaction().execute(async change => {
        await change.insertInto('accounts').values(row).execute()
        await change
          .insertInto('master_keys')
          .values({ id, account: id, name: '', created_at: createdAt, ...pair })
          .execute()
        await change.insertInto('users').values(own).execute()
      })
      return { id, name, createdAt, disabled: false }
    },
    async list() {
      const rows = await database.selectFrom('accounts').selectAll().orderBy('name').execute()
      return rows.map(known)
    },
    async disable(idOrName) {
      const account = await find(idOrName)
      await database.updateTable('accounts').set({ disabled_at: clock() }).where('id', '=', account.id).execute()
      accounts.delete(account.id)
      return { ...account, disabled: true }
    },
    async createAccessKey(user, name) {
      const account = await find(user.account)
      if (user.disabled) throw new AdministrationError('state', `user "${user.name}" is disabled`)
      if (account.disabled) throw new AdministrationError('state', `account "${account.name}" is disabled`)
      const symbols = [...randomBytes(ACCESS_KEY_LENGTH)].map(byte => ACCESS_KEY_SYMBOLS[byte & 31])
      const accessKey = `AKIA${symbols.join('')}`
      const secret = randomBytes(SECRET_BYTES).toString('base64')
      await database
        .insertInto('credentials')
        .values({
          access_key: accessKey,
          account: account.id,
          user: user.id,
          name: name === '' ? '' : checkedName(name),
          secret: state.seal(Buffer.from(secret, 'utf8'), `secret of ${accessKey}`),
          created_at: clock(),
          disabled_at: null,
        })
        .execute()
      return { accessKey, secret, account: account.id, user: user.id }
    },
    async disableAccessKey(accessKey) {
      const done = await database
        .updateTable('credentials')
        .set({ disabled_at: clock() })
        .where('access_key', '=', accessKey)
        .executeTakeFirst()
      credentials.delete(accessKey)
      if (done.numUpdatedRows === 0n) throw new AdministrationError('not-found', `no access key ${accessKey}`)
    },
    async credential(accessKey) {
      const cached = credentials.get(accessKey)
      if (cached !== undefined) return cached
      const { forgotten } = credentials
      const row = await database
        .selectFrom('credentials')
        .selectAll()
        .where('access_key', '=', accessKey)
        .executeTakeFirst()
      if (row === undefined) return null
      const secret = state.open(row.secret, `secret of ${accessKey}`).toString('utf8')
      const { account, user, name } = row
      const credential = { accessKey, account, user, name, secret, disabled: row.disabled_at !== null }
      credentials.setUnless(forgotten, accessKey, credential)
      return credential
    },
  }
}
