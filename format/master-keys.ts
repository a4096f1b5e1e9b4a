import { args, bytes, type Calls, count, flag, listOf, nothing, nullable, oneOf, record, text } from './codec.ts'
import { DESTRUCTION_FILE_LIMIT } from './destruction.ts'
import { MEMBER_KINDS, type MemberKind } from './directory.ts'

/**
 * Keys of accounts in the provider's token, under which epochs are sealed: each account's own, and named ones besides.
 *
 * A key is named as `account/name` or by its id; an account's own by the account alone. `by`: who asks, for record and audit.
 */
export interface KeyAdministration {
  /** Makes a named key, which nobody may use yet. Fault `exists`. */
  createKey(account: string, name: string): Promise<MasterKey>
  /** Nothing under it is released from the answer on, till it is switched on again. Fault `refused`: an account's own. */
  disableKey(key: string): Promise<void>
  enableKey(key: string): Promise<void>
  /** Who may use the key: have objects sealed under it, and read those that ACLs let him read. Counts at once. */
  grantKey(key: string, kind: MemberKind, member: string): Promise<void>
  /** Fault `not-found` */
  revokeKey(key: string, kind: MemberKind, member: string): Promise<void>
  /** Every key of the account, its own first. */
  listKeys(account: string): Promise<MasterKey[]>
  /**
   * A new pair in the place of the key's: new epochs are sealed to it from the answer on, those that are there one by one meanwhile,
   * and then the old pair is destroyed. Asked again while that goes on it says how far it is. Fault `state`: destroyed.
   */
  rotateKey(key: string, by: string): Promise<KeyWork>
  keyWork(key: string): Promise<KeyWork>
  /** For good: what is under it opens never again. @returns the record, a file. Fault `state`: it was done before */
  destroyKey(key: string, by: string): Promise<Buffer>
  /** The record of a version that was destroyed, a file; `version` null: of the last. Fault `not-found` */
  keyDestruction(key: string, version: number | null): Promise<Buffer>
}

export type MasterKey = {
  id: string
  account: string
  /** empty: the account's own */
  name: string
  version: number
  createdAt: number
  disabled: boolean
  destroyed: boolean
  /** who may use it; of an account's own nobody is named, whom ACLs let read may */
  users: KeyUser[]
}
export type KeyUser = { kind: MemberKind; member: string }

/** A rotation. `stopped`: `message` says why; asked for again, and at the next start, it goes on. */
export type KeyWork = {
  state: (typeof KEY_WORK_STATES)[number]
  version: number
  /** epochs */
  done: number
  total: number
  message: string
}
export const KEY_WORK_STATES = ['none', 'under-way', 'stopped'] as const

/** Of one key. */
export const KEY_USERS_MAX = 1000
const KEYS_MAX = 100_000
const name = text(260)
const by = text(128)
const work = record<KeyWork>({
  state: oneOf(KEY_WORK_STATES),
  version: count(),
  done: count(),
  total: count(),
  message: text(4096),
})
const user = record<KeyUser>({ kind: oneOf(MEMBER_KINDS), member: text(128) })
const key = record<MasterKey>({
  id: text(128),
  account: text(128),
  name: text(128),
  version: count(),
  createdAt: count(),
  disabled: flag,
  destroyed: flag,
  users: listOf(user, KEY_USERS_MAX),
})
const file = bytes({ max: DESTRUCTION_FILE_LIMIT })

export const KEY_CALLS: Calls<KeyAdministration> = {
  createKey: { ask: args(name, text(128)), answer: key },
  disableKey: { ask: args(name), answer: nothing },
  enableKey: { ask: args(name), answer: nothing },
  grantKey: { ask: args(name, oneOf(MEMBER_KINDS), name), answer: nothing },
  revokeKey: { ask: args(name, oneOf(MEMBER_KINDS), name), answer: nothing },
  listKeys: { ask: args(name), answer: listOf(key, KEYS_MAX) },
  rotateKey: { ask: args(name, by), answer: work },
  keyWork: { ask: args(name), answer: work },
  destroyKey: { ask: args(name, by), answer: file },
  keyDestruction: { ask: args(name, nullable(count())), answer: file },
}
