import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto'
import {
  asBuffer,
  type EpochId,
  idBytes,
  type JobId,
  needBytes,
  type ObjectId,
  readId,
  readLength,
  writeLength,
  zeroes,
} from './bytes.ts'
import { type ObjectContext, objectContextHash } from './context.ts'
import { DIGEST_BYTES, type DigestId, parseDigestId, SHA_256, sha256, sha384 } from './digest.ts'
import { FormatError } from './fault.ts'
import { label } from './kdf.ts'
import { METADATA_LIMIT } from './metadata.ts'
import { fillRandom } from './random.ts'

/** A sealed object's kinds. A tombstone has no envelope but shares the numbering in leaves. */
export const OBJECT = 1
export const PART = 2
export const COMPOSITE = 3
export const TOMBSTONE = 4
export type EnvelopeKind = typeof OBJECT | typeof PART | typeof COMPOSITE

/** Which key wrapped the object key. */
export const EPOCH_KEK = 1
export const KEYSTORE_KEK = 2
export type KekKind = typeof EPOCH_KEK | typeof KEYSTORE_KEK

/** One line of a composite's authenticated list. */
export type CompositePart = {
  objectId: ObjectId
  plaintextLength: number
  bodyLength: number
  digestId: DigestId
  digest: Buffer
}

/** Everything of an envelope but the wrapping itself. @see FORMAT.md §4.2 */
export type EnvelopeFields = {
  kind: EnvelopeKind
  kekKind: KekKind
  kekId: EpochId
  job: JobId
  objectId: ObjectId
  plaintextLength: number
  /** 0 for a composite, which has no body */
  bodyLength: number
  digestId: DigestId
  /** of the whole body; for a composite of its encoded part list */
  digest: Buffer
  sealedMetadata: Buffer
  parts: CompositePart[]
}

export type Envelope = EnvelopeFields & { nonce: Buffer; wrappedKey: Buffer; fixed: Buffer }

export const MAX_PARTS = 10_000
const PART_BYTES = 65
const AT = {
  magic: 0,
  version: 4,
  kind: 5,
  kekKind: 6,
  digestId: 7,
  kekId: 8,
  job: 24,
  objectId: 40,
  plaintextLength: 56,
  bodyLength: 64,
  digest: 72,
  nonce: 104,
  wrappedKey: 116,
  metadataLength: 164,
  partCount: 168,
  metadata: 172,
} as const
/** Fixed fields are all before the nonce: they are the AAD's middle part. */
const FIXED_BYTES = AT.nonce
const WRAPPED_KEY_BYTES = 48
const MAGIC = Buffer.from('SLEV', 'ascii')
const VERSION = 1
const OBJECT_KEY_BYTES = 32

export const ENVELOPE_LIMIT = AT.metadata + METADATA_LIMIT + 64 + MAX_PARTS * PART_BYTES

export function encodeParts(parts: CompositePart[]): Buffer {
  const out = Buffer.alloc(parts.length * PART_BYTES)
  parts.forEach((part, index) => {
    const at = index * PART_BYTES
    idBytes(part.objectId).copy(out, at)
    writeLength(out, part.plaintextLength, at + 16)
    writeLength(out, part.bodyLength, at + 24)
    out[at + 32] = part.digestId
    part.digest.copy(out, at + 33)
  })
  return out
}

function parsePart(bytes: Buffer, at: number): CompositePart {
  return {
    objectId: readId(bytes, at),
    plaintextLength: readLength(bytes, at + 16, 'plaintext length'),
    bodyLength: readLength(bytes, at + 24, 'body length'),
    digestId: parseDigestId(bytes[at + 32] ?? 0),
    digest: bytes.subarray(at + 33, at + 33 + DIGEST_BYTES),
  }
}

function writeFixed(out: Buffer, fields: EnvelopeFields): void {
  MAGIC.copy(out, AT.magic)
  out[AT.version] = VERSION
  out[AT.kind] = fields.kind
  out[AT.kekKind] = fields.kekKind
  out[AT.digestId] = fields.digestId
  idBytes(fields.kekId).copy(out, AT.kekId)
  idBytes(fields.job).copy(out, AT.job)
  idBytes(fields.objectId).copy(out, AT.objectId)
  writeLength(out, fields.plaintextLength, AT.plaintextLength)
  writeLength(out, fields.bodyLength, AT.bodyLength)
  fields.digest.copy(out, AT.digest)
}

/** A composite has no core header; its object id stands in for it. FORMAT.md §4.2 */
export function compositeHeaderHash(objectId: ObjectId): Buffer {
  return sha384(label('composite', idBytes(objectId)))
}

function wrapAad(coreHash: Uint8Array, fixed: Uint8Array, sealedMetadata: Uint8Array, context: ObjectContext): Buffer {
  return Buffer.concat([label('wrap'), coreHash, fixed, sha256(sealedMetadata), objectContextHash(context)])
}

/**
 * Wraps the object key under `wrapKey` and everything else of the envelope with it.
 *
 * @param coreHash - `coreHeaderHash`, or `compositeHeaderHash` for a composite
 */
