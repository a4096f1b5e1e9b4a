import type { Watch } from '../../../store/s3/watch.ts'
import type { Database } from '../../database/hosted-schema.ts'
import { seeker } from '../../database/rows.ts'
import { type ActivityLog, openActivity } from './activity.ts'
import { meterOf } from './meter.ts'
import type { Quotas } from './quotas.ts'
import { type UsageLine, type UsageQuery, usageLines } from './report.ts'
import { carryOver, type Ledger } from './stored.ts'
import { Tallies } from './tallies.ts'

/** Who used what, and how much anybody may. */
export type Usage = {
  watch: Watch
  quotas: Quotas
  /** Up to this moment. */
  lines(query: UsageQuery): AsyncGenerator<UsageLine>
  /** The log was moved away. */
  reopenLog(): void
  /** Writes what was counted. May be called twice. */
  close(): Promise<void>
}

export type UsageOptions = {
  /** null: nothing is logged */
  log: { path: string; keys: boolean } | null
  onError: (error: unknown) => void
}

const WRITE_MS = 5000
const REFRESH_MS = 1000
const CARRY_MS = 60_000
const accountByBucket = seeker<{ name: string; account: string }>('buckets', ['account'], ['name'])

/** @throws Error - the log cannot be opened */
export async function openUsage(
  database: Database,
  { quotas, now: clock }: Ledger,
  { log, onError }: UsageOptions,
): Promise<Usage> {
  const tallies = new Tallies(database, clock)
  const activity: ActivityLog | null = log === null ? null : await openActivity(log.path, { keys: log.keys, clock })
  const accountOf = async (bucket: string) => (await accountByBucket(database, bucket))?.account ?? null
  const settle = async (): Promise<void> => {
    await tallies.write()
    await carryOver(database, clock())
  }
  const timers = [
    setInterval(() => void tallies.write().catch(onError), WRITE_MS),
    // those of addresses are asked before anything is read
    setInterval(() => void quotas.refresh().catch(onError), REFRESH_MS),
    setInterval(() => void carryOver(database, clock()).catch(onError), CARRY_MS),
  ]
  for (const timer of timers) timer.unref()
  let closing: Promise<void> | undefined
  return {
    watch: meterOf({ quotas, tallies, accountOf, activity: activity?.note ?? null, clock }),
    quotas,
    async *lines(query) {
      await settle()
      yield* usageLines(database, query)
    },
    reopenLog: () => activity?.reopen(),
    close() {
      for (const timer of timers) clearInterval(timer)
      closing ??= settle().finally(() => activity?.close())
      return closing
    },
  }
}
