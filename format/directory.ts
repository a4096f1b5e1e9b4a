import { args, type Calls, count, flag, listOf, nothing, nullable, oneOf, record, text } from './codec.ts'

/**
 * Who there is, as the operator keeps it: users and groups of accounts, and domains. ACLs give rights to these; membership counts from the
 * answer of the call that changes it.
 *
 * A user or group is named by its id or as `account/name`; an account's own user, who is there from its beginning, by the account alone.
 */
export interface DirectoryAdministration {
  /** Fault `exists`: the account has one of that name. `email` null: none; several users may have the same one. */
  createUser(account: string, name: string, email: string | null): Promise<User>
  listUsers(account: string): Promise<User[]>
  /** What ACLs may name the user by from now on; entries that are there name him by id. null: nothing. */
  setEmail(user: string, email: string | null): Promise<void>
  /** Signs nothing any more from the next request on; what he owns stays. Fault `refused` for an account's own user. */
  disableUser(user: string): Promise<void>
  createGroup(account: string, name: string, email: string | null): Promise<Group>
  listGroups(account: string): Promise<Group[]>
  showGroup(group: string): Promise<Group & { members: Member[] }>
  /** ACLs that name it give nobody anything by it from now on. */
  deleteGroup(group: string): Promise<void>
  /** Fault `not-found`. Doing it again changes nothing. A circle of groups adds nobody. */
  addMember(group: string, kind: MemberKind, member: string): Promise<void>
  removeMember(group: string, kind: MemberKind, member: string): Promise<void>
  /** The operator has verified that the domain is the account's: all its users belong to it. Fault `exists`: another account's. */
  addDomain(account: string, domain: string): Promise<void>
  removeDomain(account: string, domain: string): Promise<void>
}

export type User = {
  id: string
  account: string
  name: string
  email: string | null
  createdAt: number
  disabled: boolean
}
export type Group = { id: string; account: string; name: string; email: string | null; createdAt: number }
export const MEMBER_KINDS = ['user', 'group'] as const
export type MemberKind = (typeof MEMBER_KINDS)[number]
export type Member = { kind: MemberKind; id: string; name: string }

const MOST = 100_000
const EMAIL_BYTES = 320
const reference = text(260)
const email = nullable(text(EMAIL_BYTES))
const user = record<User>({
  id: text(128),
  account: text(128),
  name: text(128),
  email,
  createdAt: count(),
  disabled: flag,
})
const groupFields = { id: text(128), account: text(128), name: text(128), email, createdAt: count() }
const group = record<Group>(groupFields)
const kind = oneOf(MEMBER_KINDS)
const member = record<Member>({ kind, id: text(128), name: text(128) })

export const DIRECTORY_CALLS: Calls<DirectoryAdministration> = {
  createUser: { ask: args(reference, reference, email), answer: user },
  listUsers: { ask: args(reference), answer: listOf(user, MOST) },
  setEmail: { ask: args(reference, email), answer: nothing },
  disableUser: { ask: args(reference), answer: nothing },
  createGroup: { ask: args(reference, reference, email), answer: group },
  listGroups: { ask: args(reference), answer: listOf(group, MOST) },
  showGroup: {
    ask: args(reference),
    answer: record<Group & { members: Member[] }>({ ...groupFields, members: listOf(member, MOST) }),
  },
  deleteGroup: { ask: args(reference), answer: nothing },
  addMember: { ask: args(reference, kind, reference), answer: nothing },
  removeMember: { ask: args(reference, kind, reference), answer: nothing },
  addDomain: { ask: args(reference, reference), answer: nothing },
  removeDomain: { ask: args(reference, reference), answer: nothing },
}
