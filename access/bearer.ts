import type { WireHeader } from './canonical.ts'
import { AccessError } from './fault.ts'
import type { RequestHead } from './proof.ts'

/** What a caller sends who signs nothing of his request: the request goes along, so that another process can judge what it is for. */
export type UnsignedRequest = {
  method: string
  rawPath: string
  rawQuery: string
  /** host, and what says what is asked for; lower-case names */
  headers: WireHeader[]
  /** digest of the body or how it is framed, as the caller says */
  payload: string
}
/** `dpop`: the proof that the token's key made for this request (RFC 9449); null: there is none. */
export type Bearer = UnsignedRequest & { token: string; dpop: string | null }

const SAYS_WHAT = /^(?:host|x-(?:amz|goog|storage)-.*)$/
const TOKEN = /^[A-Za-z0-9\-._~+/]{1,16384}=*$/
const COMPACT_JWS = /^[A-Za-z0-9\-_]+\.[A-Za-z0-9\-_]+\.[A-Za-z0-9\-_]+$/
const FRAMING = /^(?:[0-9a-f]{64}|UNSIGNED-PAYLOAD|STREAMING-UNSIGNED-PAYLOAD-TRAILER)$/

/** The scheme of the Authorization header in lower case; null: there is none. @throws AccessError "malformed" - there are two */
export function authorizationScheme({ headers }: Pick<RequestHead, 'headers'>): string | null {
  let found: string | null = null
  for (const [name, value] of headers) {
    if (name.length !== 'authorization'.length || name.toLowerCase() !== 'authorization') continue
    if (found !== null) throw malformed('header authorization came more than once')
    found = (value.trim().split(' ', 1)[0] ?? '').toLowerCase()
  }
  return found
}

/**
 * The token of `Authorization: Bearer` or `DPoP`; `null` when there is another scheme or none.
 * @throws AccessError "malformed"
 */
export function parseBearer(request: RequestHead): Bearer | null {
  const scheme = authorizationScheme(request)
  if (scheme !== 'bearer' && scheme !== 'dpop') return null
  const value = request.headers.find(([name]) => name.toLowerCase() === 'authorization')?.[1].trim() ?? ''
  const token = value.slice(scheme.length).trim()
  if (!TOKEN.test(token)) throw malformed('Authorization: want one token after Bearer or DPoP')
  const [dpop, second] = request.headers.filter(([name]) => name.toLowerCase() === 'dpop').map(each => each[1].trim())
  if (second !== undefined) throw malformed('header DPoP came more than once')
  if ((scheme === 'dpop') !== (dpop !== undefined))
    throw malformed('a DPoP proof goes with Authorization: DPoP, and that with a proof')
  if (dpop !== undefined && (dpop.length > 8192 || !COMPACT_JWS.test(dpop)))
    throw malformed('header DPoP: want one JWS')
  return { ...unsignedRequest(request), token, dpop: dpop ?? null }
}

/** @throws AccessError "malformed" - a digest header that is none; "unsupported" - a body whose chunks are signed */
export function unsignedRequest({ method, rawPath, rawQuery, headers: sent }: RequestHead): UnsignedRequest {
  const headers = sent
    .map(([name, value]): WireHeader => [name.toLowerCase(), value])
    .filter(([name]) => SAYS_WHAT.test(name))
  const said = headers.filter(([name]) => name === 'x-amz-content-sha256' || name === 'x-goog-content-sha256')
  const payload = said[0]?.[1].trim() ?? 'UNSIGNED-PAYLOAD'
  if (said.length > 1 || !FRAMING.test(payload)) {
    if (payload.startsWith('STREAMING-'))
      throw new AccessError('unsupported', 'chunks are signed where the request is: send them unsigned')
    throw malformed(`${said[0]?.[0]} must be UNSIGNED-PAYLOAD or 64 lower-case hex digits, once`)
  }
  return { method, rawPath, rawQuery, headers, payload }
}

function malformed(message: string): AccessError {
  return new AccessError('malformed', message)
}
