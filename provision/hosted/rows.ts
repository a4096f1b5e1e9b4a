import type { JobId } from '../../format/bytes.ts'
import type { ObjectMetadata } from '../../format/metadata.ts'
import type { StoredObject } from '../../format/release.ts'
import type {
  Checksum,
  Finished,
  ObjectAttributes,
  ObjectRecord,
  PartRecord,
  UploadId,
  UploadRecord,
} from '../../store/object-store.ts'
import type { BodyRow, HostedSchema, ObjectRow, PartRow } from '../database/hosted-schema.ts'

// Only this room writes the JSON in these rows, so reading casts.

/** Columns of a listing: an envelope may have hundreds of kilobytes. */
export const RECORD_COLUMNS = [
  'bucket',
  'key',
  'size',
  'etag',
  'modified_at',
  'attributes',
  'checksum',
  'parts',
  'owner',
  'acl',
  'master_key',
  'generation',
  'metageneration',
] as const
export type RecordRow = Pick<ObjectRow, (typeof RECORD_COLUMNS)[number]>

/** All of them, for statements that are made once. */
export const OBJECT_COLUMNS: readonly (keyof ObjectRow)[] = [
  ...(['bucket', 'key', 'object_id', 'size', 'etag', 'modified_at', 'attributes', 'checksum', 'parts'] as const),
  ...([
    'account',
    'job',
    'upload',
    'part_set',
    'envelope',
    'binding',
    'owner',
    'acl',
    'acl_ref',
    'acl_revision',
    'master_key',
    'generation',
    'metageneration',
    'origin',
    'sequence',
  ] as const),
]
export const BODY_COLUMNS: readonly (keyof BodyRow)[] = ['object_id', 'blob', 'offset', 'length', 'core_header', 'refs']

export function keyBytes(key: string): Buffer {
  return Buffer.from(key, 'utf8')
}

export function keyText(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('utf8')
}

export function recordOf(row: RecordRow): ObjectRecord {
  const attributes = JSON.parse(row.attributes) as ObjectAttributes
  return {
    bucket: row.bucket,
    key: keyText(row.key),
    size: row.size,
    etag: row.etag,
    modifiedAt: new Date(row.modified_at),
    attributes,
    generation: row.generation,
    metageneration: row.metageneration,
    sealedUnder: row.master_key,
    owner: row.owner === '' ? null : row.owner,
    ...(row.checksum !== null && { checksum: JSON.parse(row.checksum) as Checksum }),
    ...(row.parts !== null && { parts: row.parts }),
  }
}

export function partRecordOf(row: PartRow): PartRecord {
  return {
    partNumber: row.number,
    size: row.size,
    etag: row.etag,
    modifiedAt: new Date(row.modified_at),
    ...(row.checksum !== null && { checksum: JSON.parse(row.checksum) as Checksum }),
  }
}

export function uploadRecordOf(row: HostedSchema['uploads']): UploadRecord {
  return {
    id: row.id as UploadId,
    bucket: row.bucket,
    key: keyText(row.key),
    startedAt: new Date(row.started_at),
    owner: row.owner,
    attributes: JSON.parse(row.attributes) as ObjectAttributes,
    ...(row.checksum !== null && { checksum: JSON.parse(row.checksum) as Pick<Checksum, 'name' | 'type'> }),
  }
}

export function jsonOf(value: object | undefined): string | null {
  return value === undefined ? null : JSON.stringify(value)
}

type NamedRow = Pick<ObjectRow, 'envelope' | 'account' | 'job' | 'bucket' | 'key' | 'upload' | 'binding'>

/** The object as the authority is asked about it. */
export function storedObject(row: NamedRow, coreHeader: Uint8Array): StoredObject {
  return {
    envelope: row.envelope,
    coreHeader,
    account: row.account,
    job: row.job as JobId | null,
    place: {
      bucket: row.bucket,
      key: keyText(row.key),
      ...(row.upload !== null && { part: { upload: row.upload, number: 0 } }),
    },
    binding: row.binding,
  }
}

export function storedPart(row: PartRow, coreHeader: Uint8Array): StoredObject {
  return {
    envelope: row.envelope,
    coreHeader,
    account: row.account,
    job: row.job as JobId | null,
    place: { bucket: row.bucket, key: keyText(row.key), part: { upload: row.upload, number: row.number } },
    binding: row.binding,
  }
}

/** What goes sealed into the envelope. */
export function metadataOf(
  name: { bucket: string; key: string; part?: { upload: string; number: number } },
  attributes: ObjectAttributes,
  finished: Finished,
  modifiedAt: number,
  digest?: NonNullable<ObjectMetadata['digest']>,
): ObjectMetadata {
  return {
    ...name,
    modifiedAt,
    etag: finished.etag,
    headers: attributes.headers,
    user: attributes.metadata,
    ...(attributes.contentType !== undefined && { contentType: attributes.contentType }),
    ...(attributes.link !== undefined && { link: attributes.link }),
    ...(finished.checksum && { checksum: finished.checksum }),
    ...(digest && { digest }),
  }
}