export function sealEnvelope(
  wrapKey: KeyObject,
  objectKey: Uint8Array,
  fields: EnvelopeFields,
  coreHash: Uint8Array,
  context: ObjectContext,
): Buffer {
  if (objectKey.length !== OBJECT_KEY_BYTES)
    throw new FormatError('malformed', `object key: wanted 32 bytes, found ${objectKey.length}`)
  if (fields.parts.length > MAX_PARTS)
    throw new FormatError('limit', `envelope: ${fields.parts.length} parts; at most ${MAX_PARTS}`)
  const out = zeroes(AT.metadata + fields.sealedMetadata.length + fields.parts.length * PART_BYTES)
  writeFixed(out, fields)
  fillRandom(out, AT.nonce, AT.wrappedKey - AT.nonce)
  const cipher = createCipheriv('aes-256-gcm', wrapKey, out.subarray(AT.nonce, AT.wrappedKey))
  cipher.setAAD(wrapAad(coreHash, out.subarray(0, FIXED_BYTES), fields.sealedMetadata, context))
  cipher.update(objectKey).copy(out, AT.wrappedKey)
  cipher.final()
  cipher.getAuthTag().copy(out, AT.wrappedKey + OBJECT_KEY_BYTES)
  out.writeUInt32BE(fields.sealedMetadata.length, AT.metadataLength)
  out.writeUInt32BE(fields.parts.length, AT.partCount)
  fields.sealedMetadata.copy(out, AT.metadata)
  if (fields.parts.length > 0) encodeParts(fields.parts).copy(out, AT.metadata + fields.sealedMetadata.length)
  return out
}

/** @throws FormatError "truncated" | "malformed" | "unsupported" | "limit" */
export function parseEnvelope(bytes: Uint8Array): Envelope {
  const view = asBuffer(bytes)
  needBytes(view, 0, AT.metadata, 'envelope')
  if (!view.subarray(AT.magic, AT.version).equals(MAGIC))
    throw new FormatError('malformed', 'envelope: does not begin with SLEV')
  if (view[AT.version] !== VERSION)
    throw new FormatError('unsupported', `envelope: version ${view[AT.version]}; this reader knows ${VERSION}`)
  const kind = view[AT.kind]
  if (kind !== OBJECT && kind !== PART && kind !== COMPOSITE)
    throw new FormatError('unsupported', `envelope: kind ${kind}`)
  const kekKind = view[AT.kekKind]
  if (kekKind !== EPOCH_KEK && kekKind !== KEYSTORE_KEK)
    throw new FormatError('unsupported', `envelope: kind of key-encrypting key ${kekKind}`)
  const metadataLength = view.readUInt32BE(AT.metadataLength)
  const partCount = view.readUInt32BE(AT.partCount)
  if (metadataLength > METADATA_LIMIT + 64)
    throw new FormatError('limit', `envelope: ${metadataLength} bytes of metadata`)
  if (partCount > MAX_PARTS) throw new FormatError('limit', `envelope: ${partCount} parts; at most ${MAX_PARTS}`)
  const partsAt = AT.metadata + metadataLength
  if (view.length !== partsAt + partCount * PART_BYTES)
    throw new FormatError(
      'truncated',
      `envelope: wanted ${partsAt + partCount * PART_BYTES} bytes, found ${view.length}`,
    )
  const digestId = parseDigestId(view[AT.digestId] ?? 0)
  const digest = view.subarray(AT.digest, AT.digest + DIGEST_BYTES)
  const bodyLength = readLength(view, AT.bodyLength, 'body length')
  const plaintextLength = readLength(view, AT.plaintextLength, 'plaintext length')
  if ((kind === COMPOSITE) !== (bodyLength === 0))
    throw new FormatError('malformed', 'envelope: a composite, and only a composite, has no body')
  if (kind !== COMPOSITE && partCount > 0) throw new FormatError('malformed', 'envelope: only a composite has parts')
  const parts = Array.from({ length: partCount }, (_, index) => parsePart(view, partsAt + index * PART_BYTES))
  if (kind === COMPOSITE) checkComposite(digestId, digest, plaintextLength, parts, view.subarray(partsAt))
  return {
    kind,
    kekKind,
    kekId: readId(view, AT.kekId),
    job: readId(view, AT.job),
    objectId: readId(view, AT.objectId),
    plaintextLength,
    bodyLength,
    digestId,
    digest,
    sealedMetadata: view.subarray(AT.metadata, partsAt),
    parts,
    nonce: view.subarray(AT.nonce, AT.wrappedKey),
    wrappedKey: view.subarray(AT.wrappedKey, AT.wrappedKey + WRAPPED_KEY_BYTES),
    fixed: view.subarray(0, FIXED_BYTES),
  }
}

function checkComposite(
  digestId: DigestId,
  digest: Buffer,
  plaintextLength: number,
  parts: CompositePart[],
  encoded: Buffer,
): void {
  if (digestId !== SHA_256) throw new FormatError('malformed', 'envelope: a part list is digested with SHA-256')
  if (!sha256(encoded).equals(digest))
    throw new FormatError('tampered', 'envelope: the part list does not fit its digest')
  if (parts.reduce((sum, part) => sum + part.plaintextLength, 0) !== plaintextLength)
    throw new FormatError('malformed', 'envelope: the parts do not add up to the plaintext length')
}

/**
 * The object key; with it lengths, digest, metadata and part list are authentic too.
 *
 * @throws FormatError "tampered" - other key, name, bucket, job, account, header or a changed envelope
 */
export function openEnvelope(
  wrapKey: KeyObject,
  envelope: Envelope,
  coreHash: Uint8Array,
  context: ObjectContext,
): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', wrapKey, envelope.nonce)
  decipher.setAAD(wrapAad(coreHash, envelope.fixed, envelope.sealedMetadata, context))
  decipher.setAuthTag(envelope.wrappedKey.subarray(OBJECT_KEY_BYTES))
  const key = decipher.update(envelope.wrappedKey.subarray(0, OBJECT_KEY_BYTES))
  try {
    decipher.final()
  } catch (cause) {
    throw new FormatError('tampered', `object ${envelope.objectId}: its wrapped key does not open in this context`, {
      cause,
    })
  }
  return key
}
