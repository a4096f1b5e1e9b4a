import { hash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Kysely, Transaction } from 'kysely'
import { AdministrationError } from '../../../format/administration.ts'
import type { EpochId } from '../../../format/bytes.ts'
import { type Destruction, encodeDestructionFile, signDestruction } from '../../../format/destruction.ts'
import type { KeyWork } from '../../../format/master-keys.ts'
import { type Token, TokenError } from '../../../hsm/token.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import type { Audit } from '../audit.ts'
import type { Facts } from '../facts.ts'
import type { Accounts } from '../people/accounts.ts'
import type { EpochRow, Epochs } from './epochs.ts'
import type { KnownKey, MasterKeys } from './master-keys.ts'
import { masterLabel, openingKeyOf, TOKEN_KEYS } from './token-keys.ts'

/**
 * What is done with a master key and takes its time: rotation and destruction. Both are on record before they begin, and go on after any
 * cut where they were.
 */
export type KeyWorks = {
  /** Begins it, or lets one that stopped go on. */
  rotate(reference: string, by: string): Promise<KeyWork>
  progress(reference: string): Promise<KeyWork>
  destroy(reference: string, by: string): Promise<Buffer>
  record(reference: string, version: number | null): Promise<Buffer>
  /** What a cut left undone goes on. */
  resume(): Promise<void>
  /** At the next epoch. */
  close(): Promise<void>
}

type Work = KeystoreSchema['key_works']
type Running = { done: number; ended: Promise<void>; stop: AbortController; message: string }

/** Sealed anew in one transaction. */
const BATCH_EPOCHS = 64
const TOKEN_AWAY_MS = 1000

