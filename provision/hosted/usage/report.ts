import type { Database } from '../../database/hosted-schema.ts'
import type { UsageRow } from '../../database/hosted-usage.ts'
import { HOUR_MS } from './dimension.ts'

/** Which usage: hours from `from` (inclusive) to `to` (exclusive), ms since 1970; of one account, bucket or user, or of all. */
export type UsageQuery = { from: number; to: number; account?: string; bucket?: string; user?: string }
export type UsageLine = {
  /** start of the hour */
  hour: string
  account: string
  bucket: string
  user: string
  reads: number
  writes: number
  refused: number
  bytesIn: number
  bytesOut: number
  byteHours: number
}

const PAGE_ROWS = 1000

/** In the order of hour, account, bucket, user; a page at a time. */
export async function* usageLines(database: Database, query: UsageQuery): AsyncGenerator<UsageLine> {
  const until = Math.ceil(query.to / HOUR_MS)
  for (let after: UsageRow | null = null; ; ) {
    let select = database
      .selectFrom('usage')
      .selectAll()
      .where('hour', '>=', Math.floor(query.from / HOUR_MS))
      .where('hour', '<', until)
    if (query.account !== undefined) select = select.where('account', '=', query.account)
    if (query.bucket !== undefined) select = select.where('bucket', '=', query.bucket)
    if (query.user !== undefined) select = select.where('principal', '=', query.user)
    const { hour, account, bucket, principal } = after ?? { hour: -1, account: '', bucket: '', principal: '' }
    const rows: UsageRow[] = await select
      .where(row =>
        row(row.refTuple('hour', 'account', 'bucket', 'principal'), '>', row.tuple(hour, account, bucket, principal)),
      )
      .orderBy('hour')
      .orderBy('account')
      .orderBy('bucket')
      .orderBy('principal')
      .limit(PAGE_ROWS)
      .execute()
    for (const row of rows) yield lineOf(row)
    after = rows.at(-1) ?? null
    if (rows.length < PAGE_ROWS) return
  }
}

function lineOf(row: UsageRow): UsageLine {
  return {
    hour: new Date(row.hour * HOUR_MS).toISOString(),
    account: row.account,
    bucket: row.bucket,
    user: row.principal,
    reads: row.reads,
    writes: row.writes,
    refused: row.refused,
    bytesIn: row.bytes_in,
    bytesOut: row.bytes_out,
    byteHours: row.byte_hours,
  }
}

export const CSV_HEADER = 'hour,account,bucket,user,reads,writes,refused,bytes_in,bytes_out,byte_hours'

/** RFC 4180; ids and names of buckets need no quotes, and get them where they do. */
export function csvLine(line: UsageLine): string {
  const { hour, account, bucket, user, reads, writes, refused, bytesIn, bytesOut, byteHours } = line
  return [hour, account, bucket, user, reads, writes, refused, bytesIn, bytesOut, byteHours].map(csvField).join(',')
}

function csvField(value: string | number): string {
  const text = String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
