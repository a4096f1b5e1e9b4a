import { OBJECT } from '../../format/envelope.ts'
import { ReleaseError } from '../../format/release.ts'
import { findEpoch } from './epochs.ts'
import { changeItems } from './item.ts'
import { askFor } from './prove.ts'
import type { Work } from './work.ts'

/** Pages that the authority is asked about before one of them is answered. */
const AHEAD = 3

/**
 * Asks the authority for keys while the tree is still made, which leaves a processor to it. Only what is proved is written, after its page:
 * what is refused, or was asked about when the run was killed, is asked about again when it goes in, and held then.
 */
export type ProvingAhead = {
  /** Places `first`..`last` have their items. @throws what an earlier page met */
  page(first: number, last: number): Promise<void>
  /** Waits till nothing is under way. */
  rest(): Promise<void>
  /** Waits for every answer. @throws what a page met */
  end(): Promise<void>
}

export function provingAhead(work: Work): ProvingAhead {
  const taken = new Map<string, Promise<boolean>>()
  const under: Promise<void>[] = []
  const takenOver = (epoch: string): Promise<boolean> => {
    const known = taken.get(epoch) ?? takeOver(work, epoch)
    taken.set(epoch, known)
    return known
  }
  const provePage = async (first: number, last: number): Promise<void> => {
    const rows = []
    for (const row of await provableIn(work, first, last)) if (await takenOver(row.epoch)) rows.push(row)
    for (const { batch, outcomes } of await askFor(work, rows)) {
      const proved = batch.filter((_, at) => outcomes[at]?.outcome === 'proved')
      const changes = proved.map(({ idx }) => ({ idx, values: { proved: 1 } }))
      await changeItems(work.database, work.run, changes)
    }
  }
  return {
    async page(first, last) {
      if (!work.provesAhead) return
      const done = provePage(first, last)
      // thrown when it is waited for
      done.catch(() => undefined)
      under.push(done)
      if (under.length > AHEAD) await under.shift()
    },
    async rest() {
      await Promise.allSettled(under)
    },
    async end() {
      await Promise.all(under)
    },
  }
}

/** @returns false: refused; the phase that takes epochs over will say so */
async function takeOver(work: Work, epoch: string): Promise<boolean> {
  const row = await findEpoch(work, epoch)
  if (row === undefined || row.reason !== '') return false
  try {
    await work.release.reseal(work.station, row.record)
    return true
  } catch (error) {
    if (error instanceof ReleaseError && error.fault !== 'unavailable') return false
    throw error
  }
}

/** Single objects of the order that lie in the packs as they were signed. */
function provableIn({ database, run, order }: Work, first: number, last: number) {
  return database
    .selectFrom('items')
    .innerJoin('commits', join =>
      join
        .onRef('commits.run', '=', 'items.run')
        .onRef('commits.object_id', '=', 'items.object_id')
        .onRef('commits.envelope_hash', '=', 'items.envelope_hash'),
    )
    .select(['idx', 'kind', 'items.object_id', 'epoch', 'bucket', 'key', 'upload', 'number', 'composite'])
    .select(['header_bytes', 'bytes'])
    .where('items.run', '=', run)
    .where('idx', '>=', first)
    .where('idx', '<=', last)
    .where('kind', '=', OBJECT)
    .where('named', '=', 1)
    .where('proved', '=', 0)
    .where('bucket', 'in', order.buckets)
    .where('fault', '=', '')
    .orderBy('idx')
    .execute()
}
