import type { RemoteBlobs } from '../../../store/remote/remote-blobs.ts'
import { DEAD } from '../../database/hosted-stores.ts'
import { finder } from '../../database/rows.ts'
import type { Shelf } from '../shelf.ts'
import { addressIn } from './address.ts'

export type Swept = { removed: number; uploadsEnded: number }

/** Of what nobody knows only that goes which has lain there for as long: the writes of no process take a day till they are committed. */
export const GARBAGE_AGE_MS = 86_400_000
const AT_ONCE = 256

const knownBlobs = finder<string>('blobs', 'id')

/**
 * Takes away what a crash, or an endpoint that was away, left in a store elsewhere: what is marked dead, and what lies under the prefix
 * and no row knows.
 *
 * @throws StoreError "damaged" - the prefix does not say that it is this store's, so that nothing in it is; "away"
 */
export async function sweepStore(shelf: Shelf, name: string, ageMs = GARBAGE_AGE_MS): Promise<Swept> {
  const { database, blobs } = shelf
  const store = blobs.remote.get(name)
  const row = await database.selectFrom('data_stores').select('mark').where('name', '=', name).executeTakeFirst()
  if (store === undefined || row === undefined) return { removed: 0, uploadsEnded: 0 }
  await store.requireClaimed(row.mark)
  await buryDead(shelf, name)
  let removed = 0
  let old: string[] = []
  const removeUnknown = async (): Promise<void> => {
    removed += await removeThoseUnknown(shelf, name, store, old)
    old = []
  }
  for await (const { blob, ageMs: age } of store.stored()) {
    if (age < ageMs) continue
    old.push(blob)
    if (old.length === AT_ONCE) await removeUnknown()
  }
  await removeUnknown()
  return { removed, uploadsEnded: await store.endUploads(ageMs) }
}

async function removeThoseUnknown(shelf: Shelf, name: string, store: RemoteBlobs, old: string[]): Promise<number> {
  // first who is on the way, then the rows: what is committed between the two looks is in the rows
  const settled = old.filter(blob => !store.arriving.has(blob)).map(blob => addressIn(name, blob))
  const known = new Set(await knownBlobs(shelf.database, settled))
  const unknown = settled.filter(blob => !known.has(blob))
  for (const blob of unknown) await shelf.blobs.remove(blob)
  return unknown.length
}

/** Removes what is marked dead in a store elsewhere, as far as it answers. */
export async function buryDead(shelf: Shelf, name: string): Promise<void> {
  for (let after = addressIn(name, ''); ; ) {
    const dead = await shelf.database
      .selectFrom('blobs')
      .select('id')
      .where('state', '=', DEAD)
      .where('id', '>', after)
      // the character behind the colon
      .where('id', '<', `${name};`)
      .orderBy('id')
      .limit(AT_ONCE)
      .execute()
    const last = dead.at(-1)
    if (last === undefined) return
    after = last.id
    if (!(await shelf.buryAll(dead.map(each => each.id)))) return
  }
}
