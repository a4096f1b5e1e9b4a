import type { EpochId, ObjectId, PackId } from '../../format/bytes.ts'
import type { DigestId } from '../../format/digest.ts'
import type { CompositePart } from '../../format/envelope.ts'
import type { ObjectMetadata } from '../../format/metadata.ts'
import type { Index } from '../index-store.ts'
import type { Checksum, ObjectAttributes, ObjectRecord, PartRecord } from '../object-store.ts'

/**
 * Rows of the device's index. It is a cache of the packs: the normal path and recovery both make rows with `commitChanges` and
 * `tombstoneChanges` alone.
 * - object: bucket "/" key            newest version
 * - stone: bucket "/" key             sequence of the newest tombstone
 * - stones: 00                        there is a stone
 * - body: object id                   where a part lies
 * - part: upload id "/" BE16 number   a part of an upload under way
 * - buried: object id                 a part that was taken back, met before it in another pack
 * - upload, upload-name               see uploads.ts
 * - epoch: epoch id                   signed key record and kept metadata key, as in its epoch frame
 * - pack: pack id                     how far the index has read
 * - leaves: drive id, BE64 first index   where a leaves frame lies
 * - total: ""                         objects and bytes visible
 */

/** Where a sealed object lies. */
export type Place = { pack: PackId; commitOffset: number; commitBytes: number; bodyOffset: number }

export type ObjectRow = {
  place: Place
  objectId: ObjectId
  epoch: EpochId
  sequence: number
  size: number
  etag: string
  at: number
  attributes: ObjectAttributes
  checksum?: Checksum
  parts?: number
  /** that it was put together by; absent in an index of an older version */
  upload?: string
}

export type PartRow = {
  place: Place
  objectId: ObjectId
  size: number
  etag: string
  at: number
  sequence: number
  checksum?: Checksum
  /** for the composite's list */
  bodyLength: number
  digestId: DigestId
  digest: string
}
export type BodyRow = { place: Place; upload: string; number: number }
export type Totals = { objects: number; bytes: number }

export const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value), 'utf8')
export const text = (value: string): Buffer => Buffer.from(value, 'utf8')

export function objectKey(bucket: string, key: string): Buffer {
  return text(`${bucket}/${key}`)
}

export function partKey(upload: string, number: number): Buffer {
  const tail = Buffer.alloc(2)
  tail.writeUInt16BE(number)
  return Buffer.concat([text(`${upload}/`), tail])
}

// Only this room writes these rows, under a cipher that authenticates pages: reading casts.
export function decodeRow<T>(value: Buffer): T {
  const row: unknown = JSON.parse(value.toString('utf8'))
  return (Array.isArray(row) ? objectOf(row as ObjectList) : row) as T
}

/** An object's row as a list: there are as many as objects, and names of fields would be half of it. What is not there is left out. */
type ObjectList = [
  ...[pack: PackId, commitOffset: number, commitBytes: number, bodyOffset: number, objectId: ObjectId, epoch: EpochId],
  ...[sequence: number, size: number, etag: string, at: number],
  ...[attributes?: ObjectAttributes | null, checksum?: Checksum | null, parts?: number, upload?: string],
]

export function encodeObject(row: ObjectRow): Buffer {
  const { pack, commitOffset, commitBytes, bodyOffset } = row.place
  const { objectId, epoch, sequence, size, etag, at, attributes, checksum, parts, upload } = row
  const place = [pack, commitOffset, commitBytes, bodyOffset] as const
  const list: ObjectList = [...place, objectId, epoch, sequence, size, etag, at]
  if (parts !== undefined) list.push(attributes, checksum ?? null, parts, ...(upload === undefined ? [] : [upload]))
  else if (checksum !== undefined) list.push(attributes, checksum)
  else if (!isPlain(attributes)) list.push(attributes)
  return json(list)
}

function objectOf(list: ObjectList): ObjectRow {
  const [pack, commitOffset, commitBytes, bodyOffset, objectId, epoch, sequence, size, etag, at] = list
  const [attributes, checksum, parts, upload] = [list[10], list[11], list[12], list[13]]
  const row: ObjectRow = {
    place: { pack, commitOffset, commitBytes, bodyOffset },
    objectId,
    epoch,
    sequence,
    size,
    etag,
    at,
    attributes: attributes ?? { headers: {}, metadata: {} },
  }
  if (checksum) row.checksum = checksum
  if (parts !== undefined) row.parts = parts
  if (upload !== undefined) row.upload = upload
  return row
}

function isPlain({ headers, metadata, contentType, link }: ObjectAttributes): boolean {
  for (const _ in headers) return false
  for (const _ in metadata) return false
  return contentType === undefined && link === undefined
}

export function readObject(index: Index, bucket: string, key: string): ObjectRow | null {
  const value = index.get('object', objectKey(bucket, key))
  return value === null ? null : decodeRow<ObjectRow>(value)
}

export function readBody(index: Index, objectId: ObjectId): BodyRow | null {
  const value = index.get('body', text(objectId))
  return value === null ? null : decodeRow<BodyRow>(value)
}

export function readTotals(index: Index): Totals {
  const value = index.get('total', Buffer.of(0))
  return value === null ? { objects: 0, bytes: 0 } : decodeRow<Totals>(value)
}

export function toRecord(bucket: string, key: string, row: ObjectRow): ObjectRecord {
  return {
    bucket,
    key,
    size: row.size,
    etag: row.etag,
    modifiedAt: new Date(row.at),
    attributes: row.attributes,
    ...(row.checksum && { checksum: row.checksum }),
    ...(row.parts !== undefined && { parts: row.parts }),
  }
}

export function attributesOf(
  metadata: Pick<ObjectMetadata, 'headers' | 'user' | 'contentType' | 'link'>,
): ObjectAttributes {
  return {
    headers: metadata.headers,
    metadata: metadata.user,
    ...(metadata.contentType !== undefined && { contentType: metadata.contentType }),
    ...(metadata.link !== undefined && { link: metadata.link }),
  }
}

export function toCompositePart(row: PartRow): CompositePart {
  return {
    objectId: row.objectId,
    plaintextLength: row.size,
    bodyLength: row.bodyLength,
    digestId: row.digestId,
    digest: Buffer.from(row.digest, 'base64'),
  }
}

export function toPartRecord(number: number, row: PartRow): PartRecord {
  return {
    partNumber: number,
    size: row.size,
    etag: row.etag,
    modifiedAt: new Date(row.at),
    ...(row.checksum && { checksum: row.checksum }),
  }
}
