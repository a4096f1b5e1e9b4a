import { createSecretKey, type KeyObject } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FormatError } from '../../format/fault.ts'
import { verifyKeyRecord } from '../../format/key-record.ts'
import { ReleaseError } from '../../format/release.ts'
import { DRIVE } from '../../format/volume.ts'
import { type Span, spansOf } from './spans.ts'
import type { Keeping, Work } from './work.ts'

/** Keeps an epoch's key record when the device signed it for this job; the first good one of an epoch counts. */
export async function keepRecord(work: Keeping, record: Uint8Array, from: string): Promise<void> {
  try {
    const { epoch, job, device } = verifyKeyRecord(record, work.identity)
    if (job !== work.job || device !== work.device)
      throw new FormatError('mismatch', `epoch ${epoch}: its key record is of another job or device`)
    await work.database
      .insertInto('epochs')
      .values({ run: work.run, epoch, record: Buffer.from(record), reason: '' })
      .onConflict(conflict => conflict.columns(['run', 'epoch']).doNothing())
      .execute()
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    await work.find('key-record-refused', `${from}: ${error.message}`)
  }
}

/** The copies beside the packs, for epochs whose frame is lost. */
export async function keepRecordFiles(work: Work): Promise<void> {
  for (const { path } of work.volumes) {
    const directory = join(path, DRIVE.keys)
    for (const name of await readdir(directory).catch(absent)) {
      if (!/^[0-9a-f]{32}$/.test(name)) continue
      const file = join(directory, name)
      await keepRecord(work, await readFile(file), file)
    }
  }
}

function absent(error: unknown): string[] {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
  throw error
}

const KEYS_KEPT = 64

export type MetadataKeys = (epoch: string) => Promise<KeyObject | null>

/** The keys that open names, asked for one by one; null where the authority refuses, which is then a finding. */
export function metadataKeysOf(work: Work): MetadataKeys {
  const held = new Map<string, KeyObject | null>()
  return async epoch => {
    const known = held.get(epoch)
    if (known !== undefined) return known
    const key = await fetchKey(work, epoch)
    const [oldest] = held.keys()
    if (held.size >= KEYS_KEPT && oldest !== undefined) held.delete(oldest)
    held.set(epoch, key)
    return key
  }
}

async function fetchKey(work: Work, epoch: string): Promise<KeyObject | null> {
  const row = await findEpoch(work, epoch)
  if (row === undefined) {
    await work.find('key-record-refused', `epoch ${epoch}: no key record of it bears this device's signature`)
    return null
  }
  if (row.reason !== '') return null
  try {
    const bytes = await work.release.metadataKey(work.station, row.record)
    const key = createSecretKey(bytes)
    bytes.fill(0)
    return key
  } catch (error) {
    await refuse(work, epoch, error)
    return null
  }
}

export function findEpoch(work: Work, epoch: string) {
  return work.database
    .selectFrom('epochs')
    .select(['record', 'reason'])
    .where('run', '=', work.run)
    .where('epoch', '=', epoch)
    .executeTakeFirst()
}

/** A refusal is about this epoch; anything else (the token away) stops the run, to be run again. */
async function refuse(work: Work, epoch: string, error: unknown): Promise<void> {
  if (!(error instanceof ReleaseError) || !['denied', 'held', 'malformed', 'not-found'].includes(error.fault))
    throw error
  // the station itself refused, as when the job is not taken in any more, is no word about this epoch
  await work.release.job(work.station)
  const reason = `the authority refuses its key record: ${error.message}`
  await work.find('key-record-refused', `epoch ${epoch}: ${reason}`)
  await work.database
    .updateTable('epochs')
    .set({ reason })
    .where('run', '=', work.run)
    .where('epoch', '=', epoch)
    .execute()
}

/** Usually the first of its places is: nothing else is looked at. */
async function hasReady({ database, run }: Work, { epoch, kind, first, last }: Span): Promise<boolean> {
  const row = await database
    .selectFrom('items')
    .select('idx')
    .where('run', '=', run)
    .where('idx', '>=', first)
    .where('idx', '<=', last)
    .where('epoch', '=', epoch)
    .where('kind', '=', kind)
    .where('state', 'in', ['ready', 'member'])
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

/** Takes over the epochs that something ready belongs to. Doing it again changes nothing. */
export async function resealEpochs(work: Work): Promise<void> {
  const used = new Set<string>()
  for (const span of await spansOf(work))
    if (!used.has(span.epoch) && (await hasReady(work, span))) used.add(span.epoch)
  let done = 0
  for (const epoch of [...used].sort()) {
    const row = await findEpoch(work, epoch)
    try {
      if (row !== undefined) await work.release.reseal(work.station, row.record)
    } catch (error) {
      await refuse(work, epoch, error)
    }
    const refused = (await findEpoch(work, epoch))?.reason ?? 'no key record'
    if (refused !== '')
      await work.database
        .updateTable('items')
        .set({ state: 'held', reason: `key-record-refused: ${refused}` })
        .where('run', '=', work.run)
        .where('epoch', '=', epoch)
        .where('state', 'in', ['ready', 'member'])
        .execute()
    work.progress('reseal', ++done, used.size)
  }
}
