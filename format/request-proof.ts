import { type CborValue, decodeCbor, encodeCbor } from './cbor.ts'
import { type Codec, count, listOf, nullable, octets, oneOf, record, text } from './codec.ts'
import { FormatError } from './fault.ts'

/**
 * What a caller proved himself with, as the public store hands it to the authority: one kind for each way to do so. The same shapes as
 * those of `access/`, so that neither needs the other. Wire strings: one character per byte. @see FORMAT.md §13.2
 */
export type RequestProof = HeadedProof | PolicyProof | UploadProof
/** Those that come with a request whose headers say what is asked for. */
export type HeadedProof = SignedProof | BearerProof | SessionProof

/** The request that it came with. `headers`: lower-case names. `payload`: the body's digest or how it is framed. */
type Request = {
  method: string
  rawPath: string
  rawQuery: string
  headers: (readonly [name: string, value: string])[]
  payload: string
}

/** A signature over the request, and what it covers: the headers are the signed ones. */
export type SignedProof = Request & {
  kind: 'signed'
  scheme: 'AWS4' | 'GOOG4'
  form: 'header' | 'presigned'
  accessKey: string
  date: string
  region: string
  time: string
  expiresSeconds: number | null
  signature: string
}

/** A token of an identity provider. It proves who asks, and not what for: of the request nothing is proved, but by a DPoP proof. */
export type BearerProof = Request & {
  kind: 'bearer'
  token: string
  /** RFC 9449; null: a plain bearer */
  dpop: string | null
  /** tells this request from a later one with the same DPoP proof; empty without one */
  requestId: string
}

/** A ticket that the authority gave a browser. As of a bearer, nothing is proved of the request. */
export type SessionProof = Request & { kind: 'session'; ticket: string }

/**
 * A form, and the policy in it that says what such forms may put into a bucket. `fields`: lower-case names, text, the policy and its
 * signature among them; `key` is the object's. Without a policy: nobody signed it.
 */
export type PolicyProof = {
  kind: 'policy'
  bucket: string
  fields: (readonly [name: string, value: string])[]
}

/** A ticket that the authority gave when a long upload began, for its parts and its object. */
export type UploadProof = { kind: 'upload'; ticket: Uint8Array }

export const PROOF_LIMIT = 64 << 10
export const TICKET_LIMIT = 4096
const METHODS = ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'] as const
const HEADERS_MAX = 128
/** A line end inside a field could make one canonical text out of two different requests. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f]|[^\u0000-\u00ff]/

function wire(maxBytes: number): Codec<string> {
  const inner = text(maxBytes)
  return {
    encode: value => value,
    take(value, what) {
      const found = inner.take(value, what)
      if (CONTROL.test(found)) throw new FormatError('malformed', `${what}: not a wire string`)
      return found
    },
  }
}

const method: Codec<string> = {
  encode(value) {
    if (METHODS.some(each => each === value)) return value
    throw new FormatError('unsupported', 'proof: a method that no object request has')
  },
  take: oneOf(METHODS).take,
}

const flatHeaders = listOf(wire(16 << 10), 2 * HEADERS_MAX)
/** Name and value by turns. */
const headers: Codec<Request['headers']> = {
  encode: value => flatHeaders.encode(value.flat()),
  take(value, what) {
    return inPairs(flatHeaders.take(value, what), what)
  },
}

function inPairs(flat: string[], what: string): [string, string][] {
  if (flat.length % 2 !== 0) throw new FormatError('malformed', `${what}: a name without its value`)
  const pairs: [string, string][] = []
  for (let at = 0; at < flat.length; at += 2) pairs.push([flat[at] ?? '', flat[at + 1] ?? ''])
  return pairs
}

const flatFields = listOf(text(24 << 10), 2 * 128)
const formFields: Codec<PolicyProof['fields']> = {
  encode: value => flatFields.encode(value.flat()),
  take(value, what) {
    const pairs = inPairs(flatFields.take(value, what), what)
    const names = pairs.map(([name]) => name)
    if (new Set(names).size < names.length || names.some(name => name !== name.toLowerCase()))
      throw new FormatError('malformed', `${what}: names in lower case, each once`)
    return pairs
  },
}

const request = { method, rawPath: wire(16 << 10), rawQuery: wire(16 << 10), headers, payload: wire(128) }
const names = { rawPath: 'path', rawQuery: 'query' }

/** The shape of each kind; a further kind is a further line. */
const KINDS: { [Kind in RequestProof['kind']]: Codec<Extract<RequestProof, { kind: Kind }>> } = {
  signed: record<SignedProof>(
    {
      ...{
        kind: oneOf(['signed']),
        scheme: oneOf(['AWS4', 'GOOG4']),
        form: oneOf(['header', 'presigned']),
        ...request,
      },
      ...{ accessKey: wire(128), date: wire(8), region: wire(64), time: wire(16) },
      ...{ expiresSeconds: nullable(count(604_800)), signature: wire(64) },
    },
    { ...names, accessKey: 'key', expiresSeconds: 'expires' },
  ),
  bearer: record<BearerProof>(
    { kind: oneOf(['bearer']), ...request, token: wire(16 << 10), dpop: nullable(wire(8 << 10)), requestId: wire(32) },
    { ...names, requestId: 'request' },
  ),
  session: record<SessionProof>({ kind: oneOf(['session']), ...request, ticket: wire(2 << 10) }, names),
  policy: record<PolicyProof>({ kind: oneOf(['policy']), bucket: text(255), fields: formFields }),
  upload: record<UploadProof>({ kind: oneOf(['upload']), ticket: octets({ max: TICKET_LIMIT }) }),
}

/** @throws FormatError "unsupported" - a method that no object request has */
export function encodeProof(proof: RequestProof): Buffer {
  return encodeCbor(encoded(proof))
}

function encoded(proof: RequestProof): CborValue {
  switch (proof.kind) {
    case 'signed':
      return KINDS.signed.encode(proof)
    case 'bearer':
      return KINDS.bearer.encode(proof)
    case 'session':
      return KINDS.session.encode(proof)
    case 'policy':
      return KINDS.policy.encode(proof)
    case 'upload':
      return KINDS.upload.encode(proof)
  }
}

/** @throws FormatError "malformed" | "limit" | "unsupported" */
export function decodeProof(bytes: Uint8Array): RequestProof {
  const value = decodeCbor(bytes, PROOF_LIMIT, 'proof')
  const kind = value !== null && typeof value === 'object' && 'kind' in value ? value.kind : null
  switch (kind) {
    case 'signed':
    case 'bearer':
    case 'session':
    case 'policy':
    case 'upload':
      return KINDS[kind].take(value, 'proof')
  }
  throw new FormatError(typeof kind === 'string' ? 'unsupported' : 'malformed', 'proof: of no kind that is known')
}
