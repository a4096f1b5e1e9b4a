import { type Kysely, sql } from 'kysely'
import type { DatabaseKind } from './dialect.ts'

/** What was used, by whom, and what may be. Hours count from 1970. */
export type HostedUsageTables = {
  /** of an hour. `account`: the bucket's; `bucket` empty: none that is there; `principal` empty: anonymous */
  usage: UsageRow
  /** what lies in a bucket at this moment, by owner; `byte_hours` since it was carried over to `usage` last */
  stored: {
    bucket: string
    owner: string
    account: string
    objects: number
    bytes: number
    byte_hours: number
    /** ms since 1970 up to which `byte_hours` counts */
    counted_at: number
  }
  quotas: { scope: string; id: string; dimension: string; period: string; amount: number }
}

export type UsageRow = {
  hour: number
  account: string
  bucket: string
  principal: string
  reads: number
  writes: number
  refused: number
  bytes_in: number
  bytes_out: number
  byte_hours: number
}

export async function addUsage(database: Kysely<unknown>, kind: DatabaseKind): Promise<void> {
  const { wholeNumber, fraction, tableEnd } = kind
  const table = (name: string) => database.schema.createTable(name).modifyEnd(tableEnd)
  await table('usage')
    .addColumn('hour', wholeNumber, column => column.notNull())
    .addColumn('account', 'text', column => column.notNull())
    .addColumn('bucket', 'text', column => column.notNull())
    .addColumn('principal', 'text', column => column.notNull())
    .addColumn('reads', wholeNumber, column => column.notNull())
    .addColumn('writes', wholeNumber, column => column.notNull())
    .addColumn('refused', wholeNumber, column => column.notNull())
    .addColumn('bytes_in', wholeNumber, column => column.notNull())
    .addColumn('bytes_out', wholeNumber, column => column.notNull())
    .addColumn('byte_hours', fraction, column => column.notNull())
    .addPrimaryKeyConstraint('usage_key', ['hour', 'account', 'bucket', 'principal'])
    .execute()
  await table('stored')
    .addColumn('bucket', 'text', column => column.notNull())
    .addColumn('owner', 'text', column => column.notNull())
    .addColumn('account', 'text', column => column.notNull())
    .addColumn('objects', wholeNumber, column => column.notNull())
    .addColumn('bytes', wholeNumber, column => column.notNull())
    .addColumn('byte_hours', fraction, column => column.notNull())
    .addColumn('counted_at', wholeNumber, column => column.notNull())
    .addPrimaryKeyConstraint('stored_key', ['bucket', 'owner', 'account'])
    .execute()
  await table('quotas')
    .addColumn('scope', 'text', column => column.notNull())
    .addColumn('id', 'text', column => column.notNull())
    .addColumn('dimension', 'text', column => column.notNull())
    .addColumn('period', 'text', column => column.notNull())
    .addColumn('amount', wholeNumber, column => column.notNull())
    .addPrimaryKeyConstraint('quotas_key', ['scope', 'id', 'dimension', 'period'])
    .execute()
  // what lies there from before counts from now on
  await sql`
    insert into stored (bucket, owner, account, objects, bytes, byte_hours, counted_at)
    select objects.bucket, objects.owner, buckets.account, count(*), sum(objects.size), 0, ${Date.now()}
    from objects join buckets on buckets.name = objects.bucket
    group by objects.bucket, objects.owner, buckets.account`.execute(database)
  await sql`
    insert into stored (bucket, owner, account, objects, bytes, byte_hours, counted_at)
    select parts.bucket, '', buckets.account, 0, sum(parts.size), 0, ${Date.now()}
    from parts join uploads on uploads.id = parts.part_set join buckets on buckets.name = parts.bucket
    group by parts.bucket, buckets.account
    on conflict (bucket, owner, account) do update set bytes = stored.bytes + excluded.bytes`.execute(database)
}
