import { hash, randomBytes } from 'node:crypto'
import { z } from 'zod'
import { equalBytes } from '../../../format/bytes.ts'
import { decodeCbor, encodeCbor } from '../../../format/cbor.ts'
import { count, record, text } from '../../../format/codec.ts'
import { FormatError } from '../../../format/fault.ts'
import type { Issuer } from '../../../format/identity.ts'
import { type LoginAnswer, type LoginBegun, LoginError } from '../../../format/login.ts'
import type { Fetch } from '../providers/bounded-fetch.ts'
import { type Claimed, claimedBy } from '../providers/claims.ts'
import type { IssuerKeys } from '../providers/issuer-keys.ts'
import type { Issuers } from '../providers/issuers.ts'
import type { Tokens } from '../providers/tokens.ts'
import type { StateKey } from '../state-key.ts'

/**
 * Logging in at an OpenID provider: authorisation code with PKCE (RFC 7636), state and nonce. What is remembered between the two halves lies
 * sealed in the browser that began, so that nobody else's browser can end it.
 */
export type CodeFlow = {
  /** @throws LoginError "unavailable" | "refused" - the provider knows no such login */
  begin(issuer: Issuer, origin: string, back: string): Promise<LoginBegun>
  /** @throws LoginError "malformed" | "refused" | "unavailable" */
  finish(origin: string, attempt: string, answer: LoginAnswer): Promise<{ issuer: Issuer; who: Claimed; back: string }>
}

type Attempt = {
  issuer: string
  origin: string
  back: string
  state: string
  nonce: string
  verifier: string
  until: number
}
const ATTEMPT = record<Attempt>({
  ...{ issuer: text(128), origin: text(260), back: text(18 << 10), state: text(64), nonce: text(64) },
  ...{ verifier: text(64), until: count() },
})
const ATTEMPT_BYTES_MAX = 20 << 10
const ATTEMPT_MS = 10 * 60_000
const WHAT = 'login attempt'
export const CALLBACK = '/.sealift/login/callback'

const tokenAnswer = z.object({ id_token: z.string().max(16 << 10) })

export function codeFlowOf(on: {
  issuers: Issuers
  issuerKeys: IssuerKeys
  tokens: Tokens
  tickets: StateKey['tickets']
  fetch: Fetch
  clock: () => number
}): CodeFlow {
  const { issuers, issuerKeys, tokens, tickets, fetch, clock } = on

  const opened = (attempt: string): Attempt => {
    try {
      const plain = tickets.open(Buffer.from(attempt, 'base64url'), WHAT)
      return ATTEMPT.take(decodeCbor(plain, ATTEMPT_BYTES_MAX, WHAT), WHAT)
    } catch (cause) {
      if (!(cause instanceof FormatError)) throw cause
      throw new LoginError('malformed', 'this login was not begun in this browser', { cause })
    }
  }
  /** Exchanges the code. What the provider says when it refuses is its own affair. */
  const exchanged = async (issuer: Issuer, { verifier, origin }: Attempt, code: string): Promise<string> => {
    const { tokenEndpoint } = await issuerKeys.of(issuer.url)
    const { clientId } = issuer
    if (tokenEndpoint === null || clientId === null) throw new LoginError('refused', 'the provider knows no such login')
    const secret = await issuers.secretOf(issuer)
    const form = new URLSearchParams({ grant_type: 'authorization_code', code, redirect_uri: `${origin}${CALLBACK}` })
    form.set('code_verifier', verifier)
    if (secret === null) form.set('client_id', clientId)
    // RFC 6749 §2.3.1: each half is form-encoded before it is joined
    const basic = `${encodeURIComponent(clientId)}:${encodeURIComponent(secret ?? '')}`
    const { status, body } = await fetch(tokenEndpoint, {
      method: 'POST',
      headers: {
        ...{ 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
        ...(secret !== null && { authorization: `Basic ${Buffer.from(basic).toString('base64')}` }),
      },
      body: form.toString(),
    }).catch(cause => {
      throw new LoginError('unavailable', 'the identity provider does not answer', { cause })
    })
    if (status !== 200) throw new LoginError('refused', `the provider gives no token: status ${status}`)
    return tokenAnswer.parse(JSON.parse(body.toString('utf8'))).id_token
  }
  return {
    async begin(issuer, origin, back) {
      const { authorizationEndpoint } = await issuerKeys.of(issuer.url)
      if (authorizationEndpoint === null || issuer.clientId === null)
        throw new LoginError('refused', 'the provider knows no such login')
      const word = (): string => randomBytes(32).toString('base64url')
      const attempt = { issuer: issuer.id, origin, back, state: word(), nonce: word(), verifier: word() }
      const location = new URL(authorizationEndpoint)
      for (const [name, value] of Object.entries({
        ...{ response_type: 'code', client_id: issuer.clientId, redirect_uri: `${origin}${CALLBACK}` },
        ...{ scope: 'openid profile email', state: attempt.state, nonce: attempt.nonce },
        ...{ code_challenge: hash('sha256', attempt.verifier, 'base64url'), code_challenge_method: 'S256' },
      }))
        location.searchParams.set(name, value)
      const sealed = tickets.seal(encodeCbor(ATTEMPT.encode({ ...attempt, until: clock() + ATTEMPT_MS })), WHAT)
      return { location: location.href, attempt: sealed.toString('base64url') }
    },
    async finish(origin, sealed, { code, state, error, issuer: named }) {
      const attempt = opened(sealed)
      if (attempt.until <= clock() || attempt.origin !== origin)
        throw new LoginError('malformed', 'too late: begin again')
      if (state === null || !equalBytes(Buffer.from(state), Buffer.from(attempt.state)))
        throw new LoginError('malformed', 'the answer is of another login')
      const issuer = await issuers.byId(attempt.issuer)
      if (issuer === null || issuer.clientId === null)
        throw new LoginError('refused', 'the provider is not trusted any more')
      // RFC 9207: or the answer of one provider could be taken for another's
      if (named !== null && named !== issuer.url) throw new LoginError('malformed', 'the answer is of another provider')
      if (error !== null || code === null) throw new LoginError('refused', 'the provider says no')
      const token = await exchanged(issuer, attempt, code)
      const claims = await tokens.verify(token, issuer, [issuer.clientId], 'counts')
      const others = Array.isArray(claims.aud) && claims.aud.length > 1
      const ours = claims.azp === undefined ? !others : claims.azp === issuer.clientId
      if (claims.nonce !== attempt.nonce || !ours) throw new LoginError('refused', 'the token is of another login')
      const who = claimedBy(claims, issuer)
      if (who === null) throw new LoginError('refused', 'the token names nobody')
      return { issuer, who, back: attempt.back }
    },
  }
}
