import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import { asBuffer, equalBytes, giveBack, writeLength, zeroes } from './bytes.ts'
import { FormatError } from './fault.ts'
import { expand } from './kdf.ts'
import { fillRandom } from './random.ts'

/**
 * FLOE (C2SP FLOE.md): random-access authenticated encryption, AES-256-GCM with HKDF-Expand-SHA-384.
 * @see FORMAT.md §3.2
 * Layout of a segment: length word 4 (0xFFFFFFFF when not final) ‖ IV 12 ‖ ciphertext ‖ tag 16.
 */
export const FLOE_HEADER_BYTES = 74
export const SEGMENT_OVERHEAD = 32
export const DEFAULT_SEGMENT_BYTES = 262_144
export const MIN_SEGMENT_BYTES = 1 << 16
export const MAX_SEGMENT_BYTES = 1 << 22

const PARAMETER_BYTES = 10
const IV_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const WORD_BYTES = 4
const NOT_FINAL = 0xffffffff
const MAX_SEGMENTS = 2 ** 40

/** `rotationBits`: segments per derived key, log2; 20 in every writer, other values only in the public test vectors. */
export type FloeParameters = { segmentBytes: number; rotationBits: number }

export const DEFAULT_PARAMETERS: FloeParameters = { segmentBytes: DEFAULT_SEGMENT_BYTES, rotationBits: 20 }

function encodeParameters(parameters: FloeParameters): Buffer {
  const out = zeroes(PARAMETER_BYTES) // byte 0: AES-256-GCM = 0; byte 1: SHA-384 = 0
  out.writeUInt32BE(parameters.segmentBytes, 2)
  out.writeUInt32BE(IV_BYTES, 6)
  return out
}

const MESSAGE_KEY = Buffer.from('MESSAGE_KEY:', 'ascii')
const HEADER_TAG = Buffer.from('HEADER_TAG:', 'ascii')
const DEK = Buffer.from('DEK:', 'ascii')

/** One message: its header, and its segments in any order. Both directions share the key schedule. */
export class Floe {
  readonly header: Buffer
  readonly parameters: FloeParameters
  readonly #messageKey: Buffer
  readonly #prefix: Buffer
  readonly #aad: Uint8Array
  #key: KeyObject | null = null
  #keyEpoch = -1

  private constructor(header: Buffer, parameters: FloeParameters, messageKey: Buffer, prefix: Buffer, aad: Uint8Array) {
    this.header = header
    this.parameters = parameters
    this.#messageKey = messageKey
    this.#prefix = prefix
    this.#aad = aad
  }

  /** A new message with a random IV. @param key - 32 bytes, used for one message only */
  static start(key: Uint8Array, aad: Uint8Array, parameters: FloeParameters = DEFAULT_PARAMETERS): Floe {
    const header = zeroes(FLOE_HEADER_BYTES)
    encodeParameters(parameters).copy(header)
    fillRandom(header, PARAMETER_BYTES, IV_BYTES)
    const { messageKey, tag, prefix } = Floe.#schedule(key, aad, header)
    tag.copy(header, PARAMETER_BYTES + IV_BYTES)
    return new Floe(header, parameters, messageKey, prefix, aad)
  }

  /**
   * A message whose header is at hand; the header tag commits to key, IV, parameters and `aad`.
   *
   * @throws FormatError "tampered" - wrong key, wrong context, or a changed header
   * @throws FormatError "mismatch" - other parameters than the reader expects
   */
  static open(
    key: Uint8Array,
    aad: Uint8Array,
    header: Uint8Array,
    parameters: FloeParameters = DEFAULT_PARAMETERS,
  ): Floe {
    const bytes = asBuffer(header)
    if (bytes.length !== FLOE_HEADER_BYTES)
      throw new FormatError('truncated', `FLOE header: wanted ${FLOE_HEADER_BYTES} bytes, found ${bytes.length}`)
    if (!encodeParameters(parameters).equals(bytes.subarray(0, PARAMETER_BYTES)))
      throw new FormatError('mismatch', 'FLOE header: other parameters than the core header names')
    const { messageKey, tag, prefix } = Floe.#schedule(key, aad, bytes)
    if (!equalBytes(tag, bytes.subarray(PARAMETER_BYTES + IV_BYTES)))
      throw new FormatError('tampered', 'FLOE header: its tag does not fit this key and context')
    return new Floe(bytes, parameters, messageKey, prefix, aad)
  }

