import type { DriveId, EpochId, ObjectId, PackId } from '../../format/bytes.ts'
import type { DigestId } from '../../format/digest.ts'
import { COMPOSITE, type CompositePart, type Envelope, PART } from '../../format/envelope.ts'
import type { Commit } from '../../format/frame.ts'
import type { ObjectMetadata, TombstoneMetadata } from '../../format/metadata.ts'
import type { Index, IndexChange } from '../index-store.ts'
import type { Checksum, ObjectAttributes, ObjectRecord, PartRecord, UploadId } from '../object-store.ts'

/**
 * Rows of the device's index. It is a cache of the packs: the normal path and recovery both make rows with `commitChanges` and
 * `tombstoneChanges` alone.
 * - object: bucket "/" key            newest version
 * - stone: bucket "/" key             sequence of the newest tombstone
 * - body: object id                   where a part lies
 * - part: upload id "/" BE16 number   a part of an upload under way
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

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value), 'utf8')
const text = (value: string): Buffer => Buffer.from(value, 'utf8')

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
  return JSON.parse(value.toString('utf8')) as T
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

function totalChange(index: Index, objects: number, bytes: number): IndexChange {
  const now = readTotals(index)
  return {
    table: 'total',
    key: Buffer.of(0),
    value: json({ objects: now.objects + objects, bytes: now.bytes + bytes }),
  }
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

export function attributesOf(metadata: ObjectMetadata): ObjectAttributes {
  return {
    headers: metadata.headers,
    metadata: metadata.user,
    ...(metadata.contentType !== undefined && { contentType: metadata.contentType }),
    ...(metadata.link !== undefined && { link: metadata.link }),
  }
}

const CHECKSUMS: Checksum['name'][] = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256']

function checksumOf(metadata: ObjectMetadata): Checksum | null {
  const found = metadata.checksum
  const name = CHECKSUMS.find(each => each === found?.name)
  if (found === undefined || name === undefined) return null
  return { name, value: found.value, type: found.type === 'COMPOSITE' ? 'COMPOSITE' : 'FULL_OBJECT' }
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

/** Index changes of one committed object, part or composite. Nothing when a newer version of the name is known already. */
export function commitChanges(
  index: Index,
  place: Place,
  commit: Commit,
  envelope: Envelope,
  metadata: ObjectMetadata,
): IndexChange[] {
  const checksum = checksumOf(metadata)
  if (envelope.kind === PART && metadata.part !== undefined) {
    const { upload, number } = metadata.part
    const row: PartRow = {
      place,
      objectId: envelope.objectId,
      size: envelope.plaintextLength,
      etag: metadata.etag,
      at: metadata.modifiedAt,
      sequence: commit.sequence,
      bodyLength: envelope.bodyLength,
      digestId: envelope.digestId,
      digest: envelope.digest.toString('base64'),
      ...(checksum && { checksum }),
    }
    const body: BodyRow = { place, upload, number }
    const changes: IndexChange[] = [{ table: 'body', key: text(envelope.objectId), value: json(body) }]
    if (index.get('closed', text(upload)) !== null) return changes
    const key = partKey(upload, number)
    const old = index.get('part', key)
    if (old === null || decodeRow<PartRow>(old).sequence < commit.sequence)
      changes.push({ table: 'part', key, value: json(row) })
    changes.push(...openUpload(index, upload, metadata, metadata.modifiedAt))
    return changes
  }
  const changes: IndexChange[] = []
  if (envelope.kind === COMPOSITE && metadata.part !== undefined)
    changes.push(...closeUpload(index, metadata.part.upload))
  const key = objectKey(metadata.bucket, metadata.key)
  const stone = index.get('stone', key)
  if (stone !== null && decodeRow<number>(stone) > commit.sequence) return changes
  const old = readObject(index, metadata.bucket, metadata.key)
  if (old !== null && old.sequence >= commit.sequence) return changes
  const row: ObjectRow = {
    place,
    objectId: envelope.objectId,
    epoch: envelope.kekId,
    sequence: commit.sequence,
    size: envelope.plaintextLength,
    etag: metadata.etag,
    at: metadata.modifiedAt,
    attributes: attributesOf(metadata),
    ...(checksum && { checksum }),
    ...(envelope.kind === COMPOSITE && { parts: envelope.parts.length }),
  }
  changes.push({ table: 'object', key, value: json(row) })
  changes.push(totalChange(index, old === null ? 1 : 0, row.size - (old?.size ?? 0)))
  return changes
}

/** A tombstone takes back every version of the name before it, and the parts of an upload that it names. */
export function tombstoneChanges(index: Index, sequence: number, stone: TombstoneMetadata): IndexChange[] {
  const changes: IndexChange[] = []
  if (stone.key !== '') {
    const key = objectKey(stone.bucket, stone.key)
    changes.push({ table: 'stone', key, value: json(sequence) })
    const old = readObject(index, stone.bucket, stone.key)
    if (old !== null && old.sequence < sequence)
      changes.push({ table: 'object', key, value: null }, totalChange(index, -1, -old.size))
  }
  for (const objectId of stone.objectIds) {
    const body = readBody(index, objectId)
    if (body === null) continue
    changes.push(
      { table: 'body', key: text(objectId), value: null },
      { table: 'part', key: partKey(body.upload, body.number), value: null },
    )
    changes.push(...closeUpload(index, body.upload))
  }
  return changes
}

export type UploadRow = {
  bucket: string
  key: string
  at: number
  attributes: ObjectAttributes
  checksum?: { name: Checksum['name']; type: Checksum['type'] }
}

