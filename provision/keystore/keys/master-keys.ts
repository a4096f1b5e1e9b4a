import type { Kysely } from 'kysely'
import { AdministrationError } from '../../../format/administration.ts'
import type { MasterKey } from '../../../format/master-keys.ts'
import { type OpeningSuite, type PublicKey, wrapSuite } from '../../../format/wrap-suite.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import { Lru } from '../lru.ts'
import type { Accounts } from '../people/accounts.ts'
import { denied } from '../refusal.ts'

/** A key of an account, and its public half of now. */
export type KnownKey = MasterKey & { pair: PublicKey & { suite: OpeningSuite } }

/** The keys that epochs are sealed to. As of accounts, what is cached is forgotten in the very call that changes it. */
export type MasterKeys = {
  byId(id: string): Promise<KnownKey | null>
  /** By `account/name`, id, or an account for its own. Fault `not-found`. */
  find(reference: string): Promise<KnownKey>
  list(account: string): Promise<KnownKey[]>
  /** That is neither destroyed nor switched off, nor its account. @throws ReleaseError "denied" */
  usable(id: string): Promise<KnownKey>
  forget(id: string): void
}

const CACHED_MAX = 10_000

export function masterKeysOf(database: Kysely<KeystoreSchema>, accounts: Accounts): MasterKeys {
  const cache = new Lru<string, KnownKey>(CACHED_MAX)
  const read = async (row: KeystoreSchema['master_keys']): Promise<KnownKey> => {
    const users = await database
      .selectFrom('master_key_users')
      .select(['kind', 'member'])
      .where('master', '=', row.id)
      .orderBy('kind')
      .orderBy('member')
      .execute()
    const { id, account, name, version, created_at: createdAt } = row
    const [disabled, destroyed] = [row.disabled_at !== null, row.destroyed_at !== null]
    const pair = { suite: openable(row.suite), spki: row.spki }
    return { id, account, name, version, createdAt, disabled, destroyed, users, pair }
  }
  const byId: MasterKeys['byId'] = async id => {
    const cached = cache.get(id)
    if (cached !== undefined) return cached
    const { forgotten } = cache
    const row = await database.selectFrom('master_keys').selectAll().where('id', '=', id).executeTakeFirst()
    if (row === undefined) return null
    const key = await read(row)
    cache.setUnless(forgotten, id, key)
    return key
  }
  const named = async (account: string, name: string): Promise<KnownKey | null> => {
    const rows = database.selectFrom('master_keys').selectAll().where('account', '=', account)
    const row = await rows.where('name', '=', name).executeTakeFirst()
    return row === undefined ? null : read(row)
  }
  return {
    byId,
    async find(reference) {
      const cut = reference.indexOf('/')
      const found =
        cut < 0
          ? ((await byId(reference)) ?? (await byId((await accounts.find(reference)).id)))
          : await named((await accounts.find(reference.slice(0, cut))).id, reference.slice(cut + 1))
      if (found === null || (cut >= 0 && found.name === ''))
        throw new AdministrationError('not-found', `no key "${reference}": want account/name, an account, or an id`)
      return found
    },
    async list(account) {
      const { id } = await accounts.find(account)
      const rows = await database
        .selectFrom('master_keys')
        .selectAll()
        .where('account', '=', id)
        .orderBy('name')
        .execute()
      return Promise.all(rows.map(read))
    },
    async usable(id) {
      const key = await byId(id)
      if (key === null) throw denied('there is no such master key')
      if (key.destroyed) throw denied('the master key was destroyed')
      const account = await accounts.byId(key.account)
      if (key.disabled || account === null || account.disabled) throw denied('the master key is switched off')
      return key
    },
    forget: id => cache.delete(id),
  }
}

function openable(suite: number): OpeningSuite {
  const found = wrapSuite(suite)
  if (found === 0x0010 || found === 0x0020) return found
  throw new AdministrationError('tampered', `master key: suite ${suite}, with which none is made`)
}
