import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import { asBuffer, type EpochId, equalBytes, idBytes, type JobId } from './bytes.ts'
import { FormatError } from './fault.ts'
import { expand, label } from './kdf.ts'
import { fillRandom } from './random.ts'

/**
 * What is derived from an epoch key, once. The epoch key itself is wiped by whoever made it.
 * `metadataKey` opens names, sizes and digests and nothing else: intake is given it and learns no byte of content.
 * @see FORMAT.md §4.1
 */
export type EpochKeys = { wrapKey: KeyObject; metadataKey: KeyObject }

export const EPOCH_KEY_BYTES = 32
export const COMMITMENT_BYTES = 32

export function deriveEpochKeys(epochKey: Uint8Array): EpochKeys {
  const wrap = expand(epochKey, label('wrap key'), 32)
  const metadata = deriveMetadataKey(epochKey)
  const keys = { wrapKey: createSecretKey(wrap), metadataKey: createSecretKey(metadata) }
  wrap.fill(0)
  metadata.fill(0)
  return keys
}

/** The 32 bytes that open sealed metadata of the epoch. */
export function deriveMetadataKey(epochKey: Uint8Array): Buffer {
  return expand(epochKey, label('metadata key'), 32)
}

/** Names the one epoch key that fits a key record; checked in constant time before any use of an opened key. */
export function epochCommitment(epochKey: Uint8Array, job: JobId, epoch: EpochId): Buffer {
  return expand(epochKey, label('epoch commitment', idBytes(job), idBytes(epoch)), COMMITMENT_BYTES)
}

/** @throws FormatError "tampered" */
export function checkCommitment(epochKey: Uint8Array, job: JobId, epoch: EpochId, commitment: Uint8Array): void {
  if (epochKey.length !== EPOCH_KEY_BYTES || !equalBytes(epochCommitment(epochKey, job, epoch), commitment))
    throw new FormatError('tampered', `epoch ${epoch}: the opened key is not the one that its record commits to`)
}

const NONCE_BYTES = 12
const TAG_BYTES = 16

/** AES-256-GCM with a random nonce: nonce 12 ‖ ciphertext ‖ tag 16. At most 2^32 uses a key: NIST SP 800-38D §8.3; ours see 10,000. */
export function sealSmall(key: KeyObject, plaintext: Uint8Array, aad: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(NONCE_BYTES + plaintext.length + TAG_BYTES)
  fillRandom(out, 0, NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, out.subarray(0, NONCE_BYTES))
  cipher.setAAD(aad)
  cipher.update(plaintext).copy(out, NONCE_BYTES)
  cipher.final()
  cipher.getAuthTag().copy(out, NONCE_BYTES + plaintext.length)
  return out
}

/** @throws FormatError "tampered" | "truncated" */
export function openSmall(key: KeyObject, sealed: Uint8Array, aad: Uint8Array, what: string): Buffer {
  const bytes = asBuffer(sealed)
  if (bytes.length < NONCE_BYTES + TAG_BYTES) throw new FormatError('truncated', `${what}: ${bytes.length} bytes`)
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES))
  decipher.setAAD(aad)
  decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES))
  const text = decipher.update(bytes.subarray(NONCE_BYTES, bytes.length - TAG_BYTES))
  try {
    decipher.final()
  } catch (cause) {
    throw new FormatError('tampered', `${what}: its tag does not fit`, { cause })
  }
  return text
}

/** A metadata key kept under the device's index key, in the epoch frame: the index is always rebuildable from the packs. */
export function wrapMetadataKey(indexKey: KeyObject, metadataKey: Uint8Array, epoch: EpochId): Buffer {
  return sealSmall(indexKey, metadataKey, label('kept metadata key', idBytes(epoch)))
}

export function unwrapMetadataKey(indexKey: KeyObject, wrapped: Uint8Array, epoch: EpochId): Buffer {
  return openSmall(indexKey, wrapped, label('kept metadata key', idBytes(epoch)), `metadata key of epoch ${epoch}`)
}

export const WRAPPED_METADATA_KEY_BYTES = NONCE_BYTES + 32 + TAG_BYTES
