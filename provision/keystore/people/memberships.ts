import type { Kysely } from 'kysely'
import { MEMBERSHIPS_MAX } from '../../../format/release.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import { Lru } from '../lru.ts'

/** What somebody is a member of at this moment: every group, nested ones too, and the domains he belongs to. */
export type Membership = {
  groups: ReadonlySet<string>
  domains: ReadonlySet<string>
  lists: { groups: string[]; domains: string[] }
}

/** What an identity provider says of somebody: groups of ours that his claims stand for, and his verified domain. */
export type ClaimedMembership = { groups: string[]; domain: string | null }

export type Memberships = {
  /**
   * Domains are those of his account; of somebody whom an identity provider names, the one that it verified, where it is the account's.
   * @param claimed - null: no provider says anything
   */
  of(user: { id: string; account: string }, claimed: ClaimedMembership | null): Promise<Membership>
  /** Something changed: whoever is asked for next is looked up again. */
  forget(): void
}

/** Groups in groups are followed so far; what lies deeper gives nothing (rule 10). */
export const NESTING_MAX = 8
const CACHED_MAX = 10_000

export function membershipsOf(database: Kysely<KeystoreSchema>): Memberships {
  let cache = new Lru<string, Membership>(CACHED_MAX)
  const groupsWith = async (kind: 'user' | 'group', members: string[]): Promise<string[]> => {
    const rows = await database
      .selectFrom('members')
      .select('group_id')
      .distinct()
      .where('kind', '=', kind)
      .where('member', 'in', members)
      .orderBy('group_id')
      .limit(MEMBERSHIPS_MAX)
      .execute()
    return rows.map(each => each.group_id)
  }
  /** A group that a provider's settings name may be gone by now. */
  const existing = async (groups: string[]): Promise<string[]> => {
    if (groups.length === 0) return []
    const rows = await database.selectFrom('groups').select('id').where('id', 'in', groups).execute()
    return rows.map(each => each.id)
  }
  return {
    async of({ id, account }, claimed) {
      const name = claimed === null ? id : JSON.stringify([id, claimed.groups, claimed.domain])
      const cached = cache.get(name)
      if (cached !== undefined) return cached
      // looked up for this cache: one that a change replaces meanwhile takes its answer along
      const mine = cache
      const groups = new Set<string>()
      let found = [...(await groupsWith('user', [id])), ...(await existing(claimed?.groups ?? []))]
      for (let level = 1; found.length > 0 && level <= NESTING_MAX; level++) {
        // a circle brings nothing new, and so ends
        const fresh = found.filter(each => !groups.has(each)).slice(0, MEMBERSHIPS_MAX - groups.size)
        for (const each of fresh) groups.add(each)
        found = fresh.length === 0 || level === NESTING_MAX ? [] : await groupsWith('group', fresh)
      }
      const rows = await database
        .selectFrom('domains')
        .select('domain')
        .where('account', '=', account)
        .orderBy('domain')
        .limit(MEMBERSHIPS_MAX)
        .execute()
      const domains = rows.map(each => each.domain).filter(each => claimed === null || each === claimed.domain)
      const membership = { groups, domains: new Set(domains), lists: { groups: [...groups], domains } }
      mine.set(name, membership)
      return membership
    },
    forget() {
      cache = new Lru(CACHED_MAX)
    },
  }
}
