import type { Database } from '../../database/hosted-schema.ts'
import type { HostedUsageTables, UsageRow } from '../../database/hosted-usage.ts'
import { type Flow, HOUR_MS, hourOf, periodOf, type Quota } from './dimension.ts'

export type Tally = Omit<UsageRow, 'hour' | 'account' | 'byte_hours'>
/** `lookedAt`: what other processes have written since is not in it */
type Used = { from: number; lookedAt: number; amount: number; ready: Promise<void> | null }

const COLUMN = { reads: 'reads', writes: 'writes', 'bytes-in': 'bytes_in', 'bytes-out': 'bytes_out' } as const
const WAITING_MAX = 5000
const USED_MAX = 50_000
/** Other processes write as often. */
const LOOK_MS = 5000
const ROWS_AT_ONCE = 500

/**
 * What was used, added up in memory and written by the hour. What is not written yet at a crash, at most the last seconds, is lost to the
 * record; nothing that a caller was told is. What other processes count is seen here some seconds later.
 */
export class Tallies {
  readonly #database: Database
  readonly #clock: () => number
  #waiting = new Map<string, Tally & { hour: number }>()
  /** of quotas, what is used of the period so far */
  readonly #used = new Map<string, Used>()
  /** writes, and the looks that stand on them, in their order */
  #last: Promise<void> = Promise.resolve()

  constructor(database: Database, clock: () => number) {
    this.#database = database
    this.#clock = clock
  }

  add(tally: Tally): void {
    const hour = hourOf(this.#clock())
    const name = `${hour} ${tally.bucket} ${tally.principal}`
    const there = this.#waiting.get(name)
    if (there === undefined) this.#waiting.set(name, { ...tally, hour })
    else
      for (const column of ['reads', 'writes', 'refused', 'bytes_in', 'bytes_out'] as const)
        there[column] += tally[column]
    // buckets are what callers call them: the number of those that are not there must not grow with them
    if (this.#waiting.size >= WAITING_MAX) this.write().catch(() => undefined)
  }

  /** What of a quota's period is used by `id`, what is under way not counted. */
  async used(quota: Quota, id: string): Promise<{ amount: number; until: Date }> {
    const period = quota.period as 'hour' | 'day' | 'month'
    const now = this.#clock()
    const { from, to } = periodOf(period, now)
    const name = usedName(quota, id)
    let used = this.#used.get(name)
    if (used === undefined || used.from !== from || Math.abs(now - used.lookedAt) > LOOK_MS) {
      // in this very turn: what ends from here on is added here, what ended before is written before the look
      const fresh: Used = { from, lookedAt: now, amount: 0, ready: null }
      used = fresh
      void this.write()
      const look = this.#last.then(async () => {
        fresh.amount += await this.#sum(quota, id, from)
        fresh.ready = null
      })
      fresh.ready = look
      this.#last = look.catch(() => void this.#used.delete(name))
      this.#used.set(name, used)
      const [oldest] = this.#used.keys()
      if (this.#used.size > USED_MAX && oldest !== undefined) this.#used.delete(oldest)
    }
    if (used.ready !== null) await used.ready
    return { amount: used.amount, until: new Date(to * HOUR_MS) }
  }

  /** Adds to a quota that was asked for before. */
  note(quota: Quota, id: string, by: Record<Flow, number>): void {
    const used = this.#used.get(usedName(quota, id))
    if (used !== undefined) used.amount += by[quota.dimension as Flow]
  }

  /** Everything so far into the tables. */
  write(): Promise<void> {
    const waiting = [...this.#waiting.values()]
    this.#waiting = new Map()
    if (waiting.length === 0) return this.#last
    const done = this.#last.then(async () => {
      for (let at = 0; at < waiting.length; at += ROWS_AT_ONCE) await this.#put(waiting.slice(at, at + ROWS_AT_ONCE))
    })
    this.#last = done.catch(() => undefined)
    return done
  }

  async #put(tallies: (Tally & { hour: number })[]): Promise<void> {
    await this.#database.transaction().execute(async change => {
      const names = [...new Set(tallies.map(each => each.bucket))]
      const there = await change.selectFrom('buckets').select(['name', 'account']).where('name', 'in', names).execute()
      const accounts = new Map(there.map(row => [row.name, row.account]))
      const rows = new Map<string, HostedUsageTables['usage']>()
      for (const tally of tallies) {
        const account = accounts.get(tally.bucket) ?? ''
        const bucket = accounts.has(tally.bucket) ? tally.bucket : ''
        const name = `${tally.hour} ${bucket} ${tally.principal}`
        const row = rows.get(name)
        if (row === undefined) rows.set(name, { ...tally, account, bucket, byte_hours: 0 })
        else
          for (const column of ['reads', 'writes', 'refused', 'bytes_in', 'bytes_out'] as const)
            row[column] += tally[column]
      }
      await addUsage(change, [...rows.values()])
    })
  }

  async #sum(quota: Quota, id: string, from: number): Promise<number> {
    const by = quota.scope === 'account' ? 'account' : quota.scope === 'bucket' ? 'bucket' : 'principal'
    const column = COLUMN[quota.dimension as Flow]
    const row = await this.#database
      .selectFrom('usage')
      .select(select => select.fn.sum<number | null>(column).as('amount'))
      .where('hour', '>=', from)
      .where(by, '=', id)
      .executeTakeFirst()
    return row?.amount ?? 0
  }
}

function usedName({ scope, dimension, period }: Quota, id: string): string {
  return `${scope} ${dimension} ${period} ${id}`
}

/** Rows whose keys differ. */
export async function addUsage(database: Pick<Database, 'insertInto'>, rows: UsageRow[]): Promise<void> {
  if (rows.length === 0) return
  await database
    .insertInto('usage')
    .values(rows)
    .onConflict(conflict =>
      conflict.columns(['hour', 'account', 'bucket', 'principal']).doUpdateSet(row => ({
        reads: row('usage.reads', '+', row.ref('excluded.reads')),
        writes: row('usage.writes', '+', row.ref('excluded.writes')),
        refused: row('usage.refused', '+', row.ref('excluded.refused')),
        bytes_in: row('usage.bytes_in', '+', row.ref('excluded.bytes_in')),
        bytes_out: row('usage.bytes_out', '+', row.ref('excluded.bytes_out')),
        byte_hours: row('usage.byte_hours', '+', row.ref('excluded.byte_hours')),
      })),
    )
    .execute()
}
