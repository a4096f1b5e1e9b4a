import { KeyObject } from 'node:crypto'
import { canonicalRequest, queryPairs, sha256Hex, type WireHeader } from './canonical.ts'
import { AccessError, type AccessFault } from './fault.ts'
import { SCHEME_NAMES, SCHEMES, type Scheme, type SchemeWords } from './scheme.ts'
import { type Scope, scopeText, signatureMatches, signingKey } from './signing-key.ts'
import { amzTime, parseAmzTime } from './time.ts'

/** What parsing needs of a request: all headers in order of arrival, wire strings throughout. */
export type RequestHead = { method: string; rawPath: string; rawQuery: string; headers: readonly WireHeader[] }

/**
 * Everything one signature covers, and the signature: plain strings and numbers, so that another process can judge it.
 * Nothing in it is secret, and nothing outside it was signed.
 */
export type Proof = {
  kind: 'signed'
  scheme: Scheme
  /** where the signature stood: in the Authorization header, or in the query */
  form: 'header' | 'presigned'
  method: string
  rawPath: string
  rawQuery: string
  /** signed headers, lower-case names, in the order of the signature's list */
  headers: WireHeader[]
  /** last line of the canonical request */
  payload: string
  accessKey: string
  date: string
  region: string
  /** yyyymmddThhmmssZ */
  time: string
  /** of a presigned URL, from `time`; null: of a header */
  expiresSeconds: number | null
  /** 64 lower-case hex digits */
  signature: string
}

export type Verdict = { ok: true } | { ok: false; fault: AccessFault; message: string }

export const skewSeconds = 15 * 60
export const longestPresignSeconds = 7 * 24 * 3600

/** Headers that change what a request means: one that is sent must be signed. */
const MEANINGFUL = /^x-(?:amz|goog|storage)-/

/**
 * The request's proof; `null` when it carries none (anonymous).
 * @throws AccessError "malformed", "unsupported", "unsigned-header"
 */
export function parseProof(request: RequestHead): Proof | null {
  const authorization = only(request.headers, 'authorization')
  const query = queryMap(request.rawQuery)
  const [presigned, second] = SCHEME_NAMES.filter(scheme =>
    ['Algorithm', 'Signature', 'Credential'].some(field => query.has(`${SCHEMES[scheme].queryPrefix}${field}`)),
  )
  // pre-2014 signatures: without this they would count as anonymous
  if (query.has('Signature') && (query.has('AWSAccessKeyId') || query.has('GoogleAccessId')))
    throw unsupported('signature version 2')
  if (second !== undefined || (authorization !== undefined && presigned !== undefined))
    throw malformed('either an Authorization header or a signed query, not both')
  if (authorization !== undefined) return headerProof(request, authorization)
  return presigned === undefined ? null : presignedProof(request, query, presigned)
}

function headerProof(request: RequestHead, authorization: string): Proof {
  const cut = authorization.indexOf(' ')
  const named = cut < 0 ? authorization : authorization.slice(0, cut)
  const scheme = SCHEME_NAMES.find(each => SCHEMES[each].algorithm === named)
  if (scheme === undefined) throw unsupported(`authorization scheme ${JSON.stringify(named.slice(0, 40))}`)
  const { dateHeader, digestHeader } = SCHEMES[scheme]
  const fields = new Map<string, string>()
  for (const item of authorization.slice(cut + 1).split(',')) {
    const at = item.indexOf('=')
    const name = item.slice(0, at).trim()
    if (at < 0 || fields.has(name))
      throw malformed('Authorization header: Credential, SignedHeaders, Signature expected')
    fields.set(name, item.slice(at + 1).trim())
  }
  const time = only(request.headers, dateHeader) ?? httpDate(only(request.headers, 'date'))
  const payload = only(request.headers, digestHeader)
  if (payload === undefined) throw malformed(`missing required header ${digestHeader}`)
  return assemble(scheme, 'header', request, {
    credential: fields.get('Credential'),
    signedHeaders: fields.get('SignedHeaders'),
    signature: fields.get('Signature'),
    time,
    payload,
  })
}

