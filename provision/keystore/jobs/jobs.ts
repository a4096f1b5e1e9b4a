import type { Kysely } from 'kysely'
import { encodeBoundAcl } from '../../../access/acl/bound.ts'
import {
  AdministrationError,
  type EpochLimits,
  type ExportJobRequest,
  JOB_STATES,
  type JobInfo,
  type JobRequest,
  type JobState,
} from '../../../format/administration.ts'
import { type DeviceId, type JobId, newId } from '../../../format/bytes.ts'
import { decodeCbor, encodeCbor, Fields } from '../../../format/cbor.ts'
import { type ExportJob as ExportOrdered, signExportJob, verifyExportJob } from '../../../format/export-job.ts'
import { type JobOrder, signJobOrder, verifyJobOrder } from '../../../format/job-order.ts'
import { ReleaseError } from '../../../format/release.ts'
import { type OpeningSuite, type PublicKey, wrapSuite } from '../../../format/wrap-suite.ts'
import type { Token } from '../../../hsm/token.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import type { AclObjects } from '../acl/acl-objects.ts'
import { importKey, openingKeyOf, TOKEN_KEYS } from '../keys/token-keys.ts'
import { Lru } from '../lru.ts'
import type { Accounts } from '../people/accounts.ts'
import type { Users } from '../people/users.ts'
import { orderedAcl, shownAcl } from './job-acl.ts'
import { type JobEvent, nextJobState } from './job-state.ts'

type AnyJob = { id: JobId; signedOrder: Buffer; state: JobState; limits: EpochLimits; createdAt: number }
export type ImportJob = AnyJob & {
  kind: 'import'
  order: JobOrder
  recipient: PublicKey & { suite: OpeningSuite }
  keyDestroyed: boolean
}
export type ExportJob = AnyJob & { kind: 'export'; order: ExportOrdered }
export type KnownJob = ImportJob | ExportJob
export type KnownDevice = { identity: Buffer; grants: { hash: Buffer; id: string; counter: number }[] }

export type Jobs = {
  create(request: JobRequest): Promise<KnownJob>
  createExport(request: ExportJobRequest): Promise<KnownJob>
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
/** Stands for the suite of a job's own key, where it has none. */
const NO_SUITE = 0
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
    const unfit = () => new AdministrationError('tampered', `job ${row.id}: its row does not fit its order`)
    const state = JOB_STATES.find(each => each === row.state)
    if (state === undefined) throw unfit()
    const { signed_order: signedOrder, created_at: createdAt } = row
    const any = { signedOrder, state, limits: decodeLimits(row.limits), createdAt }
    if (row.suite === NO_SUITE) {
      const order = verifyExportJob(signedOrder, orderSpki)
      if (order.job !== row.id) throw unfit()
      return { kind: 'export', id: order.job, order, ...any }
    }
    const order = verifyJobOrder(signedOrder, orderSpki)
    const suite = wrapSuite(row.suite)
    if ((suite !== 0x0010 && suite !== 0x0020) || order.job !== row.id) throw unfit()
    const own = { recipient: { suite, spki: row.spki }, keyDestroyed: row.key_destroyed_at !== null }
    return { kind: 'import', id: order.job, order, ...own, ...any }
  }
  const wantedOf = async ({ account: reference, buckets, limits }: ExportJobRequest | JobRequest) => {
    const account = await accounts.find(reference)
    if (account.disabled) throw new AdministrationError('state', `account "${account.name}" is disabled`)
    requireBuckets(buckets)
    requireLimits(limits)
    return { account: account.id, job: newId<JobId>(), orderedAt: clock() }
  }
  const keep = async (row: Omit<KeystoreSchema['jobs'], 'state' | 'key_destroyed_at'>): Promise<KnownJob> => {
    const whole = { ...row, state: 'ordered', key_destroyed_at: null }
    await database.insertInto('jobs').values(whole).execute()
    return read(whole)
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
    const state = nextJobState(job.kind, job.state, event)
    await database.updateTable('jobs').set({ state }).where('id', '=', job.id).execute()
    cache.delete(job.id)
    return { ...job, state }
  }
  return {
    known,
    async create(request) {
      const { account, job, orderedAt } = await wantedOf(request)
      const { buckets, mode, deletes, versions } = request
      const acl = encodeBoundAcl(await orderedAcl(request, account, { aclObjects, users }))
      const order = { job, account, buckets, acl, mode, deletes, versions, orderedAt }
      const { suite, spki } = await openingKeyOf(token, importKey(job))
      const signedOrder = await signJobOrder(order, message => token.sign(TOKEN_KEYS.grant, message))
      const limits = encodeCbor({ ...request.limits })
      return keep({ id: job, account, signed_order: signedOrder, suite, spki, limits, created_at: orderedAt })
    },
    async createExport(request) {
      const { account, job, orderedAt } = await wantedOf(request)
      const { buckets, endsAt } = request
      if (endsAt <= orderedAt) throw new AdministrationError('malformed', 'export: want an end that is yet to come')
      const order = { job, account, buckets, endsAt, orderedAt }
      const signedOrder = await signExportJob(order, message => token.sign(TOKEN_KEYS.grant, message))
      const limits = encodeCbor({ ...request.limits })
      const none = { suite: NO_SUITE, spki: Buffer.alloc(0) }
      return keep({ id: job, account, signed_order: signedOrder, ...none, limits, created_at: orderedAt })
    },
    async list() {
      const rows = await database.selectFrom('jobs').selectAll().orderBy('created_at').execute()
      return rows.map(read)
    },
    async advance(id, event) {
      const job = await known(id)
      if (event === 'begin-export' && job.kind === 'export' && clock() >= job.order.endsAt)
        throw new AdministrationError('state', 'the time of this export is over: order another job')
      return setState(job, event)
    },
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
    async info(known) {
      const { id: job, state, createdAt, limits } = known
      const { account, buckets } = known.order
      const accountName = (await accounts.byId(account))?.name ?? account
      const any = { job, account, accountName, buckets, state, createdAt, limits }
      if (known.kind === 'export') {
        const { endsAt } = known.order
        return { ...any, mode: 'export', endsAt, acl: null, deletes: null, versions: null, keyDestroyed: false }
      }
      const { mode, deletes, versions } = known.order
      const acl = await shownAcl(known.order.acl, account, aclObjects)
      return { ...any, mode, acl, deletes, versions, endsAt: null, keyDestroyed: known.keyDestroyed }
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
