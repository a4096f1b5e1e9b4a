import type { Who } from '../../../access/acl/decide.ts'
import { askOfEncryption } from '../../../access/encryption.ts'
import { AdministrationError } from '../../../format/administration.ts'
import type { BoundEncryption } from '../../../format/release.ts'
import type { RequestProof } from '../../../format/request-proof.ts'
import { denied } from '../refusal.ts'
import type { KnownKey, MasterKeys } from './master-keys.ts'

/** The key that a new object is sealed under. `encryption` null: the account's own. */
export type AskedKey = { master: string; encryption: BoundEncryption | null }

/** Whether the caller may use the key. An account's own asks nothing: ACLs decide alone. Nobody who is not known uses a named one. */
export function mayUse(key: KnownKey, who: Who): boolean {
  if (key.name === '') return true
  if (who.kind !== 'known') return false
  return key.users.some(({ kind, member }) => (kind === 'user' ? member === who.id : who.groups.has(member)))
}

/**
 * What the request asks for, read from what it signed.
 * @param account - whose object it will be
 * @throws ReleaseError "denied" - no such key, not for this caller, or switched off: which it is says the audit
 * @throws AccessError - headers that say nothing
 */
export async function askedKey(
  masters: Pick<MasterKeys, 'find' | 'usable'>,
  asking: { proof: RequestProof; who: Who },
  account: string,
): Promise<AskedKey> {
  const ask = askOfEncryption(asking.proof)
  if (ask.kind !== 'named') return { master: account, encryption: null }
  const { id, name } = await masters.find(ask.key).catch(cause => {
    throw cause instanceof AdministrationError ? denied(cause.message) : cause
  })
  if (name === '') throw denied("an account's own key is not asked for by name")
  if (!mayUse(await masters.usable(id), asking.who)) throw denied('the caller may not use this key')
  return { master: id, encryption: { key: id, context: ask.context } }
}
