import { createLocalJWKSet, errors, type JWTVerifyGetKey } from 'jose'
import { z } from 'zod'
import { ReleaseError } from '../../../format/release.ts'
import { Lru } from '../lru.ts'
import { type Fetch, trustedUrl } from './bounded-fetch.ts'

/** What an OpenID provider says of itself, fetched by the keystore. */
export type Discovered = {
  keys: JWTVerifyGetKey
  authorizationEndpoint: string | null
  tokenEndpoint: string | null
}

/** Keys of OpenID providers: kept for ten minutes, asked for again at a key that is not known, but not twice within 30 s. */
export type IssuerKeys = {
  /** @throws ReleaseError "unavailable" - the provider does not answer as it must */
  of(url: string): Promise<Discovered>
  /** For a token that names a key which is not among them; the same as before when they were fetched a moment ago. */
  again(url: string): Promise<Discovered>
}

const FRESH_MS = 10 * 60_000
/** For so long, keys that are not fresh serve on where the provider does not answer. */
const STALE_MS = 60 * 60_000
const COOLDOWN_MS = 30_000
const ISSUERS_MAX = 100

const document = z.object({
  issuer: z.string(),
  jwks_uri: z.string(),
  authorization_endpoint: z.string().optional(),
  token_endpoint: z.string().optional(),
})
/** Public keys only: a secret one in such a set would be everybody's. */
const keySet = z.object({ keys: z.array(z.looseObject({ kty: z.string() })).max(100) })
const PUBLIC = new Set(['RSA', 'EC', 'OKP'])

type Kept = { discovered: Discovered; fetchedAt: number }

export function issuerKeysOf({ fetch, clock }: { fetch: Fetch; clock: () => number }): IssuerKeys {
  const kept = new Lru<string, Kept>(ISSUERS_MAX)
  const tried = new Lru<string, number>(ISSUERS_MAX)
  const under = new Map<string, Promise<Discovered>>()

  const json = async (url: string): Promise<unknown> => {
    const { status, body } = await fetch(url, { headers: { accept: 'application/json' } })
    if (status !== 200) throw new Error(`${url}: status ${status}`)
    return JSON.parse(body.toString('utf8'))
  }
  const load = async (url: string): Promise<Discovered> => {
    const found = document.parse(await json(`${url.replace(/\/$/, '')}/.well-known/openid-configuration`))
    // or one provider could speak for another: OpenID Connect Discovery 1.0 §4.3
    if (found.issuer !== url)
      throw new Error(`${url}: its document is of ${JSON.stringify(found.issuer.slice(0, 200))}`)
    for (const each of [found.jwks_uri, found.authorization_endpoint, found.token_endpoint])
      if (each !== undefined && trustedUrl(each) === null) throw new Error(`${url}: names an address that is not https`)
    const { keys } = keySet.parse(await json(found.jwks_uri))
    const discovered = {
      keys: createLocalJWKSet({ keys: keys.filter(key => PUBLIC.has(key.kty)) }),
      authorizationEndpoint: found.authorization_endpoint ?? null,
      tokenEndpoint: found.token_endpoint ?? null,
    }
    kept.set(url, { discovered, fetchedAt: clock() })
    return discovered
  }
  const fetched = (url: string): Promise<Discovered> => {
    const running = under.get(url)
    if (running !== undefined) return running
    tried.set(url, clock())
    const made = load(url).finally(() => under.delete(url))
    under.set(url, made)
    return made
  }
  // a clock may be set back: what lies in the future is as far from now as what lies behind
  const since = (at: number | undefined): number =>
    at === undefined ? Number.POSITIVE_INFINITY : Math.abs(clock() - at)
  const coolingDown = (url: string): boolean => since(tried.get(url)) < COOLDOWN_MS
  const away = (cause?: unknown): ReleaseError =>
    new ReleaseError('unavailable', 'the identity provider does not answer as it must', { cause })

  return {
    async of(url) {
      const known = kept.get(url)
      const age = since(known?.fetchedAt)
      if (known !== undefined && age < FRESH_MS) return known.discovered
      const usable = known !== undefined && age < STALE_MS ? known.discovered : null
      if (coolingDown(url) && !under.has(url)) {
        if (usable !== null) return usable
        throw away()
      }
      try {
        return await fetched(url)
      } catch (cause) {
        if (usable !== null) return usable
        throw away(cause)
      }
    },
    async again(url) {
      const known = kept.get(url)
      if (known !== undefined && coolingDown(url)) return known.discovered
      try {
        return await fetched(url)
      } catch (cause) {
        throw away(cause)
      }
    },
  }
}

export function isUnknownKey(error: unknown): boolean {
  return error instanceof errors.JWKSNoMatchingKey
}