function presignedProof(request: RequestHead, query: Map<string, string>, scheme: Scheme): Proof {
  const { algorithm, queryPrefix, digestHeader } = SCHEMES[scheme]
  const field = (name: string): string | undefined => query.get(`${queryPrefix}${name}`)
  if (field('Algorithm') !== algorithm) throw unsupported(`${queryPrefix}Algorithm other than ${algorithm}`)
  const expires = field('Expires') ?? ''
  if (!/^\d{1,6}$/.test(expires) || Number(expires) < 1 || Number(expires) > longestPresignSeconds) {
    throw malformed(`${queryPrefix}Expires must be 1..${longestPresignSeconds} seconds`)
  }
  const signedHeaders = field('SignedHeaders')
  const signedPayload = signedHeaders?.split(';').includes(digestHeader)
    ? only(request.headers, digestHeader)
    : undefined
  const proof = assemble(scheme, 'presigned', request, {
    credential: field('Credential'),
    signedHeaders,
    signature: field('Signature'),
    time: field('Date'),
    payload: signedPayload ?? field('Content-Sha256') ?? 'UNSIGNED-PAYLOAD',
  })
  return { ...proof, expiresSeconds: Number(expires) }
}

type Fields = {
  credential: string | undefined
  signedHeaders: string | undefined
  signature: string | undefined
  time: string | undefined
  payload: string
}

function assemble(scheme: Scheme, form: Proof['form'], request: RequestHead, fields: Fields): Proof {
  const words: SchemeWords = SCHEMES[scheme]
  const { credential, signedHeaders, signature, time, payload } = fields
  // access keys may hold '/': the scope is the last four
  const scope = /^(.{1,128})\/(\d{8})\/([^/]{1,64})\/([^/]+)\/([^/]+)$/.exec(credential ?? '')
  const [, accessKey, date, region, service, terminator] = scope ?? []
  if (!accessKey || !date || !region)
    throw malformed(`Credential must be key/yyyymmdd/region/${words.service}/${words.terminator}`)
  if (service !== words.service) throw unsupported(`service ${JSON.stringify(service)}, want ${words.service}`)
  if (terminator !== words.terminator) throw malformed(`Credential must end in ${words.terminator}`)
  if (!signature || !/^[0-9a-f]{64}$/.test(signature)) throw malformed('Signature must be 64 lower-case hex digits')
  if (!time || parseAmzTime(time) === null) throw malformed(`${words.dateHeader} must be yyyymmddThhmmssZ`)
  if (!time.startsWith(date)) throw malformed(`date of Credential differs from that of ${words.dateHeader}`)
  if (!/^[0-9a-f]{64}$/.test(payload) && payload !== 'UNSIGNED-PAYLOAD' && !words.streaming.includes(payload)) {
    throw payload.startsWith('STREAMING-')
      ? unsupported(`payload mode ${payload.slice(0, 60)}`)
      : malformed(`${words.digestHeader} must be UNSIGNED-PAYLOAD, a streaming mode, or 64 lower-case hex digits`)
  }
  const names = (signedHeaders ?? '').split(';')
  if (
    names.some((name, at) => !/^[!-9<-~]+$/.test(name) || name !== name.toLowerCase() || name <= (names[at - 1] ?? ''))
  ) {
    throw malformed('SignedHeaders must be lower-case, sorted and without repetition')
  }
  if (!names.includes('host')) throw new AccessError('unsigned-header', 'host must be a signed header')
  for (const [raw] of request.headers) {
    const name = raw.toLowerCase()
    if (!MEANINGFUL.test(name) || names.includes(name)) continue
    // some clients name the payload mode of a presigned request in a header; it is bound by the query or the default
    if (form === 'presigned' && name === words.digestHeader) continue
    throw new AccessError('unsigned-header', `${name} was sent but not signed`)
  }
  const headers: WireHeader[] = []
  for (const name of names) {
    const before = headers.length
    for (const [raw, value] of request.headers)
      if (raw.length === name.length && raw.toLowerCase() === name) headers.push([name, value])
    if (headers.length === before) throw malformed(`signed header ${name} was not sent`)
  }
  const { method, rawPath, rawQuery } = request
  return {
    ...{ kind: 'signed', scheme, form, method, rawPath, rawQuery, headers },
    ...{ payload, accessKey, date, region, time, expiresSeconds: null, signature },
  }
}

