import { createHash, hash } from 'node:crypto'
import { Blake3Hasher, blake3 } from '@napi-rs/blake-hash'
import { asBuffer } from './bytes.ts'
import { FormatError } from './fault.ts'

/** Digest ids on media. FORMAT.md §2.2 */
export const BLAKE3_256 = 1
export const SHA_256 = 2
export type DigestId = typeof BLAKE3_256 | typeof SHA_256
export const DIGEST_BYTES = 32

/** SHA-256 is the faster of the two up to here (one native call without streaming state). */
export const SHORT_BODY_BYTES = 16_384

export interface Hasher {
  update(bytes: Uint8Array): void
  digest(): Buffer
}

/** @throws FormatError "unsupported" */
export function parseDigestId(id: number): DigestId {
  if (id !== BLAKE3_256 && id !== SHA_256)
    throw new FormatError('unsupported', `digest id ${id}; this reader knows 1 (BLAKE3-256) and 2 (SHA-256)`)
  return id
}

/** Of what may be known: a digest as a string and from there into shared memory takes half the time of one with memory of its own. */
export function sha256(bytes: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(32)
  out.write(hash('sha256', bytes, 'binary'), 0, 'latin1')
  return out
}

/** As `sha256`. */
export function sha384(bytes: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(48)
  out.write(hash('sha384', bytes, 'binary'), 0, 'latin1')
  return out
}

export function digestOf(id: DigestId, bytes: Uint8Array): Buffer {
  return id === SHA_256 ? sha256(bytes) : blake3(asBuffer(bytes))
}

export function startDigest(id: DigestId): Hasher {
  if (id === SHA_256) {
    const inner = createHash('sha256')
    return { update: bytes => void inner.update(bytes), digest: () => inner.digest() }
  }
  const inner = new Blake3Hasher()
  return { update: bytes => void inner.update(asBuffer(bytes)), digest: () => inner.digestBuffer() }
}

/**
 * The native BLAKE3 must give the known answer before anything is sealed with it.
 * @throws FormatError "unsupported"
 */
export function selfTestDigests(): void {
  const known = 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262' // BLAKE3 of the empty string, official vectors
  const hasher = startDigest(BLAKE3_256)
  hasher.update(Buffer.alloc(0))
  if (digestOf(BLAKE3_256, Buffer.alloc(0)).toString('hex') !== known || hasher.digest().toString('hex') !== known)
    throw new FormatError('unsupported', 'BLAKE3 does not give its known answer on this machine: do not seal here')
}
