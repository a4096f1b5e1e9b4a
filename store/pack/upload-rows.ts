import type { ObjectMetadata } from '../../format/metadata.ts'
import type { Index, IndexChange } from '../index-store.ts'
import type { Checksum, ObjectAttributes, UploadId } from '../object-store.ts'
import { attributesOf, decodeRow, json, type PartRow, partKey, text } from './rows.ts'

export type UploadRow = {
  bucket: string
  key: string
  at: number
  attributes: ObjectAttributes
  checksum?: { name: Checksum['name']; type: Checksum['type'] }
}

export function openUpload(
  index: Index,
  upload: string,
  metadata: Omit<ObjectMetadata, 'digest'>,
  at: number,
): IndexChange[] {
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

export function uploadId(text: string): UploadId {
  return text as UploadId
}
