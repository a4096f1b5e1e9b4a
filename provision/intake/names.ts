import { hash, type KeyObject } from 'node:crypto'
import type { EpochId, ObjectId } from '../../format/bytes.ts'
import { PART, parseEnvelope, TOMBSTONE } from '../../format/envelope.ts'
import { FormatError } from '../../format/fault.ts'
import { leafOf } from '../../format/leaf.ts'
import { openMetadata, parseMetadata, parseTombstone } from '../../format/metadata.ts'
import { type MetadataKeys, metadataKeysOf } from './epochs.ts'
import type { ItemRow } from './schema.ts'
import { itemOf } from './tree.ts'
import { PAGE, type Work } from './work.ts'

/** Opens the name of everything that was signed, and of what was found and never signed. Commit point: each page. */
export async function openNames(work: Work): Promise<void> {
  const keys = metadataKeysOf(work)
  await addUnsigned(work)
  const total = work.last.treeSize
  let after = -1
  for (;;) {
    const page = await work.database
      .selectFrom('items')
      .selectAll()
      .where('run', '=', work.run)
      .where('idx', '>', after)
      .where('metadata', 'is', null)
      .orderBy('idx')
      .limit(PAGE)
      .execute()
    if (page.length === 0) return
    const opened: { idx: number; change: Partial<ItemRow> }[] = []
    for (const item of page) opened.push({ idx: item.idx, change: await openName(work, keys, item) })
    await work.database.transaction().execute(async change => {
      for (const { idx, change: values } of opened)
        if (Object.keys(values).length > 0)
          await change.updateTable('items').set(values).where('run', '=', work.run).where('idx', '=', idx).execute()
    })
    after = page.at(-1)?.idx ?? after
    work.progress('names', Math.min(after + 1, total), total)
  }
}

async function openName(work: Work, keys: MetadataKeys, item: ItemRow): Promise<Partial<ItemRow>> {
  const key = await keys(item.epoch)
  if (key === null) return item.state === 'held' ? {} : { state: 'held', reason: 'key-record-refused' }
  try {
    return namesOf(work, key, item)
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    await work.find('metadata-damaged', `object ${item.object_id}: ${error.message}`)
    return item.state === 'held' ? {} : { state: 'held', reason: `metadata-damaged: ${error.message}` }
  }
}

function namesOf(work: Work, key: KeyObject, item: ItemRow): Partial<ItemRow> {
  const place = {
    kind: item.kind,
    objectId: item.object_id as ObjectId,
    job: work.job,
    epoch: item.epoch as EpochId,
  }
  const metadata = openMetadata(key, place, item.sealed)
  if (item.kind === TOMBSTONE) {
    const stone = parseTombstone(metadata)
    return { metadata, bucket: stone.bucket, key: Buffer.from(stone.key, 'utf8') }
  }
  const { bucket, key: name, part } = parseMetadata(metadata)
  return {
    metadata,
    bucket,
    key: Buffer.from(name, 'utf8'),
    upload: part?.upload ?? '',
    number: part?.number ?? 0,
  }
}

/** What lies in the packs and under no leaf: it is not taken in, and is listed by its name. Numbered behind the tree. */
async function addUnsigned(work: Work): Promise<void> {
  const { database, run } = work
  const lost = await database
    .selectFrom('findings')
    .select('code')
    .where('run', '=', run)
    .where('code', '=', 'leaf-missing')
    .limit(1)
    .execute()
  const code = lost.length > 0 ? 'leaf-missing' : 'object-unsigned'
  for (;;) {
    const found = await database
      .selectFrom('commits')
      .select(['object_id', 'envelope', 'pack'])
      .where('run', '=', run)
      .where('object_id', 'not in', database.selectFrom('items').select('object_id').where('run', '=', run))
      .limit(PAGE)
      .execute()
    if (found.length === 0) return
    const top = await database
      .selectFrom('items')
      .select(({ fn }) => fn.max('idx').as('idx'))
      .where('run', '=', run)
      .executeTakeFirst()
    let idx = Math.max(work.last.treeSize, (top?.idx ?? -1) + 1)
    await database.transaction().execute(async change => {
      for (const row of found) {
        const leaf = leafOf(parseEnvelope(row.envelope), row.envelope, 0, 0)
        const reason = `${code}: no signed leaf is known for it`
        await change
          .insertInto('items')
          .values({ ...itemOf(work, idx++, leaf), state: 'held', reason })
          .execute()
      }
    })
    if (code === 'object-unsigned')
      for (const row of found)
        await work.find('object-unsigned', `pack ${row.pack} holds object ${row.object_id}, which was never signed`)
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
