export type CborValue =
  | number
  | bigint
  | string
  | boolean
  | null
  | Uint8Array
  | CborValue[]
  | { [name: string]: CborValue }

/**
 * Deterministic CBOR of plain values: null, true, false, whole numbers that a double holds, text, bytes, lists, and maps with text keys.
 * It is what messages and metadata are made of, by the million. Both directions give up with `undefined` on anything else, and on
 * anything that is not the one encoding of its value: then the library judges, which knows all of CBOR.
 */

const DEPTH_MAX = 16
const [UINT, NEGATIVE, BYTES, TEXT, LIST, MAP] = [0, 1, 2, 3, 4, 5] as const
const [FALSE, TRUE, NULL] = [0xf4, 0xf5, 0xf6] as const
const TWO_32 = 2 ** 32

class NotPlain extends Error {}

/** @returns undefined: not a plain value */
export function encodePlain(value: CborValue): Buffer | undefined {
  const writer = new Writer()
  return writer.put(value, 0) ? writer.bytes() : undefined
}

class Writer {
  #out = Buffer.allocUnsafe(512)
  #at = 0

  bytes(): Buffer {
    return this.#out.subarray(0, this.#at)
  }

  /** @returns false: not plain; what was written is of no use */
  put(value: CborValue, depth: number): boolean {
    if (depth > DEPTH_MAX) return false
    switch (typeof value) {
      case 'string':
        return this.#text(value)
      case 'number':
        if (!Number.isSafeInteger(value) || Object.is(value, -0)) return false
        if (value >= 0) this.#head(UINT, value)
        else this.#head(NEGATIVE, -1 - value)
        return true
      case 'boolean':
        this.#reserve(1)
        this.#out[this.#at++] = value ? TRUE : FALSE
        return true
      case 'object':
        return this.#compound(value, depth)
      default:
        return false
    }
  }

  #compound(value: Exclude<CborValue, string | number | boolean | bigint>, depth: number): boolean {
    if (value === null) {
      this.#reserve(1)
      this.#out[this.#at++] = NULL
      return true
    }
    if (value instanceof Uint8Array) {
      this.#head(BYTES, value.length)
      this.#reserve(value.length)
      this.#out.set(value, this.#at)
      this.#at += value.length
      return true
    }
    if (Array.isArray(value)) {
      this.#head(LIST, value.length)
      return value.every(each => this.put(each, depth + 1))
    }
    const prototype = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null) return false
    const keys = Object.keys(value)
    if (!keys.every(isAscii)) return false
    this.#head(MAP, keys.length)
    for (const key of inSequence(keys) ? keys : keys.sort(inOrder)) {
      const item = value[key]
      if (item === undefined || !this.#text(key) || !this.put(item, depth + 1)) return false
    }
    return true
  }

  #text(text: string): boolean {
    // at most 3 bytes a unit: the head's length is known when they are written
    this.#reserve(9 + 3 * text.length)
    const length = Buffer.byteLength(text)
    this.#head(TEXT, length)
    const written = this.#out.write(text, this.#at, 'utf8')
    this.#at += written
    // lone surrogates are left to the library
    return written === length && (length === text.length || text.isWellFormed())
  }

  #head(major: number, value: number): void {
    this.#reserve(9)
    const type = major << 5
    if (value < 24) this.#out[this.#at++] = type | value
    else if (value < 0x100) {
      this.#out[this.#at++] = type | 24
      this.#out[this.#at++] = value
    } else if (value < 0x10000) {
      this.#out[this.#at++] = type | 25
      this.#at = this.#out.writeUInt16BE(value, this.#at)
    } else if (value < TWO_32) {
      this.#out[this.#at++] = type | 26
      this.#at = this.#out.writeUInt32BE(value, this.#at)
    } else {
      this.#out[this.#at++] = type | 27
      this.#at = this.#out.writeUInt32BE(Math.floor(value / TWO_32), this.#at)
      this.#at = this.#out.writeUInt32BE(value % TWO_32, this.#at)
    }
  }

  #reserve(more: number): void {
    if (this.#out.length - this.#at >= more) return
    const grown = Buffer.allocUnsafe(Math.max(this.#out.length * 2, this.#at + more))
    this.#out.copy(grown, 0, 0, this.#at)
    this.#out = grown
  }
}

function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0x7f) return false
  return true
}

