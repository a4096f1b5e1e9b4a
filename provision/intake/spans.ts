import type { Transaction } from 'kysely'
import { type ItemRow, insertItems, type WorkSchema } from './schema.ts'
import type { Work } from './work.ts'

export type Span = WorkSchema['spans']

/** Writes items, and where they lie: both or neither. */
export async function putItems(change: Transaction<WorkSchema>, rows: readonly ItemRow[]): Promise<void> {
  await insertItems(change, rows)
  for (const span of spansIn(rows))
    await change
      .insertInto('spans')
      .values(span)
      .onConflict(conflict =>
        conflict.columns(['run', 'epoch', 'kind', 'named']).doUpdateSet(at => ({
          first: at.fn<number>('min', ['spans.first', 'excluded.first']),
          last: at.fn<number>('max', ['spans.last', 'excluded.last']),
          count: at('spans.count', '+', at.ref('excluded.count')),
        })),
      )
      .execute()
}

function spansIn(rows: readonly ItemRow[]): Span[] {
  const spans = new Map<string, Span>()
  for (const { run, epoch, kind, named, idx } of rows) {
    const name = `${epoch}/${kind}/${named}`
    const known = spans.get(name)
    if (known === undefined) spans.set(name, { run, epoch, kind, named, first: idx, last: idx, count: 1 })
    else {
      known.first = Math.min(known.first, idx)
      known.last = Math.max(known.last, idx)
      known.count++
    }
  }
  return [...spans.values()]
}

/** Few: some to an epoch. `named` says how the items were when they were written. */
export function spansOf({ database, run }: Pick<Work, 'database' | 'run'>): Promise<Span[]> {
  return database.selectFrom('spans').selectAll().where('run', '=', run).orderBy('first').execute()
}

/** How many items there are of these kinds. */
export async function countOf(work: Pick<Work, 'database' | 'run'>, kinds: readonly number[]): Promise<number> {
  const spans = await spansOf(work)
  return spans.reduce((sum, span) => sum + (kinds.includes(span.kind) ? span.count : 0), 0)
}
