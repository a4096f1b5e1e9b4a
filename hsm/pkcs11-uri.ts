/**
 * Names a token, and a key in it: `pkcs11:token=appliance?module-path=/usr/lib/x.so&pin-source=file:/run/pin`.
 *
 * @see RFC 7512 §2.3 (grammar), §2.4 (`pin-value`, which we refuse: an address is logged and shown, a PIN never)
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { TokenError } from './token.ts'

export type Pkcs11Uri = {
  token?: string
  serial?: string
  manufacturer?: string
  model?: string
  slotId?: number
  object?: string
  id?: Buffer
  type?: ObjectType
  modulePath?: string
  pinSource?: PinSource
}
export type ObjectType = 'private' | 'public' | 'secret-key' | 'cert' | 'data'
export type PinSource = { from: 'file'; path: string } | { from: 'fd'; fd: number }

const OBJECT_TYPES: readonly ObjectType[] = ['private', 'public', 'secret-key', 'cert', 'data']
const PATH_CHARACTERS = /^(?:[A-Za-z0-9\-._~:[\]@!$'()*+,=&]|%[0-9A-Fa-f]{2})*$/
const QUERY_CHARACTERS = /^(?:[A-Za-z0-9\-._~:[\]@!$'()*+,=/?|]|%[0-9A-Fa-f]{2})*$/
const URI_CHARACTERS_MAX = 4096
const PIN_BYTES_MAX = 256

type Reader = (uri: Pkcs11Uri, value: Buffer, name: string) => void

const PATH_ATTRIBUTES: Record<string, Reader> = {
  token: (uri, value, name) => {
    uri.token = text(value, name, 32)
  },
  serial: (uri, value, name) => {
    uri.serial = text(value, name, 16)
  },
  manufacturer: (uri, value, name) => {
    uri.manufacturer = text(value, name, 32)
  },
  model: (uri, value, name) => {
    uri.model = text(value, name, 16)
  },
  'slot-id': (uri, value, name) => {
    uri.slotId = wholeNumber(value, name)
  },
  object: (uri, value, name) => {
    uri.object = text(value, name, 255)
  },
  id: (uri, value) => {
    uri.id = value
  },
  type: (uri, value, name) => {
    const found = text(value, name, 16)
    const type = OBJECT_TYPES.find(each => each === found)
    if (type === undefined) throw refuse(`type: want one of ${OBJECT_TYPES.join(', ')}, got "${found}"`)
    uri.type = type
  },
}

const QUERY_ATTRIBUTES: Record<string, Reader> = {
  'module-path': (uri, value, name) => {
    const path = text(value, name, URI_CHARACTERS_MAX)
    if (!path.startsWith('/')) throw refuse(`module-path: want an absolute path, got "${path}"`)
    uri.modulePath = path
  },
  'pin-source': (uri, value, name) => {
    uri.pinSource = pinSource(text(value, name, URI_CHARACTERS_MAX))
  },
}

/** @throws TokenError "configuration" - not a PKCS#11 URI, or one with an attribute that we do not follow */
export function parsePkcs11Uri(uri: string): Pkcs11Uri {
  if (uri.length > URI_CHARACTERS_MAX) throw refuse(`longer than ${URI_CHARACTERS_MAX} characters`)
  if (!uri.startsWith('pkcs11:')) throw refuse('want "pkcs11:" in front')
  const [path, ...queries] = splitOnce(uri.slice('pkcs11:'.length), '?')
  const parsed: Pkcs11Uri = {}
  readAttributes(parsed, path, ';', PATH_CHARACTERS, PATH_ATTRIBUTES)
  for (const query of queries) readAttributes(parsed, query, '&', QUERY_CHARACTERS, QUERY_ATTRIBUTES)
  return parsed
}

/**
 * Reads a PIN: one line, without its end.
 *
 * @throws TokenError "configuration" - not readable, empty, too long, or a file that others than its owner may read
 */
export function readPin(source: PinSource): Buffer {
  const where = source.from === 'file' ? `file ${source.path}` : `file descriptor ${source.fd}`
  const pin = Buffer.alloc(PIN_BYTES_MAX + 2)
  let used = 0
  try {
    const fd = source.from === 'file' ? openSync(source.path, 'r') : source.fd
    try {
      const status = fstatSync(fd)
      if (status.isFile() && (status.mode & 0o077) !== 0)
        throw refuse(`pin-source: ${where} may be read by others than its owner: chmod 600`)
      for (let read = -1; read !== 0 && used < pin.length; used += read)
        read = readSync(fd, pin, used, pin.length - used, null)
    } finally {
      if (source.from === 'file') closeSync(fd)
    }
  } catch (cause) {
    if (cause instanceof TokenError) throw cause
    throw new TokenError('configuration', `pin-source: cannot read ${where}`, { cause })
  }
  const end = pin.subarray(0, used).indexOf(0x0a)
  const line = pin.subarray(0, end === -1 ? used : end)
  if (line.length === 0 || line.length > PIN_BYTES_MAX)
    throw refuse(`pin-source: ${where}: want one line of 1 to ${PIN_BYTES_MAX} bytes`)
  return line
}

function readAttributes(
  uri: Pkcs11Uri,
  part: string,
  separator: string,
  allowed: RegExp,
  known: Record<string, Reader>,
): void {
  if (part === '') return
  const seen = new Set<string>()
  for (const pair of part.split(separator)) {
    const [name, value] = splitOnce(pair, '=')
    if (name === 'pin-value') throw refuse('pin-value is refused: a PIN has no place in an address; use pin-source')
    const reader = Object.hasOwn(known, name) ? known[name] : undefined
    if (reader === undefined) throw refuse(`attribute "${name}" is not supported here`)
    if (value === undefined || value === '') throw refuse(`${name}: no value`)
    if (!allowed.test(value)) throw refuse(`${name}: a character that must be percent-encoded, or a broken %XX`)
    if (seen.has(name)) throw refuse(`${name}: given twice`)
    seen.add(name)
    reader(uri, percentDecoded(value), name)
  }
}

function pinSource(value: string): PinSource {
  const descriptor = /^fd:(\d{1,4})$/.exec(value)?.[1]
  if (descriptor !== undefined) return { from: 'fd', fd: Number(descriptor) }
  const path = value.replace(/^file:(?:\/\/(?=\/))?/, '')
  if (path.startsWith('/')) return { from: 'file', path }
  throw refuse('pin-source: want file:/absolute/path or fd:N')
}

function percentDecoded(value: string): Buffer {
  const bytes = value.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(bytes, 'latin1')
}

function text(value: Buffer, name: string, bytesMax: number): string {
  if (value.length > bytesMax) throw refuse(`${name}: longer than ${bytesMax} bytes`)
  let decoded: string
  try {
    decoded = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value)
  } catch {
    throw refuse(`${name}: not UTF-8`)
  }
  if (decoded.includes('\0')) throw refuse(`${name}: contains a NUL`)
  return decoded
}

function wholeNumber(value: Buffer, name: string): number {
  const digits = value.toString('latin1')
  const number = /^\d{1,15}$/.test(digits) ? Number(digits) : Number.NaN
  if (!Number.isSafeInteger(number)) throw refuse(`${name}: want a whole number`)
  return number
}

function splitOnce(value: string, separator: string): [string, ...string[]] {
  const at = value.indexOf(separator)
  return at === -1 ? [value] : [value.slice(0, at), value.slice(at + 1)]
}

function refuse(what: string): TokenError {
  return new TokenError('configuration', `PKCS#11 URI: ${what}`)
}
