import { hash } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from 'jose'
import type { Issuer } from '../../../format/identity.ts'
import { ReleaseError } from '../../../format/release.ts'
import { Lru } from '../lru.ts'
import type { Age } from '../proofs/believed.ts'
import { type Discovered, type IssuerKeys, isUnknownKey } from './issuer-keys.ts'

/** Tokens of OpenID providers: signature, issuer, audience, times, type. */
export type Tokens = {
  /**
   * @param audiences - one of them must be among the token's
   * @param age - forgiven: judged as of when it was issued
   * @throws ReleaseError "bad-token" - says which claim is wrong, of a good signature only; "unavailable"
   */
  verify(token: string, issuer: Issuer, audiences: readonly string[], age: Age): Promise<JWTPayload>
}

/** A token that lives longer is not taken after this time all the same: it opens everything of its bearer. */
const TOKEN_AGE_MAX_SECONDS = 3600
const VERIFIED_MAX = 2000
/** Access tokens (RFC 9068) and what says no type. */
const TYPES = new Set([undefined, 'jwt', 'at+jwt', 'application/at+jwt'])

type Verified = { claims: JWTPayload; keys: Discovered['keys'] }

export function tokensOf({ issuerKeys, clock }: { issuerKeys: IssuerKeys; clock: () => number }): Tokens {
  const verified = new Lru<string, Verified>(VERIFIED_MAX)

  const withKeys = async (
    token: string,
    issuer: Issuer,
    { audiences, now }: { audiences: readonly string[]; now: number },
    keys: Discovered['keys'],
  ) => {
    const { payload } = await jwtVerify(token, keys, {
      algorithms: issuer.algorithms,
      issuer: issuer.url,
      audience: [...audiences],
      clockTolerance: issuer.skewSeconds,
      currentDate: new Date(now),
      requiredClaims: ['exp', 'iat', 'sub'],
      maxTokenAge: TOKEN_AGE_MAX_SECONDS,
    })
    return payload
  }
  return {
    async verify(token, issuer, audiences, age) {
      if (audiences.length === 0) throw badToken('tokens of this issuer are not taken here')
      const name = hash('sha256', `${issuer.id}\n${audiences.join('\n')}\n${token}`, 'base64')
      const { keys } = await issuerKeys.of(issuer.url)
      const known = verified.get(name)
      // keys that were fetched anew judge anew
      if (known !== undefined && known.keys === keys) {
        requireTimely(known.claims, issuer, age === 'forgiven' ? issued(known.claims, clock()) : clock())
        return known.claims
      }
      try {
        const on = { audiences, now: age === 'forgiven' ? issued(decodeJwt(token), clock()) : clock() }
        const { typ } = decodeProtectedHeader(token)
        if (!TYPES.has(typ?.toLowerCase())) throw badToken('the token is of a type that proves nothing here')
        const claims = await withKeys(token, issuer, on, keys).catch(async error => {
          if (!isUnknownKey(error)) throw error
          return withKeys(token, issuer, on, (await issuerKeys.again(issuer.url)).keys)
        })
        verified.set(name, { claims, keys: (await issuerKeys.of(issuer.url)).keys })
        return claims
      } catch (cause) {
        if (cause instanceof ReleaseError) throw cause
        throw badToken(reasonOf(cause), cause)
      }
    },
  }
}

/** The issuer that a token says it is of, believed or not. @returns null - no token */
export function issuerNamedBy(token: string): string | null {
  try {
    return decodeJwt(token).iss ?? null
  } catch {
    return null // whatever it is, nobody is named
  }
}

/** ms since 1970; never later than now: a time to come is not forgiven. */
function issued({ iat }: JWTPayload, now: number): number {
  return Math.min(now, (iat ?? 0) * 1000)
}

export function badToken(message: string, cause?: unknown): ReleaseError {
  return new ReleaseError('bad-token', message, { cause })
}

function requireTimely({ exp = 0, nbf = 0, iat = 0 }: JWTPayload, { skewSeconds }: Issuer, now: number): void {
  const seconds = Math.floor(now / 1000)
  if (exp <= seconds - skewSeconds) throw badToken('the token has expired')
  if (nbf > seconds + skewSeconds) throw badToken('the token is not valid yet')
  if (seconds - iat - skewSeconds > TOKEN_AGE_MAX_SECONDS) throw badToken('the token is older than an hour')
}

function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTExpired)
    return error.claim === 'iat' ? 'the token is older than an hour' : 'the token has expired'
  if (error instanceof errors.JWTClaimValidationFailed)
    return error.claim === 'nbf'
      ? 'the token is not valid yet'
      : `the token's ${error.claim} is not what is wanted here`
  if (error instanceof errors.JOSEAlgNotAllowed) return 'the token is signed in a way that is not taken here'
  return 'the token is not signed by a key of its issuer'
}
