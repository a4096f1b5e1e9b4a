import type { Kysely } from 'kysely'
import { encodeBoundAcl } from '../../access/acl/bound.ts'
import {
  AdministrationError,
  type EpochLimits,
  JOB_STATES,
  type JobInfo,
  type JobRequest,
  type JobState,
} from '../../format/administration.ts'
import { type DeviceId, type JobId, newId } from '../../format/bytes.ts'
import { decodeCbor, encodeCbor, Fields } from '../../format/cbor.ts'
import { type JobOrder, signJobOrder, verifyJobOrder } from '../../format/job-order.ts'
import { ReleaseError } from '../../format/release.ts'
import { type OpeningSuite, type PublicKey, wrapSuite } from '../../format/wrap-suite.ts'
import type { Token } from '../../hsm/token.ts'
import type { KeystoreSchema } from '../database/keystore-schema.ts'
import type { Accounts } from './accounts.ts'
import type { AclObjects } from './acl-objects.ts'
import { orderedAcl, shownAcl } from './job-acl.ts'
import { type JobEvent, nextJobState } from './job-state.ts'
import { Lru } from './lru.ts'
import { importKey, openingKeyOf, TOKEN_KEYS } from './token-keys.ts'
import type { Users } from './users.ts'

export type KnownJob = {
  id: JobId
  order: JobOrder
  signedOrder: Buffer
  state: JobState
  recipient: PublicKey & { suite: OpeningSuite }
  keyDestroyed: boolean
  limits: EpochLimits
  createdAt: number
}
export type KnownDevice = { identity: Buffer; grants: { hash: Buffer; id: string; counter: number }[] }

export type Jobs = {
  create(request: JobRequest): Promise<KnownJob>
  list(): Promise<KnownJob[]>
  /** From what is on record, its order's signature checked. @throws ReleaseError "not-found" */
  known(job: JobId): Promise<KnownJob>
  /** @throws AdministrationError "state" | "not-found" */
  advance(job: JobId, event: JobEvent): Promise<KnownJob>
  /** Destroys the import key, for good. */
  destroyKey(job: JobId): Promise<void>
  device(job: JobId, device: DeviceId): Promise<KnownDevice | null>
  info(job: KnownJob): Promise<JobInfo>
}

const JOBS_CACHED_MAX = 1000
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/