  static #schedule(
    key: Uint8Array,
    aad: Uint8Array,
    header: Buffer,
  ): { messageKey: Buffer; tag: Buffer; prefix: Buffer } {
    if (key.length !== 32) throw new FormatError('malformed', `object key: wanted 32 bytes, found ${key.length}`)
    const prefix = header.subarray(0, PARAMETER_BYTES + IV_BYTES)
    return {
      prefix,
      messageKey: expand(key, Buffer.concat([prefix, MESSAGE_KEY, aad]), 48),
      tag: expand(key, Buffer.concat([prefix, HEADER_TAG, aad]), 32),
    }
  }

  #segmentKey(index: number): KeyObject {
    const size = 2 ** this.parameters.rotationBits
    const epoch = Math.floor(index / size)
    if (this.#key === null || epoch !== this.#keyEpoch) {
      const counter = Buffer.alloc(8)
      writeLength(counter, epoch * size, 0)
      const raw = expand(this.#messageKey, Buffer.concat([this.#prefix, DEK, counter, this.#aad]), 32)
      this.#key = createSecretKey(raw)
      raw.fill(0)
      this.#keyEpoch = epoch
    }
    return this.#key
  }

  /** Seals one segment into `out` at `offset`; each index at most once, exactly one of them final. @returns bytes written */
  sealSegment(index: number, plaintext: Uint8Array, final: boolean, out: Buffer, offset: number): number {
    const nonceEnd = offset + WORD_BYTES + NONCE_BYTES
    const { text, tag } = this.#seal(index, plaintext, final, out.subarray(offset, nonceEnd))
    text.copy(out, nonceEnd)
    tag.copy(out, nonceEnd + text.length)
    giveBack(text)
    return plaintext.length + SEGMENT_OVERHEAD
  }

  /** The same in the order in which the pieces lie: large segments are not copied together. */
  sealPieces(index: number, plaintext: Uint8Array, final: boolean): Buffer[] {
    const head = Buffer.allocUnsafe(WORD_BYTES + NONCE_BYTES)
    const { text, tag } = this.#seal(index, plaintext, final, head)
    return [head, text, tag]
  }

  /** @param head - receives length word and IV */
  #seal(index: number, plaintext: Uint8Array, final: boolean, head: Buffer): { text: Buffer; tag: Buffer } {
    const room = this.parameters.segmentBytes - SEGMENT_OVERHEAD
    if (final ? plaintext.length > room : plaintext.length !== room)
      throw new RangeError('segment: wrong plaintext length')
    if (index >= MAX_SEGMENTS) throw new FormatError('limit', 'more than 2^40 segments in one body')
    head.writeUInt32BE(final ? plaintext.length + SEGMENT_OVERHEAD : NOT_FINAL, 0)
    fillRandom(head, WORD_BYTES, NONCE_BYTES)
    const cipher = createCipheriv('aes-256-gcm', this.#segmentKey(index), head.subarray(WORD_BYTES))
    cipher.setAAD(segmentAad(index, final))
    const text = cipher.update(plaintext)
    cipher.final()
    return { text, tag: cipher.getAuthTag() }
  }

  /**
   * @param final - from an authenticated length, never from the segment itself (FLOE's commitment rests on it)
   * @throws FormatError "tampered" | "malformed"
   */
  openSegment(index: number, segment: Uint8Array, final: boolean): Buffer {
    const bytes = asBuffer(segment)
    if (bytes.length < SEGMENT_OVERHEAD || bytes.length > this.parameters.segmentBytes)
      throw new FormatError('malformed', `segment ${index}: ${bytes.length} bytes`)
    const word = bytes.readUInt32BE(0)
    if (word !== (final ? bytes.length : NOT_FINAL))
      throw new FormatError('tampered', `segment ${index}: its length word is not what its place demands`)
    if (!final && bytes.length !== this.parameters.segmentBytes)
      throw new FormatError('truncated', `segment ${index}: cut short`)
    const textEnd = bytes.length - TAG_BYTES
    const decipher = createDecipheriv(
      'aes-256-gcm',
      this.#segmentKey(index),
      bytes.subarray(WORD_BYTES, WORD_BYTES + NONCE_BYTES),
    )
    decipher.setAuthTag(bytes.subarray(textEnd))
    decipher.setAAD(segmentAad(index, final))
    const plaintext = decipher.update(bytes.subarray(WORD_BYTES + NONCE_BYTES, textEnd))
    try {
      decipher.final()
    } catch (cause) {
      throw new FormatError('tampered', `segment ${index}: its tag does not fit`, { cause })
    }
    return plaintext
  }

  /** Forgets the derived keys. */
  close(): void {
    this.#messageKey.fill(0)
    this.#key = null
  }
}

function segmentAad(index: number, final: boolean): Buffer {
  const aad = Buffer.alloc(9)
  writeLength(aad, index, 0)
  aad[8] = final ? 1 : 0
  return aad
}

/**
 * Length of all segments of a message, header excluded.
 * @param plainBytes - 0 still makes one final segment
 */
export function segmentsLength(plainBytes: number, segmentBytes: number): number {
  const count = segmentCount(plainBytes, segmentBytes)
  return plainBytes + count * SEGMENT_OVERHEAD
}

export function segmentCount(plainBytes: number, segmentBytes: number): number {
  return Math.max(1, Math.ceil(plainBytes / (segmentBytes - SEGMENT_OVERHEAD)))
}
