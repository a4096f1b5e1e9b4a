import { z } from 'zod'
import { domainOf } from '../../../access/acl/domain.ts'
import type { Issuer } from '../../../format/identity.ts'
import { LoginError } from '../../../format/login.ts'
import { Lru } from '../lru.ts'
import type { Fetch } from './bounded-fetch.ts'
import { type Claimed, claimedBy } from './claims.ts'
import type { Issuers } from './issuers.ts'

/** Asks a service whether a name and a password belong together. Neither is kept, logged, or told to anybody else. */
export type Passwords = {
  /** @throws LoginError "refused" | "slow-down" | "unavailable" */
  check(issuer: Issuer, who: { username: string; password: string; address: string }): Promise<Claimed>
}

/** The contract: docs/password-service.md. */
const answer = z.object({
  subject: z.string().min(1).max(256),
  name: z.string().max(256).optional(),
  email: z.string().max(320).optional(),
  groups: z.array(z.string().max(256)).max(1000).optional(),
  domain: z.string().max(253).optional(),
})

const WINDOW_MS = 15 * 60_000
const FIRST_WAIT_MS = 30_000
/** A person mistypes; an address may be that of many people. */
const FREE = { name: 5, address: 50 } as const
const COUNTED_MAX = 100_000
const UNDER_WAY_MAX = 32

type Failures = { count: number; last: number }

export function passwordsOf(on: { issuers: Issuers; fetch: Fetch; clock: () => number }): Passwords {
  const { issuers, fetch, clock } = on
  const failures = new Lru<string, Failures>(COUNTED_MAX)
  let underWay = 0

  const requireFewFailures = (kind: keyof typeof FREE, name: string): void => {
    const found = failures.get(`${kind} ${name}`)
    if (found === undefined || found.count < FREE[kind]) return
    const wait = Math.min(WINDOW_MS, FIRST_WAIT_MS * 2 ** Math.min(20, found.count - FREE[kind]))
    // either way: a clock may be set back
    if (Math.abs(clock() - found.last) < wait) throw new LoginError('slow-down', 'too many failures: try again later')
  }
  const count = (kind: keyof typeof FREE, name: string): void => {
    const found = failures.get(`${kind} ${name}`)
    const recent = found !== undefined && Math.abs(clock() - found.last) < WINDOW_MS ? found.count : 0
    failures.set(`${kind} ${name}`, { count: recent + 1, last: clock() })
  }
  /** It was no failure after all. */
  const uncount = (kind: keyof typeof FREE, name: string): void => {
    const found = failures.get(`${kind} ${name}`)
    if (found !== undefined) failures.set(`${kind} ${name}`, { ...found, count: Math.max(0, found.count - 1) })
  }
  const asked = async (issuer: Issuer, username: string, password: string) => {
    const secret = await issuers.secretOf(issuer)
    try {
      return await fetch(issuer.url, {
        method: 'POST',
        headers: {
          ...{ 'content-type': 'application/json', accept: 'application/json' },
          ...(secret !== null && { authorization: `Bearer ${secret}` }),
        },
        body: JSON.stringify({ username, password }),
      })
    } catch (cause) {
      throw new LoginError('unavailable', 'the password service does not answer', { cause })
    }
  }
  return {
    async check(issuer, { username, password, address }) {
      const name = `${issuer.id}\n${username.toLowerCase()}`
      requireFewFailures('name', name)
      requireFewFailures('address', address)
      if (underWay >= UNDER_WAY_MAX) throw new LoginError('slow-down', 'too many at once: try again')
      // counted before it is asked: many guesses at once are not one
      count('name', name)
      count('address', address)
      underWay++
      try {
        const { status, body } = await asked(issuer, username, password)
        if (status === 401) throw new LoginError('refused', 'name and password do not belong together')
        if (status === 429 || status === 503) throw new LoginError('slow-down', 'the password service is busy')
        if (status !== 200) throw new LoginError('unavailable', `the password service answers with status ${status}`)
        const who = read(body, issuer)
        failures.delete(`name ${name}`)
        uncount('address', address)
        return who
      } catch (error) {
        if (!(error instanceof LoginError && error.fault === 'refused')) {
          uncount('name', name)
          uncount('address', address)
        }
        throw error
      } finally {
        underWay--
      }
    },
  }
}

/** @throws LoginError "unavailable" */
function read(body: Buffer, issuer: Issuer): Claimed {
  try {
    const { subject, email, groups, domain } = answer.parse(JSON.parse(body.toString('utf8')))
    // the service is asked by us alone: what it says of an address and a domain is verified
    const claims = { sub: subject, email, email_verified: true, [issuer.groupsClaim]: groups, hd: domain }
    const who = claimedBy(claims, issuer)
    if (who !== null) return { ...who, domain: domain === undefined ? who.domain : domainOf(domain) }
  } catch (cause) {
    throw new LoginError('unavailable', 'the password service answers out of form', { cause })
  }
  throw new LoginError('unavailable', 'the password service names nobody')
}
