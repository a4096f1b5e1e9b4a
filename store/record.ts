import type {
  Checksum,
  ObjectAttributes,
  ObjectRecord,
  PartRecord,
  UploadChecksum,
  UploadId,
  UploadRecord,
} from './object-store.ts'

/** Records of an index as JSON. Only this store writes them, so a reader casts: the index itself tells damage apart. */

/** A run of bytes of one blob: `size` bytes from its start. */
export type Extent = { blob: string; size: number }

/** An object whose body lies in one blob, or, of multipart, in the extents kept under `body`. */
export type StoredObject = { record: ObjectRecord; body: string; split: boolean }
export type StoredPart = { record: PartRecord; blob: string }
export type StoredBucket = { createdAt: Date }

type ObjectJson = Omit<ObjectRecord, 'bucket' | 'key' | 'modifiedAt'> & { at: number; body: string; split: boolean }

export function encodeObject({ record, body, split }: StoredObject): Buffer {
  const { size, etag, checksum, attributes, parts, modifiedAt } = record
  return json({ size, etag, checksum, attributes, parts, at: modifiedAt.getTime(), body, split })
}

export function decodeObject(bucket: string, key: string, value: Buffer): StoredObject {
  const { at, body, split, ...rest } = JSON.parse(value.toString('utf8')) as ObjectJson
  return { record: { bucket, key, ...rest, modifiedAt: new Date(at) }, body, split }
}

export function encodeBucket({ createdAt }: StoredBucket): Buffer {
  return json({ at: createdAt.getTime() })
}

export function decodeBucket(value: Buffer): StoredBucket {
  const { at } = JSON.parse(value.toString('utf8')) as { at: number }
  return { createdAt: new Date(at) }
}

type UploadJson = { bucket: string; key: string; at: number; attributes: ObjectAttributes; checksum?: UploadChecksum }

export function encodeUpload({ bucket, key, startedAt, attributes, checksum }: UploadRecord): Buffer {
  return json({ bucket, key, at: startedAt.getTime(), attributes, checksum })
}

export function decodeUpload(id: UploadId, value: Buffer): UploadRecord {
  const { at, ...rest } = JSON.parse(value.toString('utf8')) as UploadJson
  return { id, ...rest, startedAt: new Date(at) }
}

type PartJson = { size: number; etag: string; checksum?: Checksum; at: number; blob: string }

export function encodePart({ record, blob }: StoredPart): Buffer {
  const { size, etag, checksum, modifiedAt } = record
  return json({ size, etag, checksum, at: modifiedAt.getTime(), blob })
}

export function decodePart(partNumber: number, value: Buffer): StoredPart {
  const { at, blob, ...rest } = JSON.parse(value.toString('utf8')) as PartJson
  return { record: { partNumber, ...rest, modifiedAt: new Date(at) }, blob }
}

export function encodeExtents(extents: Extent[]): Buffer {
  return json(extents)
}

export function decodeExtents(value: Buffer): Extent[] {
  return JSON.parse(value.toString('utf8')) as Extent[]
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value), 'utf8')
}
