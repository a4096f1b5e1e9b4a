import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type DecisionSettings, USUAL_DECISION } from '../../access/acl/decide.ts'
import { makeDirectoryDurable } from '../../store/durable.ts'
import { shareDirectory } from '../../store/lock.ts'
import type { Patience } from '../../store/remote/remote-settings.ts'
import type { Database } from '../database/hosted-schema.ts'
import { DEAD } from '../database/hosted-stores.ts'
import { type Looking, openLooking } from '../database/looking.ts'
import { openAdoptingBlobs, writerOf } from './blobs.ts'
import { joinMembers, type Members } from './members.ts'
import { openBlobs } from './open-blobs.ts'
import { addressOf, FILES, INLINE } from './stores/address.ts'
import { type DataStores, dataStores } from './stores/data-stores.ts'
import { openNamed, openRemotes } from './stores/remotes.ts'
import { joinTables, updateTables } from './tables.ts'
import { openQuotas } from './usage/quotas.ts'
import type { Ledger } from './usage/stored.ts'

/**
 * What all callers' stores share: records in SQL, bodies in blobs.
 *
 *     hosted.sqlite   incoming/<id>   blobs/<first two digits>/<id>   members/<process>   lock.sqlite
 *
 * Write order of a body: blob written and synced; the transaction that names it (the commit point); the blob kept. So after a crash
 * `incoming` holds what the tables know, which is kept, and what they do not, which is removed. What lies in the database comes and goes by
 * transactions alone.
 *
 * Several processes may have the directory open, each with a shelf of its own. Nothing that another may change is kept in memory; what a
 * process that died has left, the next that looks clears away.
 */
export type Shelf = {
  database: Database
  /** the same tables, for what is asked at each request */
  looking: Looking
  blobs: DataStores
  clock: () => Date
  /** as the authority decides */
  decision: DecisionSettings
  /** what is stored, and may be */
  ledger: Ledger
  members: Members
  /** ACL objects that this process is at, by object id */
  staging: Set<string>
  /** Blobs of a body that is being read: they outlive its record till `free`. Call it in the turn that found them, or while the connection is held. */
  pin(blobs: string[]): () => void
  /**
   * Removes blobs that a committed change has marked dead; those that are read go with their last reader. A store elsewhere is waited for a
   * little: what it does not remove stays marked, and the change is committed all the same.
   */
  bury(blobs: string[]): Promise<void>
  /** The same, and waits for all of them. @returns false - one could not be removed: those behind it were left, too */
  buryAll(blobs: string[]): Promise<boolean>
  /** Clears away what processes left that died; nothing, while another is at it. */
  recover(): Promise<void>
  /** Files that nobody reads are closed: another process may have removed them. */
  letGo(): Promise<void>
  close(): Promise<void>
}

/** How long whoever changed something waits for bytes elsewhere to go. */
const ELSEWHERE_MS = 2000
/** Descriptors that stay open while nobody reads. */
const OPEN_BLOBS_MAX = 128

/** @throws StoreError "busy" - another process holds the directory for itself, or is of another version */
export async function openShelf(options: {
  directory: string
  clock: () => Date
  decision?: DecisionSettings
  /** with stores elsewhere */
  patience?: Patience
}): Promise<Shelf> {
  const { directory, clock, decision = USUAL_DECISION, patience } = options
  await makeDirectoryDurable(directory, 0o700)
  const path = join(directory, 'hosted.sqlite')
  await updateTables(directory, path)
  const lock = shareDirectory(directory)
  let database: Database | undefined
  let members: Members | undefined
  let looking: Looking | undefined
  try {
    database = await joinTables(directory, path)
    looking = openLooking(path)
    members = await joinMembers(directory)
    const files = openBlobs(await openAdoptingBlobs(directory, members.own), OPEN_BLOBS_MAX)
    const tables = database
    const ground = { directory, clock, ...(patience && { patience }) }
    const blobs = dataStores(tables, files, await openRemotes(tables, ground), name => openNamed(tables, ground, name))
    const ledger = { quotas: await openQuotas(database, looking), now: () => clock().getTime() }
    const parts = { database, looking, blobs, clock, decision, ledger, members }
    const leave = members.leave
    const shelf = shelfOf(parts, files.closeAll, () => blobs.closeAll().finally(leave).finally(lock.close))
    await shelf.recover()
    return shelf
  } catch (error) {
    looking?.close()
    await database?.destroy()
    await members?.leave()
    lock.close()
    throw error
  }
}

