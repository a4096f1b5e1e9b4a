import { sql } from 'kysely'
import { StoreError } from '../../../store/object-store.ts'
import { OwnBody } from '../../../store/own-body.ts'
import type { Change } from '../../database/hosted-schema.ts'
import type { Shelf } from '../shelf.ts'
import { addressIn, addressOf, FILES } from './address.ts'

const READ_BYTES = 4 << 20
const BODIES_AT_ONCE = 1000

/** What of a column's blobs lies in a store. Names hold no character that LIKE reads as another. */
function liesIn(column: string, store: string) {
  const id = sql.ref(column)
  return store === FILES ? sql`${id} not like '%:%'` : sql`${id} like ${addressIn(store, '%')}`
}

const blobsOfBucket = (bucket: string) => sql`
  select bodies.blob from objects join bodies on bodies.object_id = objects.object_id where objects.bucket = ${bucket}
  union select bodies.blob from parts join bodies on bodies.object_id = parts.object_id where parts.bucket = ${bucket}`

/** All bodies of a bucket that lie elsewhere are to be moved. @param fromInline - those in the database, too. @returns how many blobs */
export async function moveBucket(change: Change, bucket: string, store: string, fromInline: boolean): Promise<number> {
  const inline = fromInline ? sql`` : sql` and not ${liesIn('blob', 'inline')}`
  return enqueue(
    change,
    store,
    sql`select blob from (${blobsOfBucket(bucket)}) as held where blob is not null and not ${liesIn('blob', store)}${inline}`,
  )
}

/** All that lies in a store is to be moved. @returns how many blobs */
export async function moveAll(change: Change, from: string, store: string): Promise<number> {
  return enqueue(change, store, sql`select id as blob from blobs where state = 'live' and ${liesIn('id', from)}`)
}

/** A pack whose intake is over is to lie where the buckets' bodies do, if all of them say the same. */
export async function movePack(change: Change, blob: string): Promise<void> {
  const elsewhere = await change.selectFrom('placements').select('store').where('store', '!=', FILES).limit(1).execute()
  if (elsewhere.length === 0) return
  const { rows } = await sql<{ store: string }>`
    select distinct coalesce(placements.store, ${FILES}) as store from (
      select objects.bucket from bodies join objects on objects.object_id = bodies.object_id where bodies.blob = ${blob}
      union select parts.bucket from bodies join parts on parts.object_id = bodies.object_id where bodies.blob = ${blob}
    ) as held left join placements on placements.bucket = held.bucket`.execute(change)
  const [only] = rows
  if (rows.length !== 1 || only === undefined || only.store === FILES) return
  await enqueue(change, only.store, sql`select ${blob} as blob`)
}

async function enqueue(change: Change, store: string, blobs: ReturnType<typeof sql>): Promise<number> {
  // a copy that is there already is not made void; "where true" parts the select from what follows, for SQLite's parser
  const done = await sql`
    insert into moves (blob, store) select blob, ${store} from (${blobs}) as chosen where true
    on conflict (blob) do update set store = excluded.store where moves.target is null`.execute(change)
  return Number(done.numAffectedRows ?? 0n)
}

/**
 * Moves the next blob behind `after`: copied and acknowledged; named by a row; bodies moved to it, some at a time; the old one dead. Cut off
 * anywhere it goes on from the rows.
 *
 * @returns which one, and what moves it: false where that must wait; null: there is none
 */
export async function moveNext(
  shelf: Shelf,
  after: string,
  signal: AbortSignal,
): Promise<{ blob: string; move: () => Promise<boolean> } | null> {
  const row = await shelf.database
    .selectFrom('moves')
    .selectAll()
    .where('blob', '>', after)
    .orderBy('blob')
    .limit(1)
    .executeTakeFirst()
  if (row === undefined) return null
  return { blob: row.blob, move: () => move(shelf, row, signal) }
}

