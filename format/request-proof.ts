import { decodeCbor, encodeCbor } from './cbor.ts'
import { type Codec, count, listOf, nullable, oneOf, record, text } from './codec.ts'
import { FormatError } from './fault.ts'

/**
 * A signed request as the public store hands it to the authority: what the signature covers, and the signature. The same shape as the
 * verifier's own, so that neither needs the other. Wire strings: one character per byte. @see FORMAT.md §13.1
 */
export type RequestProof = {
  kind: 'header' | 'presigned'
  method: string
  rawPath: string
  rawQuery: string
  headers: (readonly [name: string, value: string])[]
  payload: string
  accessKey: string
  date: string
  region: string
  time: string
  expiresSeconds?: number
  signature: string
}

export const PROOF_LIMIT = 64 << 10
const METHODS = ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'] as const
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

type Flat = {
  kind: RequestProof['kind']
  method: (typeof METHODS)[number]
  path: string
  query: string
  headers: string[]
  payload: string
  key: string
  date: string
  region: string
  time: string
  expires: number | null
  signature: string
}
const flat = record<Flat>({
  kind: oneOf(['header', 'presigned']),
  method: oneOf(METHODS),
  path: wire(16 << 10),
  query: wire(16 << 10),
  headers: listOf(wire(16 << 10), 256),
  payload: wire(128),
  key: wire(128),
  date: wire(8),
  region: wire(64),
  time: wire(16),
  expires: nullable(count(604_800)),
  signature: wire(64),
})

/** @throws FormatError "unsupported" - a method that no object request has */
export function encodeProof(proof: RequestProof): Buffer {
  const method = METHODS.find(each => each === proof.method)
  if (method === undefined) throw new FormatError('unsupported', 'proof: a method that is signed for no object')
  return encodeCbor(
    flat.encode({
      kind: proof.kind,
      method,
      path: proof.rawPath,
      query: proof.rawQuery,
      headers: proof.headers.flat(),
      payload: proof.payload,
      key: proof.accessKey,
      date: proof.date,
      region: proof.region,
      time: proof.time,
      expires: proof.expiresSeconds ?? null,
      signature: proof.signature,
    }),
  )
}

/** @throws FormatError "malformed" | "limit" | "unsupported" */
export function decodeProof(bytes: Uint8Array): RequestProof {
  const found = flat.take(decodeCbor(bytes, PROOF_LIMIT, 'proof'), 'proof')
  if (found.headers.length % 2 !== 0) throw new FormatError('malformed', 'proof: a header without its value')
  const headers: [string, string][] = []
  for (let at = 0; at < found.headers.length; at += 2)
    headers.push([found.headers[at] ?? '', found.headers[at + 1] ?? ''])
  const proof: RequestProof = {
    kind: found.kind,
    method: found.method,
    rawPath: found.path,
    rawQuery: found.query,
    headers,
    payload: found.payload,
    accessKey: found.key,
    date: found.date,
    region: found.region,
    time: found.time,
    signature: found.signature,
  }
  if (found.expires !== null) proof.expiresSeconds = found.expires
  return proof
}