function shelfOf(
  parts: Pick<Shelf, 'database' | 'looking' | 'blobs' | 'clock' | 'decision' | 'ledger' | 'members'>,
  letGo: () => Promise<void>,
  unlock: () => Promise<void>,
): Shelf {
  const { database, blobs, members } = parts
  const readers = new Map<string, number>()
  const waiting = new Set<string>()
  let closing: Promise<void> | undefined

  const buryAll = async (dead: string[]): Promise<boolean> => {
    for (const blob of dead) {
      if (readers.has(blob)) {
        waiting.add(blob)
        continue
      }
      try {
        await blobs.remove(blob)
        await database.deleteFrom('blobs').where('id', '=', blob).where('state', '=', 'dead').execute()
      } catch {
        // it stays marked dead and is removed later; the change that gave it up is committed all the same
        return false
      }
    }
    return true
  }
  const bury = async (dead: string[]): Promise<void> => {
    await buryAll(dead.filter(isOwn))
    const elsewhere = dead.filter(blob => !isOwn(blob))
    if (elsewhere.length === 0) return
    const enough = new AbortController()
    const waited = wait(ELSEWHERE_MS, null, { signal: enough.signal }).catch(() => undefined)
    await Promise.race([buryAll(elsewhere), waited])
    enough.abort()
  }
  return {
    ...parts,
    staging: new Set(),
    letGo,
    async recover() {
      await members.alone(isGone => recover(database, blobs, isGone))
    },
    pin(pinned) {
      for (const blob of pinned) readers.set(blob, (readers.get(blob) ?? 0) + 1)
      let free = false
      return () => {
        if (free) return
        free = true
        for (const blob of pinned) {
          const left = (readers.get(blob) ?? 1) - 1
          if (left > 0) readers.set(blob, left)
          else {
            readers.delete(blob)
            if (waiting.delete(blob)) void bury([blob])
          }
        }
      }
    },
    bury,
    buryAll,
    close() {
      if (closing === undefined) {
        // the last connection to be closed empties the log: that is the one that writes
        parts.looking.close()
        closing = database.destroy().finally(unlock)
      }
      return closing
    },
  }
}

/** Stores that answer while the store opens; what is dead elsewhere is removed behind it. */
function isOwn(blob: string): boolean {
  const { store } = addressOf(blob)
  return store === FILES || store === INLINE
}

/** What a crash left between the blob, the transaction and the move or removal after it. */
async function recover(database: Database, blobs: DataStores, isGone: (process: string) => boolean): Promise<void> {
  for await (const blob of blobs.unkept()) {
    if (!isGone(writerOf(blob))) continue
    const row = await database.selectFrom('blobs').select('state').where('id', '=', blob).executeTakeFirst()
    if (row?.state === 'live') await blobs.keep(blob)
    else await blobs.remove(blob)
  }
  for (let after = ''; ; ) {
    const dead = await database
      .selectFrom('blobs')
      .select('id')
      .where('state', '=', DEAD)
      .where('id', '>', after)
      .orderBy('id')
      .limit(1000)
      .execute()
    const last = dead.at(-1)
    if (last === undefined) return
    after = last.id
    const own = dead.map(each => each.id).filter(isOwn)
    for (const id of own) await blobs.remove(id)
    if (own.length > 0) await database.deleteFrom('blobs').where('id', 'in', own).execute()
  }
}
