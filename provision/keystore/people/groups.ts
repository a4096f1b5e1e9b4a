import type { Kysely } from 'kysely'
import { AdministrationError } from '../../../format/administration.ts'
import type { Group, Member, MemberKind } from '../../../format/directory.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import type { Accounts } from './accounts.ts'
import type { Memberships } from './memberships.ts'
import { checkedDomain, checkedEmail, checkedName, newPrincipalId } from './names.ts'
import type { Users } from './users.ts'

/** Groups of accounts, who is in them, and domains. Every change counts from its answer on. */
export type Groups = {
  create(account: string, name: string, email: string | null): Promise<Group>
  list(account: string): Promise<Group[]>
  show(group: string): Promise<Group & { members: Member[] }>
  remove(group: string): Promise<void>
  addMember(group: string, kind: MemberKind, member: string): Promise<void>
  removeMember(group: string, kind: MemberKind, member: string): Promise<void>
  addDomain(account: string, domain: string): Promise<void>
  removeDomain(account: string, domain: string): Promise<void>
  isGroup(id: string): Promise<boolean>
  idsByEmail(email: string): Promise<string[]>
}

const SAME_EMAIL_MAX = 2

export function groupsOf(on: {
  database: Kysely<KeystoreSchema>
  accounts: Accounts
  users: Users
  memberships: Memberships
  clock: () => number
}): Groups {
  const { database, accounts, users, memberships, clock } = on
  const find = async (reference: string): Promise<Group> => {
    const cut = reference.indexOf('/')
    const all = database.selectFrom('groups').selectAll()
    const row =
      cut < 0
        ? await all.where('id', '=', reference).executeTakeFirst()
        : await all
            .where('account', '=', (await accounts.find(reference.slice(0, cut))).id)
            .where('name', '=', reference.slice(cut + 1))
            .executeTakeFirst()
    if (row === undefined)
      throw new AdministrationError('not-found', `no group "${reference}": want an id, or account/name`)
    return groupOf(row)
  }
  const memberId = async (kind: MemberKind, reference: string): Promise<string> =>
    kind === 'user' ? (await users.find(reference)).id : (await find(reference)).id
  return {
    async create(reference, given, email) {
      const account = await accounts.find(reference)
      const name = checkedName(given)
      const taken = await database
        .selectFrom('groups')
        .select('id')
        .where('account', '=', account.id)
        .where('name', '=', name)
        .executeTakeFirst()
      if (taken !== undefined)
        throw new AdministrationError('exists', `account "${account.name}" has a group "${name}" already`)
      const row = {
        id: newPrincipalId(),
        account: account.id,
        name,
        email: email === null ? null : checkedEmail(email),
        created_at: clock(),
      }
      await database.insertInto('groups').values(row).execute()
      return groupOf(row)
    },
    async list(reference) {
      const account = await accounts.find(reference)
      const rows = await database
        .selectFrom('groups')
        .selectAll()
        .where('account', '=', account.id)
        .orderBy('name')
        .execute()
      return rows.map(groupOf)
    },
    async show(reference) {
      const group = await find(reference)
      const rows = await database
        .selectFrom('members')
        .leftJoin('users', join => join.onRef('users.id', '=', 'members.member').on('members.kind', '=', 'user'))
        .leftJoin('groups', join => join.onRef('groups.id', '=', 'members.member').on('members.kind', '=', 'group'))
        .select(['members.kind', 'members.member', 'users.name as user_name', 'groups.name as group_name'])
        .where('members.group_id', '=', group.id)
        .orderBy('members.kind')
        .orderBy('members.member')
        .execute()
      const members = rows.map(row => ({
        kind: row.kind,
        id: row.member,
        name: row.user_name ?? row.group_name ?? '',
      }))
      return { ...group, members }
    },
    async remove(reference) {
      const group = await find(reference)
      await database.transaction().execute(async change => {
        await change
          .deleteFrom('members')
          .where(row =>
            row.or([
              row('group_id', '=', group.id),
              row.and([row('kind', '=', 'group'), row('member', '=', group.id)]),
            ]),
          )
          .execute()
        await change.deleteFrom('groups').where('id', '=', group.id).execute()
      })
      memberships.forget()
    },
    async addMember(reference, kind, member) {
      const group = await find(reference)
      const row = { group_id: group.id, kind, member: await memberId(kind, member) }
      await database
        .insertInto('members')
        .values(row)
        .onConflict(conflict => conflict.doNothing())
        .execute()
      memberships.forget()
    },
    async removeMember(reference, kind, member) {
      const group = await find(reference)
      const id = await memberId(kind, member)
      const gone = await database
        .deleteFrom('members')
        .where('group_id', '=', group.id)
        .where('kind', '=', kind)
        .where('member', '=', id)
        .executeTakeFirst()
      memberships.forget()
      if (gone.numDeletedRows === 0n)
        throw new AdministrationError('not-found', `"${member}" is no member of "${group.name}"`)
    },
    async addDomain(reference, given) {
      const account = await accounts.find(reference)
      const domain = checkedDomain(given)
      const row = await database.selectFrom('domains').select('account').where('domain', '=', domain).executeTakeFirst()
      if (row !== undefined && row.account !== account.id)
        throw new AdministrationError('exists', `${domain} is another account's`)
      await database
        .insertInto('domains')
        .values({ domain, account: account.id })
        .onConflict(conflict => conflict.doNothing())
        .execute()
      memberships.forget()
    },
    async removeDomain(reference, given) {
      const account = await accounts.find(reference)
      const domain = checkedDomain(given)
      const gone = await database
        .deleteFrom('domains')
        .where('domain', '=', domain)
        .where('account', '=', account.id)
        .executeTakeFirst()
      memberships.forget()
      if (gone.numDeletedRows === 0n)
        throw new AdministrationError('not-found', `${domain} is none of account "${account.name}"`)
    },
    async isGroup(id) {
      return (await database.selectFrom('groups').select('id').where('id', '=', id).executeTakeFirst()) !== undefined
    },
    async idsByEmail(email) {
      const rows = await database
        .selectFrom('groups')
        .select('id')
        .where('email', '=', email.trim().toLowerCase())
        .limit(SAME_EMAIL_MAX)
        .execute()
      return rows.map(each => each.id)
    },
  }
}

function groupOf({ id, account, name, email, created_at }: KeystoreSchema['groups']): Group {
  return { id, account, name, email, createdAt: created_at }
}
