import { randomBytes } from 'node:crypto'
import type { Kysely } from 'kysely'
import {
  AdministrationError,
  type DeviceInfo,
  type PreparedDevice,
  type PrepareRequest,
} from '../../../format/administration.ts'
import { type DeviceId, equalBytes, type GrantId, idBytes, type JobId, newId } from '../../../format/bytes.ts'
import { type DeviceRequest, fingerprint, readDeviceRequest } from '../../../format/device-request.ts'
import { FormatError } from '../../../format/fault.ts'
import { type Grant, grantHash, sealGrantFile, signGrant } from '../../../format/grant.ts'
import { label } from '../../../format/kdf.ts'
import { newUnlockCode, readUnlockCode } from '../../../format/unlock-code.ts'
import { sealTo } from '../../../format/wrap-suite.ts'
import { issueCertificate } from '../../../hsm/certificate.ts'
import { readRequest } from '../../../hsm/csr.ts'
import { type Token, TokenError } from '../../../hsm/token.ts'
import { verifyTokenProfile } from '../../../hsm/token-profile.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import type { Facts } from '../facts.ts'
import { TOKEN_KEYS } from '../keys/token-keys.ts'
import { encodeSealedSecret } from '../state-key.ts'
import { nextJobState } from './job-state.ts'
import type { Jobs, KnownJob } from './jobs.ts'

export type Devices = {
  prepare(request: PrepareRequest): Promise<PreparedDevice>
  list(job: JobId): Promise<DeviceInfo[]>
}

const DAY_MS = 86_400_000
const CERTIFICATE_DAYS = 5 * 365
const SHARE_BYTES = 32

export function devicesOf(on: {
  database: Kysely<KeystoreSchema>
  token: Token
  jobs: Jobs
  facts: Facts
  clock: () => number
}): Devices {
  const { database, token, jobs, facts, clock } = on

  const insert = async (job: KnownJob, request: DeviceRequest, certificate: Buffer, grant: Granted): Promise<void> => {
    const key = { job: job.id, device: request.device }
    const at = { prepared_at: clock(), certificate, profile: request.profile }
    await database.transaction().execute(async transaction => {
      if (job.kind === 'export') {
        const there = await transaction.selectFrom('devices').select('device').where('job', '=', job.id).execute()
        if (there.some(each => each.device !== request.device))
          throw new AdministrationError('state', 'an export has one device, and this job has another')
      }
      await transaction
        .insertInto('devices')
        .values({ ...key, ...at, identity: request.identity, proved: 0 })
        .onConflict(conflict => conflict.columns(['job', 'device']).doUpdateSet(at))
        .execute()
      await transaction
        .insertInto('grants')
        .values({ ...key, ...grant, issued_at: clock() })
        .execute()
      if (job.kind !== 'export') return
      const to = { ...key, ...request.transport, grant_hash: grant.hash }
      await transaction
        .insertInto('export_devices')
        .values(to)
        .onConflict(conflict => conflict.column('job').doUpdateSet(to))
        .execute()
    }) // commit point: the device is the job's
  }
  return {
    async prepare({ job: jobId, request: bytes, returnAddress, grantDays }) {
      const request = await soundRequest(bytes)
      if (grantDays < 1) throw new AdministrationError('malformed', 'grant: want a life of 1 day or more')
      const known = await database
        .selectFrom('devices')
        .select('identity')
        .where('device', '=', request.device)
        .execute()
      if (known.some(each => !equalBytes(each.identity, request.identity)))
        throw new AdministrationError('refused', 'device: this id was prepared with another identity key')
      const job = await jobs.known(jobId)
      nextJobState(job.kind, job.state, 'device-prepared')
      const now = clock()
      const validity = { notBefore: new Date(now - 300_000), notAfter: new Date(now + CERTIFICATE_DAYS * DAY_MS) }
      if (validity.notBefore < facts.validFrom) validity.notBefore = facts.validFrom
      const certificate = await issueCertificate(token, TOKEN_KEYS.ca, facts.caCertificate, request.csr, validity)
      const latest = await database
        .selectFrom('grants')
        .select(eb => eb.fn.max('counter').as('counter'))
        .where('device', '=', request.device)
        .executeTakeFirst()
      const counter = Number(latest?.counter ?? 0) + 1
      const grant = grantOf(job, request, { certificate, counter, now, returnAddress, grantDays, facts })
      const signed = await signGrant(grant, message => token.sign(TOKEN_KEYS.grant, message))
      const hash = grantHash(signed)
      const share = randomBytes(SHARE_BYTES)
      const unlockCode = newUnlockCode()
      const secret = readUnlockCode(unlockCode)
      const grantFile = sealGrantFile(signed, grant.id, secret, share)
      secret.fill(0)
      const context = { info: 'sealift/v1 grant share', aad: label('grant share', idBytes(grant.id), hash) }
      const sealedShare = encodeSealedSecret(sealTo(facts.stateRecipient, share, context))
      share.fill(0)
      await insert(job, request, certificate, { hash, id: grant.id, counter, share: sealedShare })
      await jobs.advance(jobId, 'device-prepared')
      const mark = fingerprint(request.identity)
      return { device: request.device, grant: grant.id, grantFile, unlockCode, fingerprint: mark }
    },
    async list(job) {
      const rows = await database
        .selectFrom('devices')
        .leftJoin('epochs', join =>
          join.onRef('epochs.job', '=', 'devices.job').onRef('epochs.device', '=', 'devices.device'),
        )
        .select(['devices.device', 'devices.identity', 'devices.prepared_at'])
        .select(eb => eb.fn.count('epochs.id').as('epochs'))
        .where('devices.job', '=', job)
        .groupBy(['devices.device', 'devices.identity', 'devices.prepared_at'])
        .orderBy('devices.prepared_at')
        .execute()
      return rows.map(row => ({
        device: row.device as DeviceId,
        fingerprint: fingerprint(row.identity),
        preparedAt: row.prepared_at,
        epochs: Number(row.epochs),
      }))
    },
  }
}

