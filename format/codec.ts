import { type AnyId, asBuffer, idBytes } from './bytes.ts'
import type { CborValue } from './cbor.ts'
import { FormatError } from './fault.ts'

/** One shape of a message: how it is written, and how it is read again with every bound checked. */
export type Codec<T> = {
  encode: (value: T) => CborValue
  take: (value: CborValue, what: string) => T
  /** in a record: left out where it is null */
  mayBeAbsent?: true
}

function wrong(what: string, wanted: string): FormatError {
  return new FormatError('malformed', `${what}: wanted ${wanted}`)
}

export function text(maxBytes: number): Codec<string> {
  return {
    encode: value => value,
    take(value, what) {
      if (typeof value !== 'string') throw wrong(what, 'text')
      if (Buffer.byteLength(value) > maxBytes) throw new FormatError('limit', `${what}: more than ${maxBytes} bytes`)
      return value
    },
  }
}

/** @param length - exact, or the most there may be */
export function bytes(length: number | { max: number }): Codec<Buffer> {
  return {
    encode: value => value,
    take(value, what) {
      if (!(value instanceof Uint8Array)) throw wrong(what, 'bytes')
      if (typeof length === 'number' && value.length !== length) throw wrong(what, `${length} bytes`)
      if (typeof length !== 'number' && value.length > length.max)
        throw new FormatError('limit', `${what}: more than ${length.max} bytes`)
      return asBuffer(value)
    },
  }
}

/** As `bytes`, for what callers hold as any byte array. */
export function octets(length: number | { max: number }): Codec<Uint8Array> {
  return { encode: value => value, take: bytes(length).take }
}

export function count(max = Number.MAX_SAFE_INTEGER): Codec<number> {
  return {
    encode: value => value,
    take(value, what) {
      if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw wrong(what, 'a whole number')
      if (value > max) throw new FormatError('limit', `${what}: above ${max}`)
      return value
    },
  }
}

export const flag: Codec<boolean> = {
  encode: value => value,
  take(value, what) {
    if (typeof value !== 'boolean') throw wrong(what, 'true or false')
    return value
  },
}

export const nothing: Codec<void> = {
  encode: () => null,
  take(value, what) {
    if (value !== null) throw wrong(what, 'nothing')
  },
}

export function idOf<T extends AnyId>(): Codec<T> {
  return {
    encode: value => idBytes(value),
    take: (value, what) => bytes(16).take(value, what).toString('hex') as T,
  }
}

export function oneOf<const T extends string | number>(allowed: readonly T[]): Codec<T> {
  return {
    encode: value => value,
    take(value, what) {
      const found = allowed.find(each => each === value)
      if (found === undefined) throw new FormatError('unsupported', `${what}: wanted one of ${allowed.join(', ')}`)
      return found
    },
  }
}

export function nullable<T>(codec: Codec<T>): Codec<T | null> {
  return {
    encode: value => (value === null ? null : codec.encode(value)),
    take: (value, what) => (value === null ? null : codec.take(value, what)),
  }
}

/** A field that is left out where it is null. */
export function optional<T>(codec: Codec<T>): Codec<T | null> {
  return { ...nullable(codec), take: codec.take, mayBeAbsent: true }
}

export function listOf<T>(codec: Codec<T>, max: number): Codec<T[]> {
  return {
    encode: value => value.map(codec.encode),
    take(value, what) {
      if (!Array.isArray(value)) throw wrong(what, 'a list')
      if (value.length > max) throw new FormatError('limit', `${what}: more than ${max} items`)
      return value.map((item, at) => codec.take(item, `${what}[${at}]`))
    },
  }
}

/**
 * A map with exactly these fields.
 * @param names - how fields are called on the wire, where that is not their own name
 */
export function record<T extends object>(
  shape: { [Name in keyof T]-?: Codec<T[Name]> },
  names: { [Name in keyof T]?: string } = {},
): Codec<T> {
  type Field = { name: keyof T; wire: string; codec: Codec<T[keyof T]> }
  const fields = (Object.entries(shape) as [string & keyof T, Codec<T[keyof T]>][]).map(
    ([name, codec]): Field => ({ name, wire: names[name] ?? name, codec }),
  )
  const known = new Set(fields.map(field => field.wire))
  // in the order of their encoding (RFC 8949 §4.2.1): the writer need not sort them
  const sent = fields.toSorted((a, b) => a.wire.length - b.wire.length || (a.wire < b.wire ? -1 : 1))
  return {
    encode(value) {
      const out: { [wire: string]: CborValue } = {}
      for (const { name, wire, codec } of sent) {
        const field = value[name]
        if (field !== null || codec.mayBeAbsent === undefined) out[wire] = codec.encode(field)
      }
      return out
    },
    take(value, what) {
      if (value === null || typeof value !== 'object' || Array.isArray(value) || value instanceof Uint8Array)
        throw wrong(what, 'a map')
      for (const name in value) if (!known.has(name)) throw wrong(what, `no field "${name.slice(0, 40)}"`)
      const out: Partial<T> = {}
      for (const { name, wire, codec } of fields) {
        const field = Object.hasOwn(value, wire) ? value[wire] : undefined
        if (field !== undefined) out[name] = codec.take(field, `${what}: ${wire}`)
        // only a codec that says so makes null of what is not there
        else if (codec.mayBeAbsent) out[name] = null as T[keyof T]
        else throw wrong(what, `field "${wire}"`)
      }
      return out as T
    },
  }
}

/** The arguments of one call. */
export function args<T extends unknown[]>(...codecs: { [At in keyof T]: Codec<T[At]> }): Codec<T> {
  const list = codecs as Codec<unknown>[]
  return {
    encode: value => list.map((codec, at) => codec.encode(value[at])),
    take(value, what) {
      if (!Array.isArray(value) || value.length !== list.length) throw wrong(what, `${list.length} arguments`)
      return list.map((codec, at) => codec.take(value[at] ?? null, `${what}[${at}]`)) as T
    },
  }
}

/** An interface as messages: what each of its calls sends and gets back. */
export type Calls<Contract> = {
  [Name in keyof Contract]: Contract[Name] extends (...given: infer Given) => Promise<infer Answer>
    ? { ask: Codec<Given>; answer: Codec<Answer> }
    : never
}
