import { isAscii } from 'node:buffer'
import { hash } from 'node:crypto'

/**
 * Strings here are wire strings: one character per byte (latin1), as `node:http` gives and takes header values and URLs.
 * A header value holding UTF-8 is therefore hashed as the bytes that were sent.
 */
export type WireHeader = readonly [name: string, value: string]

export type CanonicalInput = {
  method: string
  /** as on the request line, before `?` */
  rawPath: string
  /** as on the request line, after `?`; empty when there is none */
  rawQuery: string
  /** the signed headers only, lower-case names, sorted, values in order of arrival */
  headers: readonly WireHeader[]
  /** value for the last line: hex SHA-256 of the body or one of the named modes */
  payload: string
}

const unreserved = /[A-Za-z0-9\-._~]/
/** Most paths and values: they are their own encoding. */
const plainPath = /^[A-Za-z0-9\-._~/]*$/
const plainText = /^[A-Za-z0-9\-._~]*$/

/** The bytes of a percent-encoded wire string; `null` where a `%` is not followed by two hex digits. */
export function percentDecode(text: string): Buffer | null {
  if (!text.includes('%')) return Buffer.from(text, 'latin1')
  const out = Buffer.alloc(text.length)
  let length = 0
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== '%') {
      out[length++] = text.charCodeAt(at)
      continue
    }
    const hex = text.slice(at + 1, at + 3)
    if (!/^[0-9A-Fa-f]{2}$/.test(hex)) return null
    out[length++] = Number.parseInt(hex, 16)
    at += 2
  }
  return out.subarray(0, length)
}

/** RFC 3986 encoding of every byte but the unreserved ones, upper-case hex; `/` stays when it is a path. */
export function percentEncode(bytes: Uint8Array, options?: { path: boolean }): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
  if ((options?.path ? plainPath : plainText).test(text)) return text
  let out = ''
  for (const byte of bytes) {
    const char = String.fromCharCode(byte)
    if (unreserved.test(char) || (char === '/' && options?.path)) out += char
    else out += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return out
}

/**
 * S3's canonical path: the decoded key encoded exactly once, nothing resolved or merged (`..`, `//` and `%2F` as the key has them).
 * Going through the decoded bytes signs what is routed, whatever spelling a client sent.
 */
export function canonicalPath(rawPath: string): string | null {
  if (plainPath.test(rawPath)) return rawPath
  const bytes = percentDecode(rawPath)
  return bytes && percentEncode(bytes, { path: true })
}

/** Name and value pairs in order of arrival, decoded; `+` is a space, as S3 reads it. `null`: broken percent sequence. */
export function queryPairs(rawQuery: string): [name: Buffer, value: Buffer][] | null {
  const pairs: [Buffer, Buffer][] = []
  if (rawQuery === '') return pairs
  for (const item of rawQuery.split('&')) {
    if (item === '') continue
    const cut = item.indexOf('=')
    const name = percentDecode((cut < 0 ? item : item.slice(0, cut)).replaceAll('+', '%20'))
    const value = percentDecode(cut < 0 ? '' : item.slice(cut + 1).replaceAll('+', '%20'))
    if (!name || !value) return null
    pairs.push([name, value])
  }
  return pairs
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The text of UTF-8 bytes; `null`: they are none. */
export function utf8Text(bytes: Uint8Array): string | null {
  if (isAscii(bytes)) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
  try {
    return decoder.decode(bytes)
  } catch (error) {
    if (error instanceof TypeError) return null
    throw error
  }
}

export function canonicalQuery(rawQuery: string): string | null {
  const pairs = queryPairs(rawQuery)
  if (!pairs) return null
  return pairs
    .map(([name, value]) => [percentEncode(name), percentEncode(value)] as const)
    .filter(([name]) => name !== 'X-Amz-Signature' && name !== 'X-Goog-Signature')
    .sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}

/** Ends trimmed, runs of blanks made one. */
export function canonicalValue(value: string): string {
  return value.replace(/[ \t]+/g, ' ').trim()
}

/** @returns null when path or query hold a broken percent sequence */
export function canonicalRequest(input: CanonicalInput): string | null {
  const path = canonicalPath(input.rawPath)
  const query = canonicalQuery(input.rawQuery)
  if (path === null || query === null) return null
  const merged = new Map<string, string>()
  for (const [name, value] of input.headers) {
    const earlier = merged.get(name)
    merged.set(name, earlier === undefined ? canonicalValue(value) : `${earlier},${canonicalValue(value)}`)
  }
  const lines = [...merged].map(([name, value]) => `${name}:${value}\n`).join('')
  return [input.method, path || '/', query, lines, [...merged.keys()].join(';'), input.payload].join('\n')
}

export function sha256Hex(wire: string | Uint8Array): string {
  return hash('sha256', typeof wire === 'string' ? Buffer.from(wire, 'latin1') : wire, 'hex')
}
