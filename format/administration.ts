import type { DeviceId, GrantId, JobId } from './bytes.ts'
import {
  args,
  bytes,
  type Calls,
  count,
  flag,
  idOf,
  listOf,
  nothing,
  nullable,
  octets,
  oneOf,
  record,
  text,
} from './codec.ts'
import { DIRECTORY_CALLS, type DirectoryAdministration } from './directory.ts'
import { EXPORT_CODECS, type ExportOrder } from './export.ts'
import { GRANT_LIMIT, IMPORT_MODES, JOB_MODES, type JobMode } from './grant.ts'
import { IDENTITY_CALLS, type IdentityAdministration } from './identity.ts'
import { KEY_CALLS, type KeyAdministration } from './master-keys.ts'
import { PROCESS_CALLS, type ProcessAdministration } from './process-certificate.ts'
import { ACL_TEXT_LIMIT } from './release.ts'

/** What an operator asks of the authority, over a socket of its own. Framed as `KeyRelease` is. */
export interface Administration
  extends DirectoryAdministration,
    IdentityAdministration,
    KeyAdministration,
    ProcessAdministration {
  /** Fault `exists` when the name is taken. Makes the account's master key in the token. */
  createAccount(name: string): Promise<Account>
  listAccounts(): Promise<Account[]>
  /** @param account - id or name, here and below */
  disableAccount(account: string): Promise<void>
  /**
   * The secret leaves here once and is never told again.
   * @param user - whose it is: an account for its own user, else `account/name` or an id
   */
  createAccessKey(user: string, name: string): Promise<AccessKey>
  disableAccessKey(accessKey: string): Promise<void>
  createJob(order: JobRequest): Promise<JobInfo>
  createExportJob(order: ExportJobRequest): Promise<JobInfo>
  listJobs(): Promise<JobInfo[]>
  showJob(job: JobId): Promise<JobInfo & { devices: DeviceInfo[] }>
  /** Certificate and grant for a device; the unlock code leaves here once. */
  prepareDevice(request: PrepareRequest): Promise<PreparedDevice>
  /** An intake station; its secret leaves here once. */
  enrolStation(name: string): Promise<{ station: string; secret: Buffer }>
  beginIntake(job: JobId): Promise<void>
  endIntake(job: JobId): Promise<void>
  /** An export: what it takes with it is sealed from now on, if somebody ordered it. Fault `state` also where its time is over. */
  beginExport(job: JobId): Promise<void>
  endExport(job: JobId): Promise<void>
  /** Nothing is exported under it any more. An import is closed by destroying its key. */
  closeJob(job: JobId): Promise<void>
  /** All that were ordered, withdrawn ones too. */
  listExportOrders(job: JobId): Promise<ExportOrder[]>
  /** Doing it again changes nothing. */
  withdrawExportOrder(order: string): Promise<void>
  /** Destroys the job's import key: epochs that were not taken over can never be opened again. */
  destroyJobKey(job: JobId): Promise<void>
  /** Follows the audit's chain from its first entry. Fault `tampered` names the first that does not fit. */
  verifyAudit(): Promise<{ entries: number; head: Buffer }>
  status(): Promise<AuthorityStatus>
  /** The provider's CA, DER: what customers trust. */
  caCertificate(): Promise<Buffer>
}

export type Account = { id: string; name: string; createdAt: number; disabled: boolean }
export type AccessKey = { accessKey: string; secret: string; account: string; user: string }
export type EpochLimits = { objects: number; bytes: number; seconds: number; idleSeconds: number }
export const DEFAULT_EPOCH_LIMITS: EpochLimits = {
  objects: 10_000,
  bytes: 256 * 2 ** 30,
  seconds: 600,
  idleSeconds: 60,
}

export type JobRequest = {
  account: string
  buckets: string[]
  mode: (typeof IMPORT_MODES)[number]
  /** of what is taken in: a canned ACL, or an ACL object as `bucket/object`, `#generation` behind it for one that stays */
  acl: string
  /** how an ACL object is used: its entries of this moment, or whatever it says at each read */
  aclMode: (typeof ACL_MODES)[number]
  deletes: 'ignore' | 'apply'
  versions: 'latest' | 'keep'
  limits: EpochLimits
}

/** It has one device, and what of the buckets it takes with it principals order. `endsAt`: ms since 1970 */
export type ExportJobRequest = { account: string; buckets: string[]; endsAt: number; limits: EpochLimits }

export const ACL_MODES = ['copy', 'reference'] as const
/** An export goes from `prepared` to `exporting` and `exported`. */
export const JOB_STATES = ['ordered', 'prepared', 'taking-in', 'taken-in', 'exporting', 'exported', 'closed'] as const
export type JobState = (typeof JOB_STATES)[number]

export type JobInfo = {
  job: JobId
  account: string
  accountName: string
  buckets: string[]
  mode: JobMode
  /** for people: entries in their text form, or the ACL object that is referred to. An export has none of these three, but an end */
  acl: string | null
  deletes: 'ignore' | 'apply' | null
  versions: 'latest' | 'keep' | null
  endsAt: number | null
  state: JobState
  keyDestroyed: boolean
  createdAt: number
  limits: EpochLimits
}
export type DeviceInfo = { device: DeviceId; fingerprint: string; preparedAt: number; epochs: number }

