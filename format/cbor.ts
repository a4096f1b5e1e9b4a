import { decode, encode } from 'cborg'
import { asBuffer, equalBytes } from './bytes.ts'
import { type CborValue, decodePlain, encodePlain } from './cbor-plain.ts'
import { FormatError } from './fault.ts'

export type { CborValue } from './cbor-plain.ts'

/** Deterministic CBOR (RFC 8949 §4.2.1): shortest heads, sorted keys, definite lengths. */
export function encodeCbor(value: CborValue): Buffer {
  return encodePlain(value) ?? asBuffer(encode(value))
}

/**
 * @param limit - bytes; longer input is refused unread
 * @throws FormatError "limit" | "malformed" - also for sound CBOR that is not the deterministic encoding of its value
 * @see FORMAT.md §2.3
 */
export function decodeCbor(bytes: Uint8Array, limit: number, what: string): CborValue {
  if (bytes.length > limit) throw new FormatError('limit', `${what}: at most ${limit} bytes, found ${bytes.length}`)
  const plain = decodePlain(bytes)
  if (plain !== undefined) return plain
  let value: CborValue
  let again: Uint8Array
  try {
    value = decode(bytes, {
      strict: true,
      allowIndefinite: false,
      allowUndefined: false,
      allowInfinity: false,
      allowNaN: false,
      rejectDuplicateMapKeys: true,
    })
    again = encode(value) // inside: nesting that decodes can still be too deep to encode
  } catch (cause) {
    throw new FormatError('malformed', `${what}: not deterministic CBOR`, { cause })
  }
  // cborg accepts unsorted keys: only the one encoding that a writer of ours leaves is taken
  if (!equalBytes(again, bytes))
    throw new FormatError('malformed', `${what}: not the deterministic encoding of its value`)
  return value
}

/** Reads a CBOR map field by field; every field must be asked for, so that nothing unknown slips through. */
export class Fields {
  readonly #map: Map<string, CborValue>
  readonly #what: string

  constructor(value: CborValue, what: string) {
    if (value === null || typeof value !== 'object' || Array.isArray(value) || value instanceof Uint8Array)
      throw new FormatError('malformed', `${what}: wanted a map`)
    this.#map = new Map(Object.entries(value))
    this.#what = what
  }

  has(name: string): boolean {
    return this.#map.has(name)
  }

  take(name: string): CborValue {
    const value = this.#map.get(name)
    if (value === undefined) throw new FormatError('malformed', `${this.#what}: field "${name}" is missing`)
    this.#map.delete(name)
    return value
  }

  text(name: string, maxBytes: number): string {
    const value = this.take(name)
    if (typeof value !== 'string') throw this.#wrong(name, 'text')
    if (Buffer.byteLength(value) > maxBytes)
      throw new FormatError('limit', `${this.#what}: "${name}" has more than ${maxBytes} bytes`)
    return value
  }

  oneOf<const T extends string>(name: string, allowed: readonly T[]): T {
    const value = this.text(name, 64)
    const found = allowed.find(each => each === value)
    if (found === undefined)
      throw new FormatError('unsupported', `${this.#what}: "${name}" wanted one of ${allowed.join(', ')}`)
    return found
  }

  /** Whole number 0..2^53-1. */
  count(name: string, max = Number.MAX_SAFE_INTEGER): number {
    const value = this.take(name)
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
      throw this.#wrong(name, 'a whole number')
    if (value > max) throw new FormatError('limit', `${this.#what}: "${name}" is above ${max}`)
    return value
  }

  flag(name: string): boolean {
    const value = this.take(name)
    if (typeof value !== 'boolean') throw this.#wrong(name, 'true or false')
    return value
  }

  bytes(name: string, length: number | { max: number }): Buffer {
    const value = this.take(name)
    if (!(value instanceof Uint8Array)) throw this.#wrong(name, 'bytes')
    if (typeof length === 'number' ? value.length !== length : value.length > length.max)
      throw new FormatError(
        typeof length === 'number' ? 'malformed' : 'limit',
        `${this.#what}: "${name}" has ${value.length} bytes`,
      )
    return asBuffer(value)
  }

  id<T extends string>(name: string): T {
    return this.bytes(name, 16).toString('hex') as T
  }

  list<T>(name: string, max: number, each: (item: CborValue, what: string) => T): T[] {
    const value = this.take(name)
    if (!Array.isArray(value)) throw this.#wrong(name, 'a list')
    if (value.length > max) throw new FormatError('limit', `${this.#what}: "${name}" has more than ${max} items`)
    return value.map((item, at) => each(item, `${this.#what}: ${name}[${at}]`))
  }

  /** Text to text, at most `max` pairs. */
  texts(name: string, max: number, maxBytes: number): Record<string, string> {
    const value = this.take(name)
    if (value === null || typeof value !== 'object' || Array.isArray(value) || value instanceof Uint8Array)
      throw this.#wrong(name, 'a map')
    const pairs = Object.entries(value)
    if (pairs.length > max) throw new FormatError('limit', `${this.#what}: "${name}" has more than ${max} pairs`)
    const out: Record<string, string> = Object.create(null)
    for (const [key, item] of pairs) {
      if (typeof item !== 'string') throw this.#wrong(name, 'text values')
      if (Buffer.byteLength(key) + Buffer.byteLength(item) > maxBytes)
        throw new FormatError('limit', `${this.#what}: "${name}" has a pair that is too long`)
      out[key] = item
    }
    return out
  }

  version(wanted: number): void {
    const found = this.count('v')
    if (found !== wanted)
      throw new FormatError('unsupported', `${this.#what}: version ${found}; this reader knows ${wanted}`)
  }

  /** @throws FormatError "malformed" - a field that nobody asked for */
  end(): void {
    const [first] = this.#map.keys()
    if (first !== undefined) throw new FormatError('malformed', `${this.#what}: unknown field "${first.slice(0, 40)}"`)
  }

  #wrong(name: string, wanted: string): FormatError {
    return new FormatError('malformed', `${this.#what}: "${name}" wanted ${wanted}`)
  }
}
