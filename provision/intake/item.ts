import { hash, type KeyObject } from 'node:crypto'
import type { Kysely } from 'kysely'
import type { EpochId, JobId, ObjectId } from '../../format/bytes.ts'
import { parseDigestId } from '../../format/digest.ts'
import { COMPOSITE, OBJECT, PART, TOMBSTONE } from '../../format/envelope.ts'
import { FormatError } from '../../format/fault.ts'
import type { Leaf } from '../../format/leaf.ts'
import { type ObjectMetadata, openMetadata, parseMetadata, parseTombstone } from '../../format/metadata.ts'
import { encodeReceiptLine } from '../../format/receipt.ts'
import type { Checksum, ObjectAttributes } from '../../store/object-store.ts'
import { stretches } from '../database/rows.ts'
import type { MetadataKeys } from './epochs.ts'
import type { ItemRow, WorkSchema } from './schema.ts'
import type { Work } from './work.ts'

const NONE = Buffer.alloc(0)

/** What was signed, its name not yet opened. */
export function itemOf(run: number, idx: number, leaf: Leaf): ItemRow {
  return {
    run,
    idx,
    kind: leaf.kind,
    sequence: leaf.sequence,
    object_id: leaf.objectId,
    epoch: leaf.epoch,
    size: leaf.plaintextLength,
    body_length: leaf.bodyLength,
    digest_id: leaf.digestId,
    digest: leaf.bodyDigest,
    envelope_hash: leaf.envelopeHash,
    sealed: leaf.sealedMetadata,
    named: 0,
    bucket: '',
    key: '',
    upload: '',
    number: 0,
    etag: '',
    modified_at: 0,
    attributes: '{}',
    checksum: '',
    line: NONE,
    composite: '',
    state: 'listed',
    reason: '',
    proved: 0,
  }
}

export type Unnamed = Pick<
  ItemRow,
  'kind' | 'object_id' | 'epoch' | 'size' | 'digest_id' | 'digest' | 'sealed' | 'state'
>
export const UNNAMED = ['kind', 'object_id', 'epoch', 'size', 'digest_id', 'digest', 'sealed', 'state'] as const

/** What opening an item's name makes of it: its name, or that it is held. Empty: it was held already. */
export async function openName(work: Work, keys: MetadataKeys, item: Unnamed): Promise<Partial<ItemRow>> {
  const key = await keys(item.epoch)
  if (key === null) return item.state === 'held' ? {} : { state: 'held', reason: 'key-record-refused' }
  try {
    return namesOf(work.job, key, item)
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    await work.find('metadata-damaged', `object ${item.object_id}: ${error.message}`)
    return item.state === 'held' ? {} : { state: 'held', reason: `metadata-damaged: ${error.message}` }
  }
}

function namesOf(job: JobId, key: KeyObject, item: Unnamed): Partial<ItemRow> {
  const place = { kind: item.kind, objectId: item.object_id as ObjectId, job, epoch: item.epoch as EpochId }
  const metadata = openMetadata(key, place, item.sealed)
  if (item.kind === TOMBSTONE) {
    const stone = parseTombstone(metadata)
    return { named: 1, sealed: NONE, bucket: stone.bucket, key: stone.key }
  }
  const opened = parseMetadata(metadata)
  const { bucket, key: name, part, etag, modifiedAt } = opened
  return {
    named: 1,
    sealed: NONE,
    bucket,
    key: name,
    upload: part?.upload ?? '',
    number: part?.number ?? 0,
    etag,
    modified_at: modifiedAt,
    attributes: JSON.stringify(attributesOf(opened)),
    checksum: checksumOf(opened),
    line: item.kind === OBJECT || item.kind === COMPOSITE ? lineOf(item, opened) : NONE,
  }
}

/** What the receipts say of it, should it be stored. */
function lineOf(item: Unnamed, { bucket, key, digest }: ObjectMetadata): Buffer {
  return encodeReceiptLine({
    bucket,
    key,
    objectId: item.object_id as ObjectId,
    size: item.size,
    source: digest ?? null,
    sealed: { id: parseDigestId(item.digest_id), bytes: item.digest },
    outcome: 'stored',
    reason: '',
  })
}

function attributesOf(metadata: ObjectMetadata): ObjectAttributes {
  return {
    headers: metadata.headers,
    metadata: metadata.user,
    ...(metadata.contentType !== undefined && { contentType: metadata.contentType }),
    ...(metadata.link !== undefined && { link: metadata.link }),
  }
}

const CHECKSUMS: Checksum['name'][] = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256']

function checksumOf({ checksum }: ObjectMetadata): string {
  const name = CHECKSUMS.find(each => each === checksum?.name)
  if (checksum === undefined || name === undefined) return ''
  const found: Checksum = {
    name,
    value: checksum.value,
    type: checksum.type === 'COMPOSITE' ? 'COMPOSITE' : 'FULL_OBJECT',
  }
  return JSON.stringify(found)
}

/** How an item is spoken of. */
export function nameOf(item: Pick<ItemRow, 'bucket' | 'key' | 'object_id' | 'kind' | 'number'>): string {
  if (item.key.length === 0) return `object ${item.object_id} (its name cannot be opened)`
  const name = `${item.bucket}/${item.key}`
  return item.kind === PART ? `part ${item.number} of ${name}` : name
}

/** What a commit's row holds in one value. */
export function headAndEnvelope(commit: Pick<WorkSchema['commits'], 'header_bytes' | 'bytes'>) {
  const { header_bytes, bytes } = commit
  return { coreHeader: bytes.subarray(0, header_bytes), envelope: bytes.subarray(header_bytes) }
}

export function envelopeHash(envelope: Uint8Array): Buffer {
  return hash('sha256', envelope, 'buffer')
}

/** Writes what was decided of a page, in one step; what many were decided to be is written for all of them at once. */
export async function changeItems(
  database: Kysely<WorkSchema>,
  run: number,
  changes: readonly { idx: number; values: Partial<ItemRow> }[],
): Promise<void> {
  const alike = new Map<string, { values: Partial<ItemRow>; numbers: number[] }>()
  for (const { idx, values } of changes) {
    if (Object.keys(values).length === 0) continue
    const name = JSON.stringify(values)
    const same = alike.get(name)
    if (same === undefined) alike.set(name, { values, numbers: [idx] })
    else same.numbers.push(idx)
  }
  if (alike.size === 0) return
  await database.transaction().execute(async change => {
    for (const { values, numbers } of alike.values())
      for (const { first, last } of stretches(numbers))
        await change
          .updateTable('items')
          .set(values)
          .where('run', '=', run)
          .where('idx', '>=', first)
          .where('idx', '<=', last)
          .execute()
  })
}