export type PrepareRequest = { job: JobId; request: Uint8Array; returnAddress: string; grantDays: number }
export type PreparedDevice = {
  device: DeviceId
  grant: GrantId
  grantFile: Buffer
  unlockCode: string
  /** of the identity key, for people to compare with what the device shows */
  fingerprint: string
}
export type AuthorityStatus = {
  processId: number
  tokenProcessId: number
  tokenOperations: number
  caFingerprint: string
}

export const ADMINISTRATION_FAULTS = [
  'exists', // the name is taken
  'not-found', // no such account, access key, job or device
  'state', // the job's state does not allow it
  'refused', // what was handed in does not prove itself
  'malformed', // the request itself
  'tampered', // the audit's chain does not fit
  'unavailable', // the token is away: try again
  'internal', // the keystore's own log says what
] as const
export type AdministrationFault = (typeof ADMINISTRATION_FAULTS)[number]

export class AdministrationError extends Error {
  override readonly name = 'AdministrationError'
  readonly fault: AdministrationFault

  constructor(fault: AdministrationFault, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.fault = fault
  }
}

const MOST = 100_000
/** a bucket and a key, percent-encoded, and a generation */
const ACL_NAME_LIMIT = 4096
const name = text(128)
const limits = record<EpochLimits>({
  objects: count(1_000_000),
  bytes: count(),
  seconds: count(86_400),
  idleSeconds: count(86_400),
})
const account = record<Account>({ id: name, name, createdAt: count(), disabled: flag })
const deletes = oneOf(['ignore', 'apply'])
const versions = oneOf(['latest', 'keep'])
const buckets = listOf(text(63), 1000)
const request = record<JobRequest>({
  account: name,
  buckets,
  mode: oneOf(IMPORT_MODES),
  acl: text(ACL_NAME_LIMIT),
  aclMode: oneOf(ACL_MODES),
  deletes,
  versions,
  limits,
})
const exportRequest = record<ExportJobRequest>({ account: name, buckets, endsAt: count(), limits })
const jobFields = {
  job: idOf<JobId>(),
  account: name,
  accountName: name,
  buckets,
  mode: oneOf(JOB_MODES),
  acl: nullable(text(ACL_TEXT_LIMIT)),
  deletes: nullable(deletes),
  versions: nullable(versions),
  endsAt: nullable(count()),
  state: oneOf(JOB_STATES),
  keyDestroyed: flag,
  createdAt: count(),
  limits,
}
const job = record<JobInfo>(jobFields)
const device = record<DeviceInfo>({ device: idOf(), fingerprint: text(64), preparedAt: count(), epochs: count() })
const jobId = idOf<JobId>()

export const ADMINISTRATION_CALLS: Calls<Administration> = {
  ...DIRECTORY_CALLS,
  ...IDENTITY_CALLS,
  ...KEY_CALLS,
  ...PROCESS_CALLS,
  createAccount: { ask: args(name), answer: account },
  listAccounts: { ask: args(), answer: listOf(account, MOST) },
  disableAccount: { ask: args(name), answer: nothing },
  createAccessKey: {
    ask: args(text(260), name),
    answer: record<AccessKey>({ accessKey: name, secret: name, account: name, user: name }),
  },
  disableAccessKey: { ask: args(name), answer: nothing },
  createJob: { ask: args(request), answer: job },
  createExportJob: { ask: args(exportRequest), answer: job },
  listJobs: { ask: args(), answer: listOf(job, MOST) },
  showJob: {
    ask: args(jobId),
    answer: record<JobInfo & { devices: DeviceInfo[] }>({ ...jobFields, devices: listOf(device, MOST) }),
  },
  prepareDevice: {
    ask: args(
      record<PrepareRequest>({
        job: jobId,
        request: octets({ max: 256 << 10 }),
        returnAddress: text(1024),
        grantDays: count(3650),
      }),
    ),
    answer: record<PreparedDevice>({
      device: idOf(),
      grant: idOf(),
      grantFile: bytes({ max: GRANT_LIMIT }),
      unlockCode: text(64),
      fingerprint: text(64),
    }),
  },
  enrolStation: {
    ask: args(name),
    answer: record<{ station: string; secret: Buffer }>({ station: name, secret: bytes(32) }),
  },
  beginIntake: { ask: args(jobId), answer: nothing },
  endIntake: { ask: args(jobId), answer: nothing },
  beginExport: { ask: args(jobId), answer: nothing },
  endExport: { ask: args(jobId), answer: nothing },
  closeJob: { ask: args(jobId), answer: nothing },
  listExportOrders: { ask: args(jobId), answer: EXPORT_CODECS.exportOrders },
  withdrawExportOrder: { ask: args(text(16)), answer: nothing },
  destroyJobKey: { ask: args(jobId), answer: nothing },
  verifyAudit: {
    ask: args(),
    answer: record<{ entries: number; head: Buffer }>({ entries: count(), head: bytes(32) }),
  },
  status: {
    ask: args(),
    answer: record<AuthorityStatus>({
      processId: count(),
      tokenProcessId: count(),
      tokenOperations: count(),
      caFingerprint: text(64),
    }),
  },
  caCertificate: { ask: args(), answer: bytes({ max: 16 << 10 }) },
}
