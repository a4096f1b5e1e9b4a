import type { Issuer } from '../../../format/identity.ts'
import { type Login, LoginError, type Session } from '../../../format/login.ts'
import { ReleaseError } from '../../../format/release.ts'
import type { Audit } from '../audit.ts'
import type { Users } from '../people/users.ts'
import type { Claimed } from '../providers/claims.ts'
import type { ExternalUsers } from '../providers/external-users.ts'
import type { Issuers } from '../providers/issuers.ts'
import type { Passwords } from '../providers/passwords.ts'
import type { CodeFlow } from './code-flow.ts'
import type { LoginOrigins } from './login-origins.ts'
import type { ReturnAddresses } from './return-address.ts'
import type { Sessions } from './sessions.ts'

/** Logging in, each success and each refusal on record. */
export function loginOf(on: {
  issuers: Issuers
  origins: LoginOrigins
  returnAddresses: ReturnAddresses
  codeFlow: CodeFlow
  passwords: Passwords
  externalUsers: ExternalUsers
  sessions: Sessions
  users: Pick<Users, 'byId'>
  audit: Audit
}): Login {
  const { issuers, origins, returnAddresses, codeFlow, passwords, externalUsers, sessions, users, audit } = on

  const originOf = async (host: string): Promise<string> => {
    const origin = await origins.ofHost(host)
    if (origin === null) throw new LoginError('off', 'nobody logs in at this host')
    return origin
  }
  const backOf = async (signed: string, origin: string): Promise<string> =>
    (await returnAddresses.open(signed)) ?? `${origin}${SESSION_PAGE}`
  const session = async (issuer: Issuer, who: Claimed, origin: string, back: string): Promise<Session> => {
    const user = await externalUsers.userOf(issuer, who)
    return { ...sessions.mint({ ...who, user }, issuer, origin), back: await backOf(back, origin) }
  }
  /** @param who - once it is known */
  const recorded = async (who: () => string, work: () => Promise<Session>): Promise<Session> => {
    const entry = { what: 'login', about: '' }
    try {
      const made = await work()
      await audit.write({ ...entry, who: who(), outcome: 'done' })
      return made
    } catch (cause) {
      const error = loginError(cause)
      await audit.write({ ...entry, who: who(), outcome: `${error.fault}: ${error.message}` })
      throw error
    }
  }
  /** Of a client that names no service: the one before the slash, or the only one. */
  const passwordIssuer = async (named: string | null, username: string): Promise<{ issuer: Issuer; name: string }> => {
    const all = (await issuers.list()).filter(each => each.kind === 'password')
    if (named !== null) {
      const issuer = all.find(each => each.id === named)
      if (issuer !== undefined) return { issuer, name: username }
    } else {
      const cut = username.indexOf('/')
      const before = cut < 0 ? undefined : all.find(each => each.name === username.slice(0, cut))
      if (before !== undefined) return { issuer: before, name: username.slice(cut + 1) }
      const [only, second] = all
      if (only !== undefined && second === undefined) return { issuer: only, name: username }
    }
    throw new LoginError('refused', 'no such password service')
  }
  return {
    origins: origins.list,
    async choices() {
      const usable = (await issuers.list()).filter(each => each.kind === 'password' || each.clientId !== null)
      return usable.map(({ id, name, kind }) => ({ issuer: id, name, kind }))
    },
    offer: returnAddresses.sign,
    async begin(host, id, back) {
      const origin = await originOf(host)
      const issuer = await issuers.byId(id)
      if (issuer === null || issuer.kind !== 'oidc') throw new LoginError('refused', 'no such identity provider')
      return codeFlow.begin(issuer, origin, back).catch(cause => {
        throw loginError(cause)
      })
    },
    async finish(host, attempt, answer) {
      const origin = await originOf(host)
      let name = 'somebody'
      return recorded(
        () => name,
        async () => {
          const { issuer, who, back } = await codeFlow.finish(origin, attempt, answer)
          name = `${who.subject} at ${issuer.name}`
          return session(issuer, who, origin, back)
        },
      )
    },
    async password({ host, issuer: named, username, password, address, back }) {
      const origin = await originOf(host)
      const shown = `${JSON.stringify(username.slice(0, 64))} from ${address.slice(0, 64)}`
      return recorded(
        () => shown,
        async () => {
          const { issuer, name } = await passwordIssuer(named, username)
          return session(issuer, await passwords.check(issuer, { username: name, password, address }), origin, back)
        },
      )
    },
    async whose(ticket) {
      const id = await sessions.user(ticket)
      return id === null ? null : ((await users.byId(id))?.name ?? null)
    },
    end: sessions.end,
  }
}

/** Where a browser goes that came from nowhere. */
const SESSION_PAGE = '/.sealift/session'

export function loginError(cause: unknown): LoginError {
  if (cause instanceof LoginError) return cause
  if (cause instanceof ReleaseError) {
    const fault = cause.fault === 'unavailable' ? 'unavailable' : 'refused'
    return new LoginError(fault, cause.message, { cause })
  }
  return new LoginError('unavailable', 'the authority failed inside', { cause })
}
