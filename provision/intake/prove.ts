import { PART } from '../../format/envelope.ts'
import { type ObjectPlace, PROVE_BATCH } from '../../format/release.ts'
import { nameOf } from './names.ts'
import type { ItemRow } from './schema.ts'
import type { Work } from './work.ts'

/** Envelopes may be large: a batch ends here too. */
const BATCH_BYTES = 8 << 20

/** Has the authority open every key in its context. Commit point: each batch. */
export async function proveObjects(work: Work): Promise<void> {
  if (work.level === 'digest') return
  const { database, run } = work
  let done = 0
  for (;;) {
    const page = await database
      .selectFrom('items')
      .innerJoin('commits', join =>
        join.onRef('commits.run', '=', 'items.run').onRef('commits.object_id', '=', 'items.object_id'),
      )
      .select(['idx', 'kind', 'items.object_id', 'bucket', 'key', 'upload', 'number', 'composite'])
      .select(['envelope', 'core_header'])
      .where('items.run', '=', run)
      .where('state', 'in', ['ready', 'member'])
      .where('proved', '=', 0)
      .orderBy('idx')
      .limit(PROVE_BATCH)
      .execute()
    if (page.length === 0) return
    let bytes = 0
    const cut = page.findIndex((row, at) => {
      bytes += row.envelope.length
      return at > 0 && bytes > BATCH_BYTES
    })
    const batch = cut < 0 ? page : page.slice(0, cut)
    const outcomes = await work.release.prove(
      work.station,
      batch.map(row => ({ envelope: row.envelope, coreHeader: row.core_header, place: placeOf(row) })),
    )
    for (const [at, row] of batch.entries()) {
      const outcome = outcomes[at]
      if (outcome?.outcome === 'proved') continue
      await work.find('key-refused', `${nameOf(row)}: ${outcome?.reason ?? 'no answer'}`)
    }
    await database.transaction().execute(async change => {
      for (const [at, row] of batch.entries()) {
        const outcome = outcomes[at]
        const reason = `key-refused: ${outcome?.reason ?? 'no answer'}`.slice(0, 1000)
        const values = outcome?.outcome === 'proved' ? { proved: 1 } : { state: 'held' as const, reason }
        await change.updateTable('items').set(values).where('run', '=', run).where('idx', '=', row.idx).execute()
        if (row.kind !== PART || outcome?.outcome === 'proved') continue
        await change
          .updateTable('items')
          .set({ state: 'held', reason: `part-missing: its part ${row.number}: ${reason}`.slice(0, 1000) })
          .where('run', '=', run)
          .where('object_id', '=', row.composite)
          .execute()
      }
    })
    done += batch.length
    work.progress('prove', done, work.last.treeSize)
  }
}

export function placeOf(item: Pick<ItemRow, 'kind' | 'bucket' | 'key' | 'upload' | 'number'>): ObjectPlace {
  return {
    bucket: item.bucket,
    key: Buffer.from(item.key).toString('utf8'),
    ...(item.kind === PART && { part: { upload: item.upload, number: item.number } }),
  }
}
