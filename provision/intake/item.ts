import { hash, type KeyObject } from 'node:crypto'
import type { Kysely } from 'kysely'
import type { EpochId, JobId, ObjectId } from '../../format/bytes.ts'
import { PART, TOMBSTONE } from '../../format/envelope.ts'
import { FormatError } from '../../format/fault.ts'
import type { Leaf } from '../../format/leaf.ts'
import { openMetadata, parseMetadata, parseTombstone } from '../../format/metadata.ts'
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
    committed_at: leaf.committedAt,
    object_id: leaf.objectId,
    epoch: leaf.epoch,
    size: leaf.plaintextLength,
    body_length: leaf.bodyLength,
    digest_id: leaf.digestId,
    digest: leaf.bodyDigest,
    envelope_hash: leaf.envelopeHash,
    sealed: leaf.sealedMetadata,
    metadata: null,
    bucket: '',
    key: NONE,
    upload: '',
    number: 0,
    composite: '',
    state: 'listed',
    reason: '',
    proved: 0,
  }
}

type Unnamed = Pick<ItemRow, 'kind' | 'object_id' | 'epoch' | 'sealed' | 'state'>

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
    return { metadata, sealed: NONE, bucket: stone.bucket, key: Buffer.from(stone.key, 'utf8') }
  }
  const { bucket, key: name, part } = parseMetadata(metadata)
  return {
    metadata,
    sealed: NONE,
    bucket,
    key: Buffer.from(name, 'utf8'),
    upload: part?.upload ?? '',
    number: part?.number ?? 0,
  }
}

/** How an item is spoken of. */
export function nameOf(item: Pick<ItemRow, 'bucket' | 'key' | 'object_id' | 'kind' | 'number'>): string {
  if (item.key.length === 0) return `object ${item.object_id} (its name cannot be opened)`
  const name = `${item.bucket}/${Buffer.from(item.key).toString('utf8')}`
  return item.kind === PART ? `part ${item.number} of ${name}` : name
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
