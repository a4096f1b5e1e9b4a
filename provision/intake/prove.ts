import { COMPOSITE, PART } from '../../format/envelope.ts'
import { type ObjectPlace, PROVE_BATCH, type ProveOutcome } from '../../format/release.ts'
import { changeItems, headAndEnvelope, nameOf } from './item.ts'
import type { ItemRow, WorkSchema } from './schema.ts'
import { countOf } from './spans.ts'
import type { Work } from './work.ts'

/** Envelopes may be large: a question ends here too. */
const BATCH_BYTES = 8 << 20

export type Provable = Pick<
  ItemRow,
  'idx' | 'kind' | 'object_id' | 'bucket' | 'key' | 'upload' | 'number' | 'composite'
> &
  Pick<WorkSchema['commits'], 'header_bytes' | 'bytes'>

/**
 * Has the authority open the keys that others hang on: of parts, and of composites. The rest is proved as it goes in. Commit point: each
 * batch.
 */
export async function proveParts(work: Work): Promise<void> {
  if (work.level === 'digest') return
  const { database, run } = work
  if ((await countOf(work, [PART, COMPOSITE])) === 0) return
  let done = 0
  for (let after = -1; ; ) {
    const page = await database
      .selectFrom('items')
      .innerJoin('commits', join =>
        join.onRef('commits.run', '=', 'items.run').onRef('commits.object_id', '=', 'items.object_id'),
      )
      .select(['idx', 'kind', 'items.object_id', 'bucket', 'key', 'upload', 'number', 'composite'])
      .select(['header_bytes', 'bytes'])
      .where('items.run', '=', run)
      .where('idx', '>', after)
      .where('kind', 'in', [PART, COMPOSITE])
      .where('state', 'in', ['ready', 'member'])
      .where('proved', '=', 0)
      .orderBy('idx')
      .limit(PROVE_BATCH)
      .execute()
    if (page.length === 0) return
    await prove(work, page)
    after = page.at(-1)?.idx ?? after
    done += page.length
    work.progress('prove', done, work.last.treeSize)
  }
}

/** Asks for each of them, in their contexts; what the authority refuses is held from then on. @returns those that were proved */
export async function prove<Row extends Provable>(work: Work, rows: readonly Row[]): Promise<Row[]> {
  const proved: Row[] = []
  for (const { batch, outcomes } of await askFor(work, rows)) {
    const changes: { idx: number; values: Partial<ItemRow> }[] = []
    for (const [at, row] of batch.entries()) {
      const outcome = outcomes[at]
      if (outcome?.outcome === 'proved') {
        proved.push(row)
        changes.push({ idx: row.idx, values: { proved: 1 } })
        continue
      }
      const why = outcome?.reason ?? 'no answer'
      await work.find('key-refused', `${nameOf(row)}: ${why}`)
      const reason = `key-refused: ${why}`.slice(0, 1000)
      changes.push({ idx: row.idx, values: { state: 'held', reason } })
      if (row.kind === PART) await holdWhole(work, row, reason)
    }
    await changeItems(work.database, work.run, changes)
  }
  return proved
}

/** What the authority says of each, in batches. */
export function askFor<Row extends Provable>(
  work: Pick<Work, 'release' | 'station'>,
  rows: readonly Row[],
): Promise<{ batch: Row[]; outcomes: ProveOutcome[] }[]> {
  // all at once: the authority goes on with the next while the answer to one is written down here
  return Promise.all(
    [...batches(rows)].map(async batch => {
      const asked = batch.map(row => ({ ...headAndEnvelope(row), place: placeOf(row) }))
      return { batch, outcomes: await work.release.prove(work.station, asked) }
    }),
  )
}

/** A composite without one of its parts does not go in. Before the part is marked: a kill between the two does it again. */
async function holdWhole({ database, run }: Work, part: Provable, reason: string): Promise<void> {
  await database
    .updateTable('items')
    .set({ state: 'held', reason: `part-missing: its part ${part.number}: ${reason}`.slice(0, 1000) })
    .where('run', '=', run)
    .where('object_id', '=', part.composite)
    .execute()
}

function* batches<Row extends Provable>(rows: readonly Row[]): Generator<Row[]> {
  let batch: Row[] = []
  let bytes = 0
  for (const row of rows) {
    if (batch.length === PROVE_BATCH || (batch.length > 0 && bytes + row.bytes.length > BATCH_BYTES)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(row)
    bytes += row.bytes.length
  }
  if (batch.length > 0) yield batch
}

function placeOf(item: Provable): ObjectPlace {
  return {
    bucket: item.bucket,
    key: item.key,
    ...(item.kind === PART && { part: { upload: item.upload, number: item.number } }),
  }
}
