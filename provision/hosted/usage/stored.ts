import { sql } from 'kysely'
import { StoreError } from '../../../store/object-store.ts'
import type { Change, Database } from '../../database/hosted-schema.ts'
import type { UsageRow } from '../../database/hosted-usage.ts'
import { seeker } from '../../database/rows.ts'
import { HOUR_MS, hourOf, type Quota } from './dimension.ts'
import { type Quotas, quotaInWords } from './quotas.ts'
import { addUsage } from './tallies.ts'

/** What a change of what is stored needs to know. */
export type Ledger = {
  quotas: Quotas
  /** ms since 1970 */
  now: () => number
}

const accountByBucket = seeker<{ name: string; account: string }>('buckets', ['account'], ['name'])

/** What lies more, or less, in a bucket: of an object its plaintext, of an upload under way what its parts brought. */
export type StoredChange = { bucket: string; owner: string; objects: number; bytes: number }

/**
 * In the transaction that makes it so. What was there till now is counted up to now.
 * @throws StoreError "over-quota" - there would be more than may be
 */
export async function changeStored(
  change: Change,
  { bucket, owner, objects, bytes }: StoredChange,
  ledger: Ledger,
): Promise<void> {
  const now = ledger.now()
  const account = (await accountByBucket(change, bucket))?.account ?? ''
  const at = { bucket, owner, account }
  await change
    .insertInto('stored')
    .values({ ...at, objects, bytes, byte_hours: 0, counted_at: now })
    .onConflict(conflict =>
      conflict.columns(['bucket', 'owner', 'account']).doUpdateSet({
        byte_hours: sql`stored.byte_hours + ${hoursSince(now)}`,
        counted_at: sql`max(stored.counted_at, ${now})`,
        objects: sql`stored.objects + ${objects}`,
        bytes: sql`stored.bytes + ${bytes}`,
      }),
    )
    .execute()
  if (objects > 0 || bytes > 0) await requireRoom(change, at, { objects, bytes }, ledger.quotas)
}

/**
 * Bytes of an upload under way: they are the bucket's, nobody's in it, till they become an object.
 * @throws StoreError "over-quota"
 */
export async function changeOpen(change: Change, ledger: Ledger, bucket: string, bytes: number): Promise<void> {
  if (bytes !== 0) await changeStored(change, { bucket, owner: '', objects: 0, bytes }, ledger)
}

/** What the parts of an upload brought. */
export async function openBytes(change: Change, set: string): Promise<number> {
  const row = await change
    .selectFrom('parts')
    .select(select => select.fn.sum<number | null>('size').as('bytes'))
    .where('part_set', '=', set)
    .executeTakeFirst()
  return row?.bytes ?? 0
}

/** A clock that went back counts nothing. */
function hoursSince(now: number) {
  return sql`stored.bytes * (case when ${now} > stored.counted_at then (${now} - stored.counted_at) else 0 end) / 3600000.0`
}

async function requireRoom(
  change: Change,
  { bucket, owner, account }: { bucket: string; owner: string; account: string },
  more: { objects: number; bytes: number },
  quotas: Quotas,
): Promise<void> {
  await quotas.refresh(change)
  const applying = [
    ...quotas.of('bucket', bucket).map(quota => ({ quota, by: 'bucket', id: bucket }) as const),
    ...quotas.of('account', account).map(quota => ({ quota, by: 'account', id: account }) as const),
    ...quotas.of('user', owner).map(quota => ({ quota, by: 'owner', id: owner }) as const),
    ...(owner === '' ? [] : quotas.of('everybody', '').map(quota => ({ quota, by: 'owner', id: owner }) as const)),
  ]
  for (const { quota, by, id } of applying) {
    const column = columnOf(quota)
    if (column === null || more[column] <= 0) continue
    const row = await change
      .selectFrom('stored')
      .select(select => select.fn.sum<number | null>(column).as('amount'))
      .where(by, '=', id)
      .executeTakeFirst()
    const there = row?.amount ?? 0
    if (there > quota.amount)
      throw new StoreError('over-quota', `The quota is used up: ${quotaInWords(quota, there - more[column])}.`)
  }
}

function columnOf({ dimension }: Quota): 'objects' | 'bytes' | null {
  if (dimension === 'stored-objects') return 'objects'
  return dimension === 'stored-bytes' ? 'bytes' : null
}

const ROWS_AT_ONCE = 200

/** Byte-hours up to now, into the hours that they fell in; of what changed meanwhile, into the last. Rows of nothing go. */
export async function carryOver(database: Database, now: number): Promise<void> {
  for (let after = { bucket: '', owner: '', account: '' }; ; ) {
    const rows = await database.transaction().execute(async change => {
      const some = await change
        .selectFrom('stored')
        .selectAll()
        .where(row =>
          row(row.refTuple('bucket', 'owner', 'account'), '>', row.tuple(after.bucket, after.owner, after.account)),
        )
        .orderBy('bucket')
        .orderBy('owner')
        .orderBy('account')
        .limit(ROWS_AT_ONCE)
        .execute()
      for (const row of some) {
        const { bucket, owner, account } = row
        await addUsage(change, byHour(row, now))
        const here = change.updateTable('stored').set({ byte_hours: 0, counted_at: Math.max(now, row.counted_at) })
        await here.where('bucket', '=', bucket).where('owner', '=', owner).where('account', '=', account).execute()
      }
      await change
        .deleteFrom('stored')
        .where('objects', '=', 0)
        .where('bytes', '=', 0)
        .where('byte_hours', '=', 0)
        .execute()
      return some
    })
    const last = rows.at(-1)
    if (last === undefined || rows.length < ROWS_AT_ONCE) return
    after = last
  }
}

/** Pure. */
export function byHour(
  row: { bucket: string; owner: string; account: string; bytes: number; byte_hours: number; counted_at: number },
  now: number,
): UsageRow[] {
  const { bucket, owner: principal, account, bytes } = row
  const nothing = { reads: 0, writes: 0, refused: 0, bytes_in: 0, bytes_out: 0 }
  const rows: UsageRow[] = []
  let left = row.byte_hours
  for (let at = row.counted_at; at < now || left > 0; ) {
    const hour = hourOf(at)
    const end = Math.max(at, Math.min(now, (hour + 1) * HOUR_MS))
    const last = end >= now
    const byte_hours = (bytes * (end - at)) / HOUR_MS + (last ? left : 0)
    if (last) left = 0
    if (byte_hours > 0) rows.push({ hour, account, bucket, principal, ...nothing, byte_hours })
    at = end
  }
  return rows
}