export function jobsOf(on: {
  database: Kysely<KeystoreSchema>
  token: Token
  accounts: Accounts
  users: Pick<Users, 'byId'>
  aclObjects: AclObjects
  orderSpki: Buffer
  clock: () => number
}): Jobs {
  const { database, token, accounts, users, aclObjects, orderSpki, clock } = on
  const cache = new Lru<JobId, KnownJob>(JOBS_CACHED_MAX)

  const read = (row: KeystoreSchema['jobs']): KnownJob => {
    const order = verifyJobOrder(row.signed_order, orderSpki)
    const suite = wrapSuite(row.suite)
    const state = JOB_STATES.find(each => each === row.state)
    if (state === undefined || (suite !== 0x0010 && suite !== 0x0020) || order.job !== row.id)
      throw new AdministrationError('tampered', `job ${row.id}: its row does not fit its order`)
    return {
      id: order.job,
      order,
      signedOrder: row.signed_order,
      state,
      recipient: { suite, spki: row.spki },
      keyDestroyed: row.key_destroyed_at !== null,
      limits: decodeLimits(row.limits),
      createdAt: row.created_at,
    }
  }
  const known: Jobs['known'] = async id => {
    const cached = cache.get(id)
    if (cached !== undefined) return cached
    const { forgotten } = cache
    const row = await database.selectFrom('jobs').selectAll().where('id', '=', id).executeTakeFirst()
    if (row === undefined) throw new ReleaseError('not-found', `no job ${id}`)
    const job = read(row)
    cache.setUnless(forgotten, id, job)
    return job
  }
  const setState = async (job: KnownJob, event: JobEvent): Promise<KnownJob> => {
    const state = nextJobState(job.state, event)
    await database.updateTable('jobs').set({ state }).where('id', '=', job.id).execute()
    cache.delete(job.id)
    return { ...job, state }
  }
  return {
    known,
    async create(request) {
      const account = await accounts.find(request.account)
      if (account.disabled) throw new AdministrationError('state', `account "${account.name}" is disabled`)
      const { buckets, mode, deletes, versions, limits } = request
      requireBuckets(buckets)
      requireLimits(limits)
      const acl = encodeBoundAcl(await orderedAcl(request, account.id, { aclObjects, users }))
      const job = newId<JobId>()
      const orderedAt = clock()
      const order = { job, account: account.id, buckets, acl, mode, deletes, versions, orderedAt }
      const { suite, spki } = await openingKeyOf(token, importKey(job))
      const signedOrder = await signJobOrder(order, message => token.sign(TOKEN_KEYS.grant, message))
      const row: KeystoreSchema['jobs'] = {
        id: job,
        account: account.id,
        signed_order: signedOrder,
        state: 'ordered',
        suite,
        spki,
        key_destroyed_at: null,
        limits: encodeCbor({ ...limits }),
        created_at: orderedAt,
      }
      await database.insertInto('jobs').values(row).execute()
      return read(row)
    },
    async list() {
      const rows = await database.selectFrom('jobs').selectAll().orderBy('created_at').execute()
      return rows.map(read)
    },
    advance: async (id, event) => setState(await known(id), event),
    async destroyKey(id) {
      const job = await setState(await known(id), 'destroy-key')
      await token.destroyKey(importKey(id))
      await database.updateTable('jobs').set({ key_destroyed_at: clock() }).where('id', '=', id).execute()
      cache.delete(job.id)
    },
    async device(job, device) {
      const row = await database
        .selectFrom('devices')
        .select('identity')
        .where('job', '=', job)
        .where('device', '=', device)
        .executeTakeFirst()
      if (row === undefined) return null
      const grants = await database
        .selectFrom('grants')
        .select(['hash', 'id', 'counter'])
        .where('job', '=', job)
        .where('device', '=', device)
        .orderBy('counter', 'desc')
        .execute()
      return { identity: row.identity, grants }
    },
    async info({ id, order, state, keyDestroyed, createdAt, limits }) {
      const account = await accounts.byId(order.account)
      const { buckets, mode, deletes, versions } = order
      const acl = await shownAcl(order.acl, order.account, aclObjects)
      const accountName = account?.name ?? order.account
      const what = { job: id, account: order.account, accountName, buckets, mode, acl, deletes, versions }
      return { ...what, state, keyDestroyed, createdAt, limits }
    },
  }
}

function decodeLimits(bytes: Uint8Array): EpochLimits {
  const fields = new Fields(decodeCbor(bytes, 1024, 'epoch limits'), 'epoch limits')
  const limits = {
    objects: fields.count('objects'),
    bytes: fields.count('bytes'),
    seconds: fields.count('seconds'),
    idleSeconds: fields.count('idleSeconds'),
  }
  fields.end()
  return limits
}

function requireBuckets(buckets: string[]): void {
  if (buckets.length === 0) throw new AdministrationError('malformed', 'job: want at least one bucket')
  const wrong = buckets.find(name => !BUCKET.test(name) || name.includes('..'))
  if (wrong !== undefined)
    throw new AdministrationError('malformed', `bucket "${wrong}": want 3 to 63 of a-z, 0-9, - and .`)
  if (new Set(buckets).size !== buckets.length) throw new AdministrationError('malformed', 'job: a bucket comes twice')
}

function requireLimits(limits: EpochLimits): void {
  const least = Math.min(limits.objects, limits.bytes, limits.seconds, limits.idleSeconds)
  if (least < 1) throw new AdministrationError('malformed', 'epoch limits: want 1 or more each')
}