export function keyWorksOf(on: {
  database: Kysely<KeystoreSchema>
  token: Token
  accounts: Pick<Accounts, 'byId'>
  masters: MasterKeys
  epochs: Pick<Epochs, 'resealed' | 'reread' | 'renew' | 'forget'>
  audit: Pick<Audit, 'write' | 'head'>
  facts: Pick<Facts, 'receiptCertificate'>
  clock: () => number
}): KeyWorks {
  const { database, token, accounts, masters, epochs, audit, facts, clock } = on
  const running = new Map<string, Running>()

  const workOf = (master: string): Promise<Work | undefined> =>
    database.selectFrom('key_works').selectAll().where('master', '=', master).executeTakeFirst()
  const needKey = async (id: string): Promise<KnownKey> => {
    const key = await masters.byId(id)
    if (key === null) throw new AdministrationError('not-found', `no key ${id}`)
    return key
  }
  const countOf = async (from: Kysely<KeystoreSchema>, master: string): Promise<number> => {
    const rows = from.selectFrom('epochs').where('master', '=', master)
    return (await rows.select(each => each.fn.countAll<number>().as('found')).executeTakeFirst())?.found ?? 0
  }

  /** Some epochs that are still under the old pair, sealed to the new one. @returns how many there were */
  const resealSome = async (key: KnownKey, signal: AbortSignal): Promise<number> => {
    const old = await database
      .selectFrom('epochs')
      .selectAll()
      .where('master', '=', key.id)
      .where('version', '<', key.version)
      .limit(BATCH_EPOCHS)
      .execute()
    const sealed: EpochRow[] = []
    for (const row of old) {
      const begun = performance.now()
      sealed.push(await epochs.resealed(row, key))
      // as long as it took: whatever a slow token is asked by readers waits for one of these at most, and has half of its time
      await delay(performance.now() - begun, undefined, { signal })
    }
    await database.transaction().execute(async change => {
      for (const { id, version, suite, encapsulated, ciphertext } of sealed)
        await change
          .updateTable('epochs')
          .set({ version, suite, encapsulated, ciphertext })
          .where('id', '=', id)
          .execute()
    }) // commit point of these
    for (const { id } of sealed) epochs.reread(id as EpochId)
    return sealed.length
  }
  const resealAll = async (work: Work, own: Running): Promise<void> => {
    const { signal } = own.stop
    for (;;) {
      try {
        const done = await resealSome(await needKey(work.master), signal)
        own.done += done
        if (done === 0) return
      } catch (error) {
        if (!(error instanceof TokenError) || !AWAY.has(error.fault)) throw error
        own.message = `the token is away: ${error.message}`
        await delay(TOKEN_AWAY_MS, undefined, { signal })
      }
    }
  }
  const finishRotation = async (work: Work): Promise<void> => {
    const key = await needKey(work.master)
    // commit point of the end: nothing is under the old pair, and none can come (`record` of epochs); from here on it is gone
    await token.destroyKey(masterLabel(key, work.old_version))
    await certify(work, [{ version: work.old_version, spki: work.old_spki }], 'rotated', work.epochs)
  }
  const finishDestruction = async (work: Work): Promise<void> => {
    const key = await needKey(work.master)
    const last = { version: key.version, spki: key.pair.spki }
    const both = work.old_version === 0 ? [last] : [{ version: work.old_version, spki: work.old_spki }, last]
    for (const { version } of both) await token.destroyKey(masterLabel(key, version)) // commit point: gone for ever
    // what was opened between the refusal and this
    epochs.forget(key.id)
    await certify(work, both, 'shredded', work.epochs)
  }
  const certify = async (
    work: Work,
    pairs: { version: number; spki: Buffer }[],
    cause: Destruction['cause'],
    count: number,
  ): Promise<void> => {
    const key = await needKey(work.master)
    const accountName = (await accounts.byId(key.account))?.name ?? ''
    const what = { cause, account: key.account, accountName, keyName: key.name, epochs: count, by: work.asked_by }
    const files: KeystoreSchema['destructions'][] = []
    for (const { version, spki } of pairs) {
      const keyDigest = hash('sha256', spki, 'buffer')
      const about = `${cause}: version ${version} of key ${key.id}, ${count} epochs, SPKI ${keyDigest.toString('hex')}`
      await audit.write({ what: 'key destroyed', who: work.asked_by, about, outcome: 'done' })
      const { seq: auditRow, hash: auditHead } = audit.head()
      const record = { ...what, version, keyDigest, destroyedAt: clock(), auditRow, auditHead }
      const signed = await signDestruction(record, message => token.sign(TOKEN_KEYS.receipt, message))
      const file = encodeDestructionFile({ signed, signerCertificate: facts.receiptCertificate })
      files.push({ master: key.id, version, record: file })
    }
    await database.transaction().execute(async change => {
      await change.insertInto('destructions').values(files).execute()
      await change.deleteFrom('key_works').where('master', '=', key.id).execute()
    })
  }
  /** Until it is done, cannot be, or is to stop. */
  const start = (work: Work): void => {
    const stop = new AbortController()
    const own: Running = { done: 0, ended: Promise.resolve(), stop, message: '' }
    const whole = async (): Promise<void> => {
      try {
        if (work.kind === 'destroy') await finishDestruction(work)
        else {
          await resealAll(work, own)
          await finishRotation(work)
        }
        running.delete(work.master)
      } catch (error) {
        own.message = error instanceof Error ? error.message : String(error)
        if (stop.signal.aborted) return
        const about = `${work.kind} of key ${work.master}`
        await audit.write({ what: 'key work stopped', who: work.asked_by, about, outcome: own.message })
        stop.abort()
      }
    }
    running.set(work.master, own)
    // where even the audit could not be written: why it stopped is in its message
    own.ended = whole().catch(() => {})
  }
  const goOn = (work: Work): void => {
    const there = running.get(work.master)
    if (there === undefined || there.stop.signal.aborted) start(work)
  }
  const halt = async (master: string): Promise<void> => {
    const there = running.get(master)
    there?.stop.abort()
    await there?.ended
    running.delete(master)
  }
  const tellOf = async (key: KnownKey): Promise<KeyWork> => {
    const work = await workOf(key.id)
    const { version } = await needKey(key.id)
    if (work === undefined) return { state: 'none', version, done: 0, total: 0, message: '' }
    const own = running.get(key.id)
    const left = database.selectFrom('epochs').where('master', '=', key.id).where('version', '<', version)
    const open = (await left.select(each => each.fn.countAll<number>().as('found')).executeTakeFirst())?.found ?? 0
    const state = own === undefined || own.stop.signal.aborted ? 'stopped' : 'under-way'
    return { state, version, done: Math.max(0, work.epochs - open), total: work.epochs, message: own?.message ?? '' }
  }
  const recordOf = async (key: KnownKey, version: number | null): Promise<Buffer> => {
    const all = database.selectFrom('destructions').select('record').where('master', '=', key.id)
    const asked = version === null ? all : all.where('version', '=', version)
    const row = await asked.orderBy('version', 'desc').executeTakeFirst()
    if (row === undefined) throw new AdministrationError('not-found', 'of this key nothing was destroyed yet')
    return row.record
  }
  /** @throws AdministrationError "state" - somebody else was faster */
  const changePair = async (
    change: Transaction<KeystoreSchema>,
    key: KnownKey,
    to: Partial<KeystoreSchema['master_keys']>,
  ): Promise<void> => {
    const done = await change
      .updateTable('master_keys')
      .set(to)
      .where('id', '=', key.id)
      .where('version', '=', key.version)
      .where('destroyed_at', 'is', null)
      .executeTakeFirst()
    if (done.numUpdatedRows === 0n) throw new AdministrationError('state', 'the key was changed meanwhile; try again')
  }

  return {
    async rotate(reference, by) {
      const key = await masters.find(reference)
      if (key.destroyed) throw new AdministrationError('state', 'the key was destroyed: there is nothing to rotate')
      const there = await workOf(key.id)
      if (there === undefined) {
        const version = key.version + 1
        // the pair first: a crash here leaves one that nobody names, and that the next try finds
        const { suite, spki } = await openingKeyOf(token, masterLabel(key, version))
        const begun = { master: key.id, kind: 'rotate' as const, asked_by: by, started_at: clock() }
        const old = { old_version: key.version, old_spki: key.pair.spki }
        const work = await database.transaction().execute(async change => {
          await changePair(change, key, { version, suite, spki })
          const row = { ...begun, ...old, epochs: await countOf(change, key.id) }
          await change.insertInto('key_works').values(row).execute()
          return row
        }) // commit point: from here on new epochs are sealed to the new pair
        masters.forget(key.id)
        epochs.renew(key.id)
        start(work)
      } else goOn(there)
      return tellOf(key)
    },
    progress: async reference => tellOf(await masters.find(reference)),
    async destroy(reference, by) {
      await halt((await masters.find(reference)).id)
      const key = await masters.find(reference)
      const there = await workOf(key.id)
      if (key.destroyed && there === undefined)
        throw new AdministrationError('state', 'the key was destroyed before: its record is there')
      let work = there
      if (!key.destroyed) {
        const old = { old_version: there?.old_version ?? 0, old_spki: there?.old_spki ?? Buffer.alloc(0) }
        work = await database.transaction().execute(async change => {
          await changePair(change, key, { destroyed_at: clock() })
          await change.deleteFrom('key_works').where('master', '=', key.id).execute()
          const asked = { master: key.id, kind: 'destroy' as const, asked_by: by, started_at: clock() }
          const row = { ...asked, ...old, epochs: await countOf(change, key.id) }
          await change.insertInto('key_works').values(row).execute()
          return row
        }) // commit point of the refusal: no release from here on, though the token may be away
        masters.forget(key.id)
        epochs.forget(key.id)
      }
      if (work !== undefined) await finishDestruction(work)
      return recordOf(key, null)
    },
    record: async (reference, version) => recordOf(await masters.find(reference), version),
    async resume() {
      for (const work of await database.selectFrom('key_works').selectAll().execute()) start(work)
    },
    async close() {
      for (const master of [...running.keys()]) await halt(master)
    },
  }
}

const AWAY: ReadonlySet<TokenError['fault']> = new Set(['absent', 'locked', 'restarting'])
