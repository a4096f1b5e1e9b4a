import { sql } from 'kysely'
import type { Credentials } from '../../../access/sign.ts'
import { StoreError } from '../../../store/object-store.ts'
import type { RemoteSettings } from '../../../store/remote/remote-settings.ts'
import type { Change } from '../../database/hosted-schema.ts'
import type { Shelf } from '../shelf.ts'
import { addressIn, FILES, INLINE, STORE_NAME } from './address.ts'
import { INLINE_MOST } from './inline.ts'
import { moveAll, moveBucket } from './moves.ts'
import { type Placement, place, placementOf } from './placement.ts'
import { probe } from './probe.ts'
import { forgetSecrets, keepSecrets, openRemote, type RemoteGround, remoteSettings } from './remotes.ts'
import { type Swept, sweepStore } from './sweep.ts'

export type StoreLine = {
  name: string
  /** of one elsewhere */
  settings: RemoteSettings | null
  /** buckets whose new bodies go there */
  buckets: number
  blobs: number
  bytes: number
  /** still to be moved there */
  arriving: number
}

/** What an operator does with data stores. Faults: StoreError; RangeError - what was asked makes no sense. */
export type StoreDesk = {
  list(): Promise<StoreLine[]>
  /** Claims the prefix, tries it, and keeps the keys. Faults "in-use" | "away" | "damaged". */
  add(name: string, settings: RemoteSettings, credentials: Credentials): Promise<void>
  /** Writes, reads and deletes a blob. @returns ms */
  check(name: string): Promise<{ ms: number }>
  /** Fault "in-use": bodies lie there, or will. */
  remove(name: string): Promise<void>
  /** Where the bodies of a bucket go from now on. Fault "no-bucket". */
  place(bucket: string, placement: Placement): Promise<void>
  /** What the bucket holds is moved to where its new bodies go. @returns how many blobs */
  moveBucket(bucket: string): Promise<number>
  /** All that lies in one is moved to another. @returns how many blobs */
  drain(name: string, to: string): Promise<number>
  sweep(name: string): Promise<Swept>
}

/** @param wake - says that there is something to move */
export function storeDesk(shelf: Shelf, ground: RemoteGround, wake: () => void): StoreDesk {
  const { database, blobs } = shelf
  const requireRemote = (name: string) => {
    const found = blobs.remote.get(name)
    if (found === undefined) throw new RangeError(`there is no data store ${name} elsewhere: \`store list\` shows all`)
    return found
  }
  const requireStore = (name: string): void => {
    if (name !== FILES) requireRemote(name)
  }
  const change = <T>(work: (change: Change) => Promise<T>): Promise<T> => database.transaction().execute(work)

  return {
    async list() {
      const rows = await database.selectFrom('data_stores').selectAll().orderBy('name').execute()
      const named = new Map(rows.map(row => [row.name, remoteSettings.parse(JSON.parse(row.settings))]))
      const lines: StoreLine[] = []
      for (const name of [INLINE, ...named.keys()]) lines.push(await lineOf(shelf, name, named.get(name) ?? null))
      const all = await sumOf(shelf, sql`true`)
      const rest = lines.reduce((sum, line) => ({ blobs: sum.blobs - line.blobs, bytes: sum.bytes - line.bytes }), all)
      return [{ ...(await lineOf(shelf, FILES, null)), ...rest }, ...lines]
    },
    async add(name, settings, credentials) {
      if (!STORE_NAME.test(name))
        throw new RangeError(`"${name}": want a to z, digits and -, at most 32, not files or inline`)
      if (blobs.remote.has(name)) throw new StoreError('in-use', `there is a data store ${name}`)
      const sound = remoteSettings.parse(settings)
      const mark = await keepSecrets(ground.directory, name, credentials)
      const store = openRemote(ground, name, sound, credentials)
      try {
        await store.claim(mark)
        await probe(store)
        // commit point: from here on it is ours
        await database
          .insertInto('data_stores')
          .values({ name, mark, settings: JSON.stringify(sound), added_at: ground.clock().getTime() })
          .execute()
      } catch (error) {
        store.close()
        throw error
      }
      blobs.remote.set(name, store)
    },
    async check(name) {
      return { ms: await probe(requireRemote(name)) }
    },
    async remove(name) {
      const store = requireRemote(name)
      await change(async on => {
        const used = await on.selectFrom('placements').select('bucket').where('store', '=', name).executeTakeFirst()
        if (used !== undefined) throw new StoreError('in-use', `bodies of bucket ${used.bucket} go to ${name}`)
        const moving = await on.selectFrom('moves').select('blob').where('store', '=', name).executeTakeFirst()
        const { blobs: held } = await sumOf(shelf, inStore(name), on)
        if (held > 0 || moving !== undefined || store.arriving.size > 0)
          throw new StoreError(
            'in-use',
            `${held} blobs lie in ${name}: \`store drain\` moves them, \`store sweep\` removes what is dead`,
          )
        await on.deleteFrom('data_stores').where('name', '=', name).execute()
        blobs.remote.delete(name)
      })
      // its prefix may be used again; one that is away keeps the mark
      await store.disclaim().catch(() => undefined)
      store.close()
      await forgetSecrets(ground.directory, name)
    },
    async place(bucket, placement) {
      const { inlineMax } = placement
      if (!Number.isInteger(inlineMax) || inlineMax < 0 || inlineMax > INLINE_MOST)
        throw new RangeError(`bodies in the database have 0 to ${INLINE_MOST} bytes`)
      await change(async on => {
        // here, where no removal comes between
        requireStore(placement.store)
        await place(on, bucket, placement)
      })
    },
    async moveBucket(bucket) {
      const moved = await change(async on => {
        const { store, inlineMax } = await placementOf(on, bucket)
        return moveBucket(on, bucket, store, inlineMax === 0)
      })
      wake()
      return moved
    },
    async drain(name, to) {
      if (name === to) throw new RangeError(`${name} cannot be moved into itself`)
      const moved = await change(async on => {
        requireStore(name)
        requireStore(to)
        return moveAll(on, name, to)
      })
      wake()
      return moved
    },
    sweep(name) {
      requireRemote(name)
      return sweepStore(shelf, name)
    },
  }
}

/** Ids in a store that is not the files: from its name and a colon to the character behind that. */
function inStore(name: string) {
  return sql`id >= ${addressIn(name, '')} and id < ${`${name};`}`
}

async function sumOf(shelf: Shelf, which: ReturnType<typeof sql>, on: Change | Shelf['database'] = shelf.database) {
  const { rows } = await sql<{ blobs: number; bytes: number }>`
    select count(*) as blobs, coalesce(sum(size), 0) as bytes from blobs where ${which}`.execute(on)
  return { blobs: Number(rows[0]?.blobs ?? 0), bytes: Number(rows[0]?.bytes ?? 0) }
}

async function lineOf(shelf: Shelf, name: string, settings: RemoteSettings | null): Promise<StoreLine> {
  const { database } = shelf
  const column = name === INLINE ? sql`inline_max > 0` : sql`store = ${name}`
  const placed = await sql<{ count: number }>`select count(*) as count from placements where ${column}`.execute(
    database,
  )
  const coming = await sql<{ count: number }>`select count(*) as count from moves where store = ${name}`.execute(
    database,
  )
  const held = await sumOf(shelf, inStore(name))
  return {
    ...{ name, settings, buckets: Number(placed.rows[0]?.count ?? 0) },
    ...{ ...held, arriving: Number(coming.rows[0]?.count ?? 0) },
  }
}