async function move(
  shelf: Shelf,
  row: { blob: string; store: string; target: string | null },
  signal: AbortSignal,
): Promise<boolean> {
  const { database } = shelf
  const { blob, store } = row
  let { target } = row
  if (target === null) {
    const found = await database.connection().execute(async at => {
      const old = await at.selectFrom('blobs').selectAll().where('id', '=', blob).executeTakeFirst()
      return old === undefined || old.state === 'dead' ? null : { old, free: shelf.pin([blob]) }
    })
    if (found === null || addressOf(blob).store === store) {
      found?.free()
      await database.deleteFrom('moves').where('blob', '=', blob).execute()
      return true
    }
    try {
      // of an intake that runs, or itself the copy of another: later
      if (found.old.origin !== null) return false
      target = await copyBlob(shelf, found.old, store, signal)
    } finally {
      found.free()
    }
  }
  await moveBodies(shelf, blob, target)
  return true
}

async function copyBlob(
  shelf: Shelf,
  { id, size }: { id: string; size: number },
  store: string,
  signal: AbortSignal,
): Promise<string> {
  const copy = await shelf.blobs.write(new OwnBody(bytesOf(shelf, id, size, signal)), { store, inlineMax: 0 })
  try {
    if (copy.size !== size) throw new StoreError('damaged', `blob ${id} gave ${copy.size} bytes of ${size}`)
    await shelf.database.transaction().execute(async change => {
      // its origin keeps it alive while nothing refers to it
      const row = { id: copy.id, size, refs: 0, state: 'live', origin: `move:${id}` } as const
      await change.insertInto('blobs').values(row).execute()
      await change.updateTable('moves').set({ target: copy.id }).where('blob', '=', id).execute()
    })
  } catch (error) {
    await shelf.blobs.remove(copy.id)
    throw error
  }
  await shelf.blobs.keep(copy.id)
  return copy.id
}

async function* bytesOf(shelf: Shelf, blob: string, size: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const reader = await shelf.blobs.open(blob)
  if (reader === null) throw new StoreError('damaged', `blob ${blob} is missing`)
  try {
    for (let at = 0; at < size; ) {
      signal.throwIfAborted()
      const bytes = await reader.read(at, Math.min(READ_BYTES, size - at))
      if (bytes.length === 0) throw new StoreError('damaged', `blob ${blob} ends at ${at} of ${size} bytes`)
      // before it is handed over: its memory may be given back
      at += bytes.length
      yield bytes
    }
  } finally {
    await reader.close()
  }
}

async function moveBodies(shelf: Shelf, blob: string, target: string): Promise<void> {
  const { database } = shelf
  for (let over = false; !over; ) {
    const dead = await database.transaction().execute(async change => {
      const some = await change
        .selectFrom('bodies')
        .select('object_id')
        .where('blob', '=', blob)
        .limit(BODIES_AT_ONCE)
        .execute()
      over = some.length === 0
      if (over) return endMove(change, blob, target)
      const ids = some.map(each => each.object_id)
      await change.updateTable('bodies').set({ blob: target }).where('object_id', 'in', ids).execute()
      await addRefs(change, target, ids.length)
      await addRefs(change, blob, -ids.length)
      return []
    })
    await shelf.bury(dead)
  }
}

async function addRefs(change: Change, blob: string, more: number): Promise<void> {
  await change
    .updateTable('blobs')
    .set(row => ({ refs: row('refs', '+', more) }))
    .where('id', '=', blob)
    .execute()
}

/** Nothing refers to the old one any more; perhaps nothing to the copy. @returns those that are dead */
async function endMove(change: Change, blob: string, target: string): Promise<string[]> {
  await change.deleteFrom('moves').where('blob', '=', blob).execute()
  await change.updateTable('blobs').set({ origin: null }).where('id', '=', target).execute()
  const dead = await change
    .updateTable('blobs')
    .set({ state: 'dead' })
    .where('id', 'in', [blob, target])
    .where('refs', '<=', 0)
    .returning('id')
    .execute()
  return dead.map(each => each.id)
}