type Granted = { hash: Buffer; id: GrantId; counter: number; share: Buffer }
type Terms = {
  certificate: Buffer
  counter: number
  now: number
  returnAddress: string
  grantDays: number
  facts: Facts
}

function grantOf(known: KnownJob, request: DeviceRequest, terms: Terms): Grant {
  const { id: job, order, limits } = known
  const mode = known.kind === 'export' ? 'export' : known.order.mode
  const own = mode === 'write-only' ? [] : [request.transport]
  const recipients = known.kind === 'export' ? own : [known.recipient, ...own]
  return {
    id: newId<GrantId>(),
    job,
    device: request.device,
    account: order.account,
    mode,
    buckets: order.buckets,
    issuedAt: terms.now,
    expiresAt: terms.now + terms.grantDays * DAY_MS,
    counter: terms.counter,
    deviceCertificate: terms.certificate,
    signerCertificate: terms.facts.grantCertificate,
    caCertificate: terms.facts.caCertificate,
    recipients,
    floor: [...new Set(recipients.map(each => each.suite))],
    epochLimits: limits,
    digest: 'fast',
    readBack: 'sample',
    namesAfterSeal: 'kept',
    returnAddress: terms.returnAddress,
  }
}

/** A request whose every part proves the same identity key, and whose transport key's suite its token has proved. */
async function soundRequest(bytes: Uint8Array): Promise<DeviceRequest> {
  try {
    const request = readDeviceRequest(bytes)
    const { spki, commonName } = await readRequest(request.csr)
    if (!equalBytes(spki, request.identity) || commonName !== request.device)
      throw new AdministrationError('refused', 'device request: its certificate request is for another key or device')
    const { profile, identity } = verifyTokenProfile(request.profile)
    if (!equalBytes(identity, request.identity))
      throw new AdministrationError('refused', 'device request: its token profile is of another key')
    const proved = profile.suites.some(each => each.suite === request.transport.suite && each.outcome === 'passed')
    if (!proved) throw new AdministrationError('refused', 'device request: its token does not open what it asks for')
    return request
  } catch (cause) {
    if (cause instanceof FormatError || (cause instanceof TokenError && cause.fault === 'refused'))
      throw new AdministrationError('refused', `device request: ${cause.message}`, { cause })
    throw cause
  }
}