/** @returns null when path or query hold a broken percent sequence */
export function stringToSign(
  proof: Omit<Proof, 'signature' | 'kind' | 'form' | 'accessKey' | 'expiresSeconds'>,
): string | null {
  const canonical = canonicalRequest(proof)
  return canonical === null ? null : requestStringToSign(proof.time, proof, canonical)
}

export function requestStringToSign(time: string, scope: Scope, canonical: string): string {
  return `${SCHEMES[scope.scheme].algorithm}\n${time}\n${scopeText(scope)}\n${sha256Hex(canonical)}`
}

/**
 * Whether the proof was made with this secret and is of now. Pure: no clock, no store.
 * @param key - the secret access key, or the signing key of the proof's date and region
 */
export function verifyProof(proof: Proof, key: string | KeyObject, now: Date): Verdict {
  const signed = verifySignature(proof, key)
  // the signature first: a stranger learns nothing about our clock
  return signed.ok ? judgeAge(proof, now) : signed
}

/** Whether the proof was made with this secret: of the same proof and secret it is always the same answer. */
export function verifySignature(proof: Proof, key: string | KeyObject): Verdict {
  const text = stringToSign(proof)
  if (text === null) return { ok: false, fault: 'malformed', message: 'broken percent sequence in the request line' }
  const signing = key instanceof KeyObject ? key : signingKey(key, proof)
  if (signatureMatches(signing, text, proof.signature)) return { ok: true }
  return {
    ok: false,
    fault: 'signature-mismatch',
    message: 'the signature does not match; check the secret key and signing method',
  }
}

/** Whether a proof whose signature is sound is of now. */
export function judgeAge(proof: Proof, now: Date): Verdict {
  const signedAt = parseAmzTime(proof.time)
  if (signedAt === null) return { ok: false, fault: 'malformed', message: 'time must be yyyymmddThhmmssZ' }
  const age = (now.getTime() - signedAt) / 1000
  if (age < -skewSeconds)
    return { ok: false, fault: 'skewed', message: 'signed in the future: more than 15 minutes ahead of this clock' }
  if (proof.form === 'header' && age > skewSeconds) {
    return { ok: false, fault: 'skewed', message: 'signed more than 15 minutes ago by this clock' }
  }
  if (proof.form === 'presigned') {
    const life = proof.expiresSeconds ?? 0
    if (life < 1 || life > longestPresignSeconds)
      return { ok: false, fault: 'malformed', message: 'life of a presigned URL out of range' }
    if (age > life) return { ok: false, fault: 'expired', message: 'Request has expired' }
  }
  return { ok: true }
}

/** The one value of a header; `undefined` when absent. @throws AccessError "malformed" when it comes twice */
function only(headers: readonly WireHeader[], name: string): string | undefined {
  const found = headers.filter(([raw]) => raw.length === name.length && raw.toLowerCase() === name)
  if (found.length > 1) throw malformed(`header ${name} came more than once`)
  return found[0]?.[1].trim()
}

function queryMap(rawQuery: string): Map<string, string> {
  const pairs = queryPairs(rawQuery)
  if (!pairs) throw malformed('broken percent sequence in the query')
  const map = new Map<string, string>()
  for (const [name, value] of pairs) {
    const text = name.toString('latin1')
    if (/^X-(?:Amz|Goog)-/.test(text) && map.has(text)) throw malformed(`query field ${text} came more than once`)
    map.set(text, value.toString('latin1'))
  }
  return map
}

/** Clients that sign with Date alone. */
function httpDate(text: string | undefined): string | undefined {
  const time = Date.parse(text ?? '')
  return Number.isNaN(time) ? undefined : amzTime(new Date(time))
}

function malformed(message: string): AccessError {
  return new AccessError('malformed', message)
}

function unsupported(what: string): AccessError {
  return new AccessError('unsupported', `${what} is not supported: sign with AWS4-HMAC-SHA256 or GOOG4-HMAC-SHA256`)
}