function inSequence(keys: readonly string[]): boolean {
  for (let at = 1; at < keys.length; at++) if (inOrder(keys[at - 1] ?? '', keys[at] ?? '') > 0) return false
  return true
}

/** Of ASCII keys: the shorter first, then by their bytes, as their encodings sort. */
function inOrder(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)
}

/** @returns undefined: not the deterministic encoding of a plain value. Bytes in it are copies. */
export function decodePlain(bytes: Uint8Array): CborValue | undefined {
  const reader = new Reader(bytes)
  try {
    const value = reader.take(0)
    return reader.left === 0 ? value : undefined
  } catch (error) {
    if (error instanceof NotPlain) return undefined
    throw error
  }
}

class Reader {
  readonly #in: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#in = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  get left(): number {
    return this.#in.length - this.#at
  }

  take(depth: number): CborValue {
    if (depth > DEPTH_MAX) throw new NotPlain()
    const first = this.#byte()
    if (first >= FALSE) {
      if (first === FALSE) return false
      if (first === TRUE) return true
      if (first === NULL) return null
      throw new NotPlain()
    }
    const length = this.#length(first)
    switch (first >> 5) {
      case UINT:
        return length
      case NEGATIVE:
        if (length === Number.MAX_SAFE_INTEGER) throw new NotPlain()
        return -1 - length
      case BYTES:
        return Uint8Array.prototype.slice.call(this.#in, this.#at, this.#skip(length))
      case TEXT:
        return this.#text(length)
      case LIST:
        return this.#list(length, depth)
      case MAP:
        return this.#map(length, depth)
      default:
        throw new NotPlain()
    }
  }

  #list(length: number, depth: number): CborValue[] {
    // each item has a byte at least: nothing is made for an announced length that is not there
    if (length > this.left) throw new NotPlain()
    const out: CborValue[] = []
    for (let count = 0; count < length; count++) out.push(this.take(depth + 1))
    return out
  }

  #map(length: number, depth: number): { [name: string]: CborValue } {
    if (length * 2 > this.left) throw new NotPlain()
    const out: { [name: string]: CborValue } = {}
    let before = ''
    for (let count = 0; count < length; count++) {
      const first = this.#byte()
      if (first >> 5 !== TEXT) throw new NotPlain()
      const key = this.#text(this.#length(first))
      if (!isAscii(key) || (count > 0 && inOrder(before, key) >= 0)) throw new NotPlain()
      const value = this.take(depth + 1)
      // defined, not assigned: a client may name its metadata so
      if (key === '__proto__')
        Object.defineProperty(out, key, { value, enumerable: true, writable: true, configurable: true })
      else out[key] = value
      before = key
    }
    return out
  }

  #text(length: number): string {
    const start = this.#at
    const end = this.#skip(length)
    const text = this.#in.toString('utf8', start, end)
    // as many units as bytes: all ASCII, or something that was no UTF-8
    if (text.length === length ? !isAscii(text) : !Buffer.from(text, 'utf8').equals(this.#in.subarray(start, end)))
      throw new NotPlain()
    return text
  }

  #skip(length: number): number {
    if (length > this.left) throw new NotPlain()
    this.#at += length
    return this.#at
  }

  #byte(): number {
    const byte = this.#in[this.#at++]
    if (byte === undefined) throw new NotPlain()
    return byte
  }

  /** The head's number, in its shortest form. */
  #length(first: number): number {
    const short = first & 31
    if (short < 24) return short
    if (short > 27) throw new NotPlain()
    const size = 1 << (short - 24)
    const at = this.#at
    this.#skip(size)
    const value =
      size === 8
        ? this.#in.readUInt32BE(at) * TWO_32 + this.#in.readUInt32BE(at + 4)
        : size === 4
          ? this.#in.readUInt32BE(at)
          : size === 2
            ? this.#in.readUInt16BE(at)
            : this.#in[at]
    const least = size === 8 ? TWO_32 : size === 4 ? 0x10000 : size === 2 ? 0x100 : 24
    if (value === undefined || value < least || value > Number.MAX_SAFE_INTEGER) throw new NotPlain()
    return value
  }
}
