import { hash, randomBytes } from 'node:crypto'
import type { Kysely } from 'kysely'
import {
  type DeviceId,
  type EpochId,
  equalBytes,
  idBytes,
  type JobId,
  NO_ID,
  newId,
  prefixed,
} from '../../../format/bytes.ts'
import {
  checkCommitment,
  deriveEpochKeys,
  EPOCH_KEY_BYTES,
  type EpochKeys,
  epochCommitment,
} from '../../../format/epoch-key.ts'
import { label } from '../../../format/kdf.ts'
import { ReleaseError } from '../../../format/release.ts'
import { type SealContext, sealTo, wrapSuite } from '../../../format/wrap-suite.ts'
import { type Token, TokenError } from '../../../hsm/token.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import { Lru } from '../lru.ts'
import type { KnownKey, MasterKeys } from './master-keys.ts'
import { masterLabel } from './token-keys.ts'

/** An epoch as the authority knows it: whose, of which job and device, and its key sealed to a master key. */
export type Epoch = {
  id: EpochId
  account: string
  /** id of the master key: the account's own id, or a named key's, whoever's that is */
  master: string
  job: JobId | null
  device: DeviceId | null
  commitment: Buffer
}

/** Epoch keys never leave here: what does is one object's key at a time, or an epoch's metadata key. */
export type Epochs = {
  find(id: EpochId): Promise<Epoch | null>
  /** One token operation, then none for `keyTtlSeconds`. */
  keys(epoch: Epoch): Promise<EpochKeys>
  /** The account's epoch under that master key, for objects that are PUT directly: counts one use. */
  current(account: string, master: string): Promise<{ id: EpochId; keys: EpochKeys }>
  /** Takes an opened epoch over: sealed to the master key in software, not yet on record. Wipes `key`. */
  adopt(epoch: Epoch, master: KnownKey, key: Buffer): Adopted
  /** Puts an adopted epoch on record. @returns false: its master key was exchanged or destroyed meanwhile, and nothing was done */
  record(adopted: Adopted): Promise<boolean>
  /** The row sealed to the master key as it is now. One token operation. @throws FormatError "tampered" */
  resealed(row: EpochRow, master: KnownKey): Promise<EpochRow>
  /** The row was changed. */
  reread(id: EpochId): void
  /** No object more is wrapped under what was begun before. */
  renew(master: string): void
  /** Nothing that is under the master key is in memory any more. */
  forget(master: string): void
}
export type EpochRow = KeystoreSchema['epochs']
export type Adopted = { keys: EpochKeys; row: EpochRow }

export const OWN_EPOCH_LIMITS = { objects: 10_000, seconds: 600 } as const
const KEY_TTL_SECONDS = 600
const EPOCHS_CACHED_MAX = 10_000
const KEYS_CACHED_MAX = 1000
const ACCOUNTS_WRITING_MAX = 1000

