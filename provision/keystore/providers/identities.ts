import type { IdentityAdministration } from '../../../format/identity.ts'
import type { LoginOrigins } from '../login/login-origins.ts'
import type { Users } from '../people/users.ts'
import type { ExternalUsers } from './external-users.ts'
import type { Issuers } from './issuers.ts'

/** What the operator says of identity providers, of those whom they name, and of hosts that browsers log in at. */
export function identitiesOf(on: {
  issuers: Issuers
  externalUsers: ExternalUsers
  users: Pick<Users, 'find'>
  origins: LoginOrigins
}): IdentityAdministration {
  const { issuers, externalUsers, users, origins } = on
  return {
    addIssuer: issuers.add,
    listIssuers: issuers.list,
    removeIssuer: issuers.remove,
    linkUser: async (user, issuer, subject) =>
      externalUsers.link(await users.find(user), await issuers.find(issuer), subject),
    unlinkUser: async (issuer, subject) => externalUsers.unlink(await issuers.find(issuer), subject),
    addLoginOrigin: origins.add,
    listLoginOrigins: origins.list,
    removeLoginOrigin: origins.remove,
  }
}
