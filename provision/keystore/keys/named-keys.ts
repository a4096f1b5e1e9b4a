import type { Kysely } from 'kysely'
import { AdministrationError } from '../../../format/administration.ts'
import type { MemberKind } from '../../../format/directory.ts'
import { KEY_USERS_MAX, type MasterKey } from '../../../format/master-keys.ts'
import type { Token } from '../../../hsm/token.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import type { Accounts } from '../people/accounts.ts'
import type { Groups } from '../people/groups.ts'
import { checkedName, newPrincipalId } from '../people/names.ts'
import type { Users } from '../people/users.ts'
import type { KnownKey, MasterKeys } from './master-keys.ts'
import { masterLabel, openingKeyOf } from './token-keys.ts'

/** Keys of an account besides its own, and who may use them. Every change counts from its answer on. */
export type NamedKeys = {
  create(account: string, name: string): Promise<MasterKey>
  disable(key: string): Promise<void>
  enable(key: string): Promise<void>
  grant(key: string, kind: MemberKind, member: string): Promise<void>
  revoke(key: string, kind: MemberKind, member: string): Promise<void>
}

export function namedKeysOf(on: {
  database: Kysely<KeystoreSchema>
  token: Token
  accounts: Pick<Accounts, 'find'>
  masters: MasterKeys
  users: Pick<Users, 'find'>
  groups: Pick<Groups, 'show'>
  clock: () => number
}): NamedKeys {
  const { database, token, accounts, masters, users, groups, clock } = on

  const find = async (reference: string): Promise<KnownKey> => {
    const key = await masters.find(reference)
    if (key.name === '')
      throw new AdministrationError(
        'refused',
        "an account's own key: ACLs say who reads under it; switch the account off",
      )
    if (key.destroyed) throw new AdministrationError('state', 'the key was destroyed')
    return key
  }
  const memberId = async (kind: MemberKind, reference: string): Promise<string> =>
    kind === 'user' ? (await users.find(reference)).id : (await groups.show(reference)).id
  const set = async (reference: string, disabled_at: number | null): Promise<void> => {
    const { id } = await find(reference)
    await database.updateTable('master_keys').set({ disabled_at }).where('id', '=', id).execute()
    masters.forget(id)
  }
  return {
    async create(reference, given) {
      const account = await accounts.find(reference)
      if (account.disabled) throw new AdministrationError('state', `account "${account.name}" is disabled`)
      const name = checkedName(given)
      const keys = await masters.list(account.id)
      if (keys.some(each => each.name === name))
        throw new AdministrationError('exists', `account "${account.name}" has or had a key "${name}"`)
      const id = newPrincipalId()
      // the pair first: a crash here leaves one that nobody names
      const { suite, spki } = await openingKeyOf(token, masterLabel({ id, account: account.id }, 1))
      const row = { id, account: account.id, name, version: 1, suite, spki, created_at: clock() }
      await database
        .insertInto('master_keys')
        .values({ ...row, disabled_at: null, destroyed_at: null })
        .execute()
      return masters.find(id)
    },
    disable: key => set(key, clock()),
    enable: key => set(key, null),
    async grant(reference, kind, member) {
      const { id, users: there } = await find(reference)
      if (there.length >= KEY_USERS_MAX)
        throw new AdministrationError('state', `${KEY_USERS_MAX} may use the key already: name a group`)
      await database
        .insertInto('master_key_users')
        .values({ master: id, kind, member: await memberId(kind, member) })
        .onConflict(conflict => conflict.doNothing())
        .execute()
      masters.forget(id)
    },
    async revoke(reference, kind, member) {
      const { id } = await find(reference)
      const gone = await database
        .deleteFrom('master_key_users')
        .where('master', '=', id)
        .where('kind', '=', kind)
        .where('member', '=', await memberId(kind, member))
        .executeTakeFirst()
      masters.forget(id)
      if (gone.numDeletedRows === 0n)
        throw new AdministrationError('not-found', `"${member}" is not among those who may use the key`)
    },
  }
}