export function epochsOf(on: {
  database: Kysely<KeystoreSchema>
  token: Token
  masters: Pick<MasterKeys, 'byId' | 'usable'>
  clock: () => number
}): Epochs {
  const { database, token, masters, clock } = on
  const rows = new Lru<EpochId, EpochRow>(EPOCHS_CACHED_MAX)
  type Opened = { master: string; keys: Promise<EpochKeys>; until: number }
  const opened = new Lru<EpochId, Opened>(KEYS_CACHED_MAX)
  type Own = { id: EpochId; keys: EpochKeys; uses: number; until: number }
  const own = new Lru<string, { master: string; running: Promise<Own> }>(ACCOUNTS_WRITING_MAX)

  const rowOf = async (id: EpochId): Promise<EpochRow | null> => {
    const cached = rows.get(id)
    if (cached !== undefined) return cached
    const { forgotten } = rows
    const found = await database.selectFrom('epochs').selectAll().where('id', '=', id).executeTakeFirst()
    if (found === undefined) return null
    rows.setUnless(forgotten, id, found)
    return found
  }
  /** The epoch key itself: the caller wipes it. */
  const openSealed = async (row: EpochRow): Promise<Buffer> => {
    const master = await masters.byId(row.master)
    if (master === null) throw new ReleaseError('not-found', `no master key ${row.master}`)
    const epoch = epochOf(row)
    const sealed = { suite: wrapSuite(row.suite), encapsulated: row.encapsulated, ciphertext: row.ciphertext }
    const key = await token.open(masterLabel(master, row.version), sealed, sealContext(epoch))
    try {
      checkCommitment(key, epoch.job ?? NO_JOB, epoch.id, epoch.commitment)
      return key
    } catch (error) {
      key.fill(0)
      throw error
    }
  }
  const openEpoch = async (id: EpochId): Promise<EpochKeys> => {
    const found = await rowOf(id)
    if (found === null) throw new ReleaseError('not-found', `no epoch ${id}`)
    const key = await openSealed(found).catch(async error => {
      if (!(error instanceof TokenError) || error.fault !== 'no-key') throw error
      // its master key was exchanged between the look and the opening
      rows.delete(id)
      const again = await rowOf(id)
      if (again === null || again.version === found.version) throw error
      return openSealed(again)
    })
    const keys = deriveEpochKeys(key)
    key.fill(0)
    return keys
  }
  const keep = (id: EpochId, master: string, keys: Promise<EpochKeys>): Promise<EpochKeys> => {
    opened.set(id, { master, keys, until: clock() + KEY_TTL_SECONDS * 1000 })
    keys.catch(() => opened.delete(id))
    return keys
  }
  const adopt: Epochs['adopt'] = (epoch, master, key) => {
    const { suite, encapsulated, ciphertext } = sealTo(master.pair, key, sealContext(epoch))
    const keys = deriveEpochKeys(key)
    key.fill(0)
    const sealed = { version: master.version, suite, encapsulated, ciphertext }
    return { keys, row: { ...epoch, ...sealed, created_at: clock() } }
  }
  const record: Epochs['record'] = async ({ keys, row }) => {
    const done = await database.transaction().execute(async change => {
      // what is sealed to a pair that is about to go must not come after the last look for such
      const master = await change
        .selectFrom('master_keys')
        .select(['version', 'destroyed_at'])
        .where('id', '=', row.master)
        .executeTakeFirst()
      if (master === undefined || master.version !== row.version || master.destroyed_at !== null) return false
      await change
        .insertInto('epochs')
        .values(row)
        .onConflict(conflict => conflict.column('id').doNothing())
        .execute()
      return true
    })
    if (done) await keep(row.id as EpochId, row.master, Promise.resolve(keys))
    return done
  }
  const begin = async (account: string, master: string): Promise<Own> => {
    for (;;) {
      const sealedTo = await masters.usable(master)
      const key = randomBytes(EPOCH_KEY_BYTES)
      // neither generator alone decides: the token's and this process's
      const other = await token.random(EPOCH_KEY_BYTES)
      for (const [at, byte] of other.entries()) key[at] = (key[at] ?? 0) ^ byte
      other.fill(0)
      const id = newId<EpochId>()
      const commitment = epochCommitment(key, NO_JOB, id)
      const adopted = adopt({ id, account, master, job: null, device: null, commitment }, sealedTo, key)
      // commit point: before anything is wrapped under it
      if (await record(adopted))
        return { id, keys: adopted.keys, uses: 0, until: clock() + OWN_EPOCH_LIMITS.seconds * 1000 }
    }
  }
  return {
    adopt,
    record,
    async find(id) {
      const found = await rowOf(id)
      return found === null ? null : epochOf(found)
    },
    keys(epoch) {
      const cached = opened.get(epoch.id)
      if (cached !== undefined && clock() < cached.until) return cached.keys
      return keep(epoch.id, epoch.master, openEpoch(epoch.id))
    },
    async current(account, master) {
      const name = `${account} ${master}`
      for (;;) {
        const { running } = own.get(name) ?? { running: begin(account, master) }
        own.set(name, { master, running })
        const leave = () => {
          if (own.get(name)?.running === running) own.delete(name)
        }
        const epoch = await running.catch(error => {
          leave()
          throw error
        })
        if (epoch.uses < OWN_EPOCH_LIMITS.objects && clock() < epoch.until) {
          epoch.uses++
          return epoch
        }
        leave()
      }
    },
    async resealed(row, master) {
      const key = await openSealed(row)
      try {
        const { suite, encapsulated, ciphertext } = sealTo(master.pair, key, sealContext(epochOf(row)))
        return { ...row, version: master.version, suite, encapsulated, ciphertext }
      } finally {
        key.fill(0)
      }
    },
    reread: id => rows.delete(id),
    renew: master => own.deleteWhere((_, each) => each.master === master),
    forget(master) {
      own.deleteWhere((_, each) => each.master === master)
      opened.deleteWhere((_, each) => each.master === master)
    },
  }
}

function epochOf({ id, account, master, job, device, commitment }: EpochRow): Epoch {
  return {
    id: id as EpochId,
    account,
    master,
    job: job as JobId | null,
    device: device as DeviceId | null,
    commitment,
  }
}

/** Stands for "no job" where an id is asked for: what was PUT into the store directly. */
export const NO_JOB = NO_ID as JobId

/** Binds the sealed key to account, job and epoch, and a named key's to that; not to an ACL: who may open is looked up live. */
function sealContext(epoch: Epoch): SealContext {
  const parts = [prefixed(epoch.account), idBytes(epoch.job ?? NO_JOB), idBytes(epoch.id), epoch.commitment]
  const named = epoch.master === epoch.account ? [] : [prefixed(epoch.master)]
  const aad = hash('sha256', label(named.length > 0 ? 'named epoch' : 'account epoch', ...named, ...parts), 'buffer')
  return { info: 'sealift/v1 account epoch', aad }
}

export function sameEpoch(a: Epoch, b: Epoch): boolean {
  const ids = a.id === b.id && a.account === b.account && a.master === b.master
  return ids && a.job === b.job && a.device === b.device && equalBytes(a.commitment, b.commitment)
}