export function openUpload(index: Index, upload: string, metadata: ObjectMetadata, at: number): IndexChange[] {
  if (index.get('upload', text(upload)) !== null) return []
  return uploadChanges(upload, { bucket: metadata.bucket, key: metadata.key, at, attributes: attributesOf(metadata) })
}

export function uploadChanges(upload: string, row: UploadRow): IndexChange[] {
  return [
    { table: 'upload', key: text(upload), value: json(row) },
    { table: 'upload-name', key: uploadNameKey(row.bucket, row.key, upload), value: Buffer.alloc(0) },
  ]
}

export function readUpload(index: Index, upload: string): UploadRow | null {
  const value = index.get('upload', text(upload))
  return value === null ? null : decodeRow<UploadRow>(value)
}

/** Rows of an upload that is over. `closed` keeps a replayed part from opening it again. */
export function closeUpload(index: Index, upload: string): IndexChange[] {
  const changes: IndexChange[] = [{ table: 'closed', key: text(upload), value: Buffer.alloc(0) }]
  const row = readUpload(index, upload)
  if (row !== null)
    changes.push(
      { table: 'upload', key: text(upload), value: null },
      { table: 'upload-name', key: uploadNameKey(row.bucket, row.key, upload), value: null },
    )
  for (const { key } of index.scan('part', { prefix: text(`${upload}/`), limit: 10_000 }))
    changes.push({ table: 'part', key, value: null })
  return changes
}

export function partsOf(
  index: Index,
  upload: string,
  after: number,
  limit: number,
): { number: number; row: PartRow }[] {
  return index
    .scan('part', { prefix: text(`${upload}/`), after: partKey(upload, after), limit })
    .map(({ key, value }) => ({ number: key.readUInt16BE(key.length - 2), row: decodeRow<PartRow>(value) }))
}

/** A key may hold NUL: written 00 ff, so that the terminator 00 01 sorts below everything that goes on. */
export function escapedKey(key: string): Buffer {
  return Buffer.from(text(key).toString('latin1').replaceAll('\0', '\0\xff'), 'latin1')
}

export function uploadNameKey(bucket: string, key: string, upload: string): Buffer {
  return Buffer.concat([text(`${bucket}/`), escapedKey(key), Buffer.of(0, 1), text(upload)])
}

export type EpochRow = { record: string; kept: string }

export function epochChange(epoch: EpochId, keyRecord: Buffer, keptMetadataKey: Buffer): IndexChange {
  const row: EpochRow = { record: keyRecord.toString('base64'), kept: keptMetadataKey.toString('base64') }
  return { table: 'epoch', key: text(epoch), value: json(row) }
}

export function readEpoch(index: Index, epoch: EpochId): { keyRecord: Buffer; keptMetadataKey: Buffer } | null {
  const value = index.get('epoch', text(epoch))
  if (value === null) return null
  const row = decodeRow<EpochRow>(value)
  return { keyRecord: Buffer.from(row.record, 'base64'), keptMetadataKey: Buffer.from(row.kept, 'base64') }
}

/** How far the index has read a pack; rides in the same transaction as the rows that it covers. */
export type PackRow = { offset: number; previous: string }

export function packChange(pack: PackId, offset: number, previous: Buffer): IndexChange {
  const row: PackRow = { offset, previous: previous.toString('hex') }
  return { table: 'pack', key: text(pack), value: json(row) }
}

export function readPack(index: Index, pack: PackId): { offset: number; previous: Buffer } | null {
  const value = index.get('pack', text(pack))
  if (value === null) return null
  const row = decodeRow<PackRow>(value)
  return { offset: row.offset, previous: Buffer.from(row.previous, 'hex') }
}

export function uploadId(text: string): UploadId {
  return text as UploadId
}

/** A leaves frame of a drive: `seal` finds the leaves by these and does not walk the packs. */
export type LeavesRow = { pack: PackId; offset: number; end: number; firstIndex: number; count: number }

export function leavesChange(drive: DriveId, row: LeavesRow): IndexChange {
  const at = Buffer.alloc(8)
  at.writeBigUInt64BE(BigInt(row.firstIndex))
  return { table: 'leaves', key: Buffer.concat([text(drive), at, text(row.pack)]), value: json(row) }
}

/** In tree order. */
export function* readLeavesRows(index: Index, drive: DriveId): Generator<LeavesRow> {
  let after: Buffer | undefined
  for (;;) {
    const page = index.scan('leaves', { prefix: text(drive), limit: 1000, ...(after && { after }) })
    for (const { key, value } of page) {
      yield decodeRow<LeavesRow>(value)
      after = key
    }
    if (page.length < 1000) return
  }
}

/** Takes rows out whose object lies in damaged bytes. Looks at every row: only after damage. @returns their names */
export function forgetDamaged(
  index: Index,
  pack: PackId,
  damage: { offset: number; end: number }[],
): { bucket: string; key: string }[] {
  const names: { bucket: string; key: string }[] = []
  const hit = ({ place }: ObjectRow): boolean =>
    place.pack === pack &&
    damage.some(
      ({ offset, end }) =>
        place.commitOffset + place.commitBytes > offset && (place.bodyOffset || place.commitOffset) < end,
    )
  for (let after: Buffer | undefined; ; ) {
    const page = index.scan('object', { prefix: Buffer.alloc(0), limit: 1000, ...(after && { after }) })
    for (const { key, value } of page) {
      after = key
      const row = decodeRow<ObjectRow>(value)
      if (!hit(row)) continue
      index.write([{ table: 'object', key, value: null }, totalChange(index, -1, -row.size)])
      const name = key.toString('utf8')
      const slash = name.indexOf('/')
      names.push({ bucket: name.slice(0, slash), key: name.slice(slash + 1) })
    }
    if (page.length < 1000) return names
  }
}
