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
} from '../../format/bytes.ts'
import {
  checkCommitment,
  deriveEpochKeys,
  EPOCH_KEY_BYTES,
  type EpochKeys,
  epochCommitment,
} from '../../format/epoch-key.ts'
import { label } from '../../format/kdf.ts'
import { ReleaseError } from '../../format/release.ts'
import { type SealContext, sealTo, wrapSuite } from '../../format/wrap-suite.ts'
import type { Token } from '../../hsm/token.ts'
import type { KeystoreSchema } from '../database/keystore-schema.ts'
import type { KnownAccount } from './accounts.ts'
import { Lru } from './lru.ts'
import { accountKey } from './token-keys.ts'

/** An epoch as the authority knows it: whose, of which job and device, and its key sealed to the account's master key. */
export type Epoch = {
  id: EpochId
  account: string
  job: JobId | null
  device: DeviceId | null
  commitment: Buffer
}

/** Epoch keys never leave here: what does is one object's key at a time, or an epoch's metadata key. */
export type Epochs = {
  find(id: EpochId): Promise<Epoch | null>
  /** One token operation, then none for `keyTtlSeconds`. */
  keys(epoch: Epoch): Promise<EpochKeys>
  /** The account's own epoch for objects that are PUT directly: counts one use. */
  current(account: KnownAccount): Promise<{ id: EpochId; keys: EpochKeys }>
  /** Takes an opened epoch over: sealed to the master key in software, not yet on record. Wipes `key`. */
  adopt(epoch: Epoch, account: KnownAccount, key: Buffer): Adopted
  /** Puts an adopted epoch on record. */
  record(adopted: Adopted): Promise<void>
}
export type Adopted = { keys: EpochKeys; row: KeystoreSchema['epochs'] }

export const OWN_EPOCH_LIMITS = { objects: 10_000, seconds: 600 } as const
const KEY_TTL_SECONDS = 600
const EPOCHS_CACHED_MAX = 10_000
const KEYS_CACHED_MAX = 1000
const ACCOUNTS_WRITING_MAX = 1000

export function epochsOf(database: Kysely<KeystoreSchema>, token: Token, clock: () => number): Epochs {
  const rows = new Lru<EpochId, KeystoreSchema['epochs']>(EPOCHS_CACHED_MAX)
  const opened = new Lru<EpochId, { keys: Promise<EpochKeys>; until: number }>(KEYS_CACHED_MAX)
  type Own = { id: EpochId; keys: EpochKeys; uses: number; until: number }
  const own = new Lru<string, Promise<Own>>(ACCOUNTS_WRITING_MAX)

  const row = async (id: EpochId): Promise<KeystoreSchema['epochs'] | null> => {
    const cached = rows.get(id)
    if (cached !== undefined) return cached
    const found = await database.selectFrom('epochs').selectAll().where('id', '=', id).executeTakeFirst()
    if (found === undefined) return null
    rows.set(id, found)
    return found
  }
  const openRow = async (epoch: Epoch): Promise<EpochKeys> => {
    const found = await row(epoch.id)
    if (found === null) throw new ReleaseError('not-found', `no epoch ${epoch.id}`)
    const sealed = { suite: wrapSuite(found.suite), encapsulated: found.encapsulated, ciphertext: found.ciphertext }
    const key = await token.open(accountKey(epoch.account), sealed, sealContext(epoch))
    try {
      checkCommitment(key, epoch.job ?? NO_JOB, epoch.id, epoch.commitment)
      return deriveEpochKeys(key)
    } finally {
      key.fill(0)
    }
  }
  const keep = (id: EpochId, keys: Promise<EpochKeys>): Promise<EpochKeys> => {
    opened.set(id, { keys, until: clock() + KEY_TTL_SECONDS * 1000 })
    keys.catch(() => opened.delete(id))
    return keys
  }
  const adopt: Epochs['adopt'] = (epoch, account, key) => {
    const sealed = sealTo(account.masterKey, key, sealContext(epoch))
    const keys = deriveEpochKeys(key)
    key.fill(0)
    const { id, account: owner, job, device, commitment } = epoch
    const { suite, encapsulated, ciphertext } = sealed
    return {
      keys,
      row: { id, account: owner, job, device, commitment, suite, encapsulated, ciphertext, created_at: clock() },
    }
  }
  const record: Epochs['record'] = async adopted => {
    await database
      .insertInto('epochs')
      .values(adopted.row)
      .onConflict(conflict => conflict.column('id').doNothing())
      .execute()
    const id = adopted.row.id as EpochId
    await keep(id, Promise.resolve(adopted.keys))
  }
  const begin = async (account: KnownAccount): Promise<Own> => {
    const key = randomBytes(EPOCH_KEY_BYTES)
    // neither generator alone decides: the token's and this process's
    const other = await token.random(EPOCH_KEY_BYTES)
    for (const [at, byte] of other.entries()) key[at] = (key[at] ?? 0) ^ byte
    other.fill(0)
    const id = newId<EpochId>()
    const epoch = { id, account: account.id, job: null, device: null, commitment: epochCommitment(key, NO_JOB, id) }
    const adopted = adopt(epoch, account, key)
    await record(adopted) // commit point: before anything is wrapped under it
    return { id, keys: adopted.keys, uses: 0, until: clock() + OWN_EPOCH_LIMITS.seconds * 1000 }
  }
  return {
    adopt,
    record,
    async find(id) {
      const found = await row(id)
      if (found === null) return null
      const { account, job, device, commitment } = found
      return { id, account, job: job as JobId | null, device: device as DeviceId | null, commitment }
    },
    keys(epoch) {
      const cached = opened.get(epoch.id)
      if (cached !== undefined && clock() < cached.until) return cached.keys
      return keep(epoch.id, openRow(epoch))
    },
    async current(account) {
      for (;;) {
        const running = own.get(account.id) ?? begin(account)
        own.set(account.id, running)
        const epoch = await running.catch(error => {
          if (own.get(account.id) === running) own.delete(account.id)
          throw error
        })
        if (epoch.uses < OWN_EPOCH_LIMITS.objects && clock() < epoch.until) {
          epoch.uses++
          return epoch
        }
        if (own.get(account.id) === running) own.delete(account.id)
      }
    },
  }
}

/** Stands for "no job" where an id is asked for: what was PUT into the store directly. */
export const NO_JOB = NO_ID as JobId

/** Binds the sealed key to account, job and epoch, and not to an ACL: who may open is looked up live. */
function sealContext(epoch: Epoch): SealContext {
  const parts = [prefixed(epoch.account), idBytes(epoch.job ?? NO_JOB), idBytes(epoch.id), epoch.commitment]
  return { info: 'sealift/v1 account epoch', aad: hash('sha256', label('account epoch', ...parts), 'buffer') }
}

export function sameEpoch(a: Epoch, b: Epoch): boolean {
  const same = a.id === b.id && a.account === b.account && a.job === b.job && a.device === b.device
  return same && equalBytes(a.commitment, b.commitment)
}
