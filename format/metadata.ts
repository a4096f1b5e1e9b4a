import type { KeyObject } from 'node:crypto'
import { type EpochId, idBytes, type JobId, type ObjectId } from './bytes.ts'
import { type CborValue, decodeCbor, encodeCbor, Fields } from './cbor.ts'
import { DIGEST_BYTES, type DigestId, parseDigestId } from './digest.ts'
import { openSmall, sealSmall } from './epoch-key.ts'
import { FormatError } from './fault.ts'
import { label } from './kdf.ts'

/**
 * Sealed metadata: everything that says what an object is, apart from its content.
 * @see FORMAT.md §4.4
 */
export type ObjectMetadata = {
  bucket: string
  key: string
  /** ms since 1970 UTC */
  modifiedAt: number
  etag: string
  contentType?: string
  headers: Record<string, string>
  user: Record<string, string>
  /** target of the symbolic link that this (empty) object stands for */
  link?: string
  checksum?: { name: string; value: string; type: string }
  /** digest of the cleartext: the device's statement */
  digest?: { id: DigestId; bytes: Buffer }
  part?: { upload: string; number: number }
}

/** What a tombstone takes back. */
export type TombstoneMetadata = { bucket: string; key: string; objectIds: ObjectId[] }

export const METADATA_LIMIT = 64 << 10
export const KEY_BYTES_LIMIT = 1024
const BUCKET_BYTES_LIMIT = 255
const LINK_BYTES_LIMIT = 4096
const PAIRS_LIMIT = 512

/** @throws FormatError "limit" - what no reader would take is not written */
export function encodeMetadata(metadata: ObjectMetadata): Buffer {
  writable('bucket', metadata.bucket, BUCKET_BYTES_LIMIT)
  writable('key', metadata.key, KEY_BYTES_LIMIT)
  writable('link', metadata.link ?? '', LINK_BYTES_LIMIT)
  const map: { [name: string]: CborValue } = {
    b: metadata.bucket,
    k: metadata.key,
    m: metadata.modifiedAt,
    e: metadata.etag,
    h: metadata.headers,
    u: metadata.user,
  }
  if (metadata.contentType !== undefined) map.t = metadata.contentType
  if (metadata.link !== undefined) map.l = metadata.link
  if (metadata.checksum !== undefined) map.c = [metadata.checksum.name, metadata.checksum.value, metadata.checksum.type]
  if (metadata.digest !== undefined) map.d = [metadata.digest.id, metadata.digest.bytes]
  if (metadata.part !== undefined) map.p = [metadata.part.upload, metadata.part.number]
  const out = encodeCbor(map)
  if (out.length > METADATA_LIMIT)
    throw new FormatError('limit', `object metadata: at most ${METADATA_LIMIT} bytes, found ${out.length}`)
  return out
}

function writable(name: string, text: string, max: number): void {
  if (text.length > max || Buffer.byteLength(text) > max)
    throw new FormatError('limit', `object metadata: ${name} has more than ${max} bytes`)
}

/** @throws FormatError "malformed" | "limit" | "unsupported" */
export function parseMetadata(bytes: Uint8Array): ObjectMetadata {
  const what = 'object metadata'
  const fields = new Fields(decodeCbor(bytes, METADATA_LIMIT, what), what)
  const out: ObjectMetadata = {
    bucket: fields.text('b', BUCKET_BYTES_LIMIT),
    key: fields.text('k', KEY_BYTES_LIMIT),
    modifiedAt: fields.count('m'),
    etag: fields.text('e', 256),
    headers: fields.texts('h', PAIRS_LIMIT, METADATA_LIMIT),
    user: fields.texts('u', PAIRS_LIMIT, METADATA_LIMIT),
  }
  if (fields.has('t')) out.contentType = fields.text('t', 1024)
  if (fields.has('l')) out.link = fields.text('l', LINK_BYTES_LIMIT)
  if (fields.has('c')) {
    const triple = new Fields(named(['name', 'value', 'type'], fields.take('c')), `${what}: checksum`)
    out.checksum = { name: triple.text('name', 256), value: triple.text('value', 256), type: triple.text('type', 256) }
    triple.end()
  }
  if (fields.has('d')) {
    const pair = new Fields(named(['id', 'bytes'], fields.take('d')), `${what}: digest`)
    out.digest = { id: parseDigestId(pair.count('id')), bytes: pair.bytes('bytes', DIGEST_BYTES) }
    pair.end()
  }
  if (fields.has('p')) {
    const pair = new Fields(named(['upload', 'number'], fields.take('p')), `${what}: part`)
    out.part = { upload: pair.text('upload', 128), number: pair.count('number', 10_000) }
    pair.end()
  }
  fields.end()
  return out
}

function named(names: string[], value: CborValue): CborValue {
  if (!Array.isArray(value) || value.length !== names.length) return null
  return Object.fromEntries(names.map((name, at) => [name, value[at] ?? null]))
}

/** What sealed metadata belong to; AAD of their sealing. `epoch` is the id of the key-encrypting key. */
export type MetadataPlace = { kind: number; objectId: ObjectId; job: JobId; epoch: EpochId }

function placeAad(place: MetadataPlace): Buffer {
  return label('metadata', Buffer.of(place.kind), idBytes(place.objectId), idBytes(place.job), idBytes(place.epoch))
}

export function sealMetadata(metadataKey: KeyObject, place: MetadataPlace, plain: Uint8Array): Buffer {
  return sealSmall(metadataKey, plain, placeAad(place))
}

/** @throws FormatError "tampered" */
export function openMetadata(metadataKey: KeyObject, place: MetadataPlace, sealed: Uint8Array): Buffer {
  return openSmall(metadataKey, sealed, placeAad(place), `metadata of object ${place.objectId}`)
}

export function encodeTombstone(tombstone: TombstoneMetadata): Buffer {
  return encodeCbor({ b: tombstone.bucket, k: tombstone.key, o: tombstone.objectIds.map(idBytes) })
}

export function parseTombstone(bytes: Uint8Array): TombstoneMetadata {
  const what = 'tombstone'
  const fields = new Fields(decodeCbor(bytes, METADATA_LIMIT * 16, what), what)
  const out: TombstoneMetadata = {
    bucket: fields.text('b', BUCKET_BYTES_LIMIT),
    key: fields.text('k', KEY_BYTES_LIMIT),
    objectIds: fields.list('o', 10_001, (item, place) => new Fields({ item }, place).id<ObjectId>('item')),
  }
  fields.end()
  return out
}
