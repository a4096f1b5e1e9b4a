import { canonicalRequest, percentEncode, sha256Hex, type WireHeader } from './canonical.ts'
import { AccessError } from './fault.ts'
import { longestPresignSeconds, type RequestHead, requestStringToSign } from './proof.ts'
import { SCHEMES, type Scheme } from './scheme.ts'
import { scopeText, signatureOf, signingKey } from './signing-key.ts'
import { amzTime } from './time.ts'

export type Credentials = { accessKey: string; secretKey: string }
/** `payload`: hex SHA-256 of the body, UNSIGNED-PAYLOAD or a streaming mode. `scheme`: AWS4 where it is not said. */
export type SignOptions = { region: string; time: Date; payload: string; scheme?: Scheme }

/**
 * The request with the scheme's date and digest headers and `Authorization` added; all given headers are signed. Header names
 * must include host. Path and query are sent as given and must be percent-encoded.
 */
export function signRequest(request: RequestHead, credentials: Credentials, options: SignOptions): SignedRequest {
  const time = amzTime(options.time)
  const scope = { scheme: options.scheme ?? 'AWS4', date: time.slice(0, 8), region: options.region }
  const { algorithm, dateHeader, digestHeader } = SCHEMES[scope.scheme]
  const ours = ['authorization', dateHeader, digestHeader]
  const headers: WireHeader[] = [
    ...request.headers.filter(([name]) => !ours.includes(name.toLowerCase())),
    [dateHeader, time],
    [digestHeader, options.payload],
  ]
  const signed = sortHeaders(headers)
  const canonical = canonicalRequest({ ...request, headers: signed, payload: options.payload })
  if (canonical === null) throw new AccessError('malformed', 'path and query must be percent-encoded')
  const signature = signatureOf(signingKey(credentials.secretKey, scope), requestStringToSign(time, scope, canonical))
  const authorization =
    `${algorithm} Credential=${credentials.accessKey}/${scopeText(scope)},` +
    `SignedHeaders=${names(signed)},Signature=${signature}`
  return { ...request, headers: [...headers, ['authorization', authorization]], signature }
}

export type SignedRequest = RequestHead & { headers: WireHeader[]; signature: string }

/**
 * The raw query of a presigned URL. Only the given headers (host at least) are signed; the body is not.
 * @throws AccessError "malformed" - life not in 1 second .. 7 days
 */
export function presignQuery(
  request: RequestHead,
  credentials: Credentials,
  options: { region: string; time: Date; expiresSeconds: number; scheme?: Scheme },
): string {
  if (!(options.expiresSeconds >= 1 && options.expiresSeconds <= longestPresignSeconds)) {
    throw new AccessError('malformed', `life of a presigned URL must be 1..${longestPresignSeconds} seconds`)
  }
  const time = amzTime(options.time)
  const scope = { scheme: options.scheme ?? 'AWS4', date: time.slice(0, 8), region: options.region }
  const { algorithm, queryPrefix } = SCHEMES[scope.scheme]
  const signed = sortHeaders(request.headers)
  const added: [string, string][] = [
    ['Algorithm', algorithm],
    ['Credential', `${credentials.accessKey}/${scopeText(scope)}`],
    ['Date', time],
    ['Expires', String(options.expiresSeconds)],
    ['SignedHeaders', names(signed)],
  ]
  const rawQuery = [
    request.rawQuery,
    ...added.map(([name, value]) => `${queryPrefix}${name}=${percentEncode(Buffer.from(value))}`),
  ]
    .filter(item => item !== '')
    .join('&')
  const canonical = canonicalRequest({ ...request, rawQuery, headers: signed, payload: 'UNSIGNED-PAYLOAD' })
  if (canonical === null) throw new AccessError('malformed', 'path and query must be percent-encoded')
  const signature = signatureOf(signingKey(credentials.secretKey, scope), requestStringToSign(time, scope, canonical))
  return `${rawQuery}&${queryPrefix}Signature=${signature}`
}

/** Hex SHA-256 for `SignOptions.payload`. */
export function payloadDigest(body: Uint8Array): string {
  return sha256Hex(body)
}

function sortHeaders(headers: readonly WireHeader[]): WireHeader[] {
  return headers
    .map(([name, value]): WireHeader => [name.toLowerCase(), value])
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
}

function names(sorted: readonly WireHeader[]): string {
  return [...new Set(sorted.map(([name]) => name))].join(';')
}
