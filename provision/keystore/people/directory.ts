import type { Kysely } from 'kysely'
import type { Directory } from '../../../access/acl/grantees.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import type { Groups } from './groups.ts'
import type { Users } from './users.ts'

/** Who there is, as ACLs name them. */
export function directoryOf(users: Users, groups: Groups): Directory {
  return {
    user: async id => (await users.byId(id)) !== null,
    group: groups.isGroup,
    usersByEmail: users.idsByEmail,
    groupsByEmail: groups.idsByEmail,
  }
}

/** Names of users and groups by id; null: nobody's. */
export function namesOf(database: Kysely<KeystoreSchema>): (ids: string[]) => Promise<(string | null)[]> {
  return async ids => {
    if (ids.length === 0) return []
    const found = new Map<string, string>()
    for (const table of ['users', 'groups'] as const)
      for (const { id, name } of await database
        .selectFrom(table)
        .select(['id', 'name'])
        .where('id', 'in', ids)
        .execute())
        found.set(id, name)
    return ids.map(id => found.get(id) ?? null)
  }
}
