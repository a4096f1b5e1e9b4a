import type { Kysely } from 'kysely'
import { expandCanned } from '../../../access/acl/canned.ts'
import { type DeviceId, type EpochId, equalBytes } from '../../../format/bytes.ts'
import { EPOCH_KEK, parseEnvelope } from '../../../format/envelope.ts'
import { FormatError } from '../../../format/fault.ts'
import { openKeyRecord, verifyKeyRecord } from '../../../format/key-record.ts'
import { signReceipt } from '../../../format/receipt.ts'
import {
  type KeyRelease,
  type ProveObject,
  type ProveOutcome,
  ReleaseError,
  type StationProof,
} from '../../../format/release.ts'
import { keyId } from '../../../format/wrap-suite.ts'
import type { Token } from '../../../hsm/token.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import type { Buckets } from '../acl/buckets.ts'
import type { Facts } from '../facts.ts'
import { type Adopted, type Epoch, type Epochs, sameEpoch } from '../keys/epochs.ts'
import type { MasterKeys } from '../keys/master-keys.ts'
import { openObjectKey } from '../keys/opening.ts'
import { importKey, TOKEN_KEYS } from '../keys/token-keys.ts'
import { Lru } from '../lru.ts'
import { denied } from '../refusal.ts'
import type { ImportJob, Jobs, KnownDevice } from './jobs.ts'
import type { Stations } from './stations.ts'

type Verbs = Pick<KeyRelease, 'job' | 'metadataKey' | 'reseal' | 'prove' | 'signReceipt'>

const ADOPTED_MAX = 1000

/** The calls of an intake station: for a job that is being taken in, and never an object's key. */
export function intakeOf(on: {
  database: Kysely<KeystoreSchema>
  token: Token
  stations: Pick<Stations, 'require'>
  masters: Pick<MasterKeys, 'usable'>
  jobs: Jobs
  buckets: Pick<Buckets, 'open'>
  epochs: Epochs
  facts: Facts
  clock: () => number
}): Verbs {
  const { database, token, stations, masters, jobs, buckets, epochs, facts, clock } = on
  const adopted = new Lru<EpochId, Promise<Adopted>>(ADOPTED_MAX)

  const station = async (proof: StationProof): Promise<{ job: ImportJob; device: KnownDevice }> => {
    await stations.require(proof)
    const job = await jobs.known(proof.job)
    if (job.kind !== 'import') throw denied('the job is an export')
    if (job.state !== 'taking-in') throw denied(`the job is ${job.state}, not taking-in`)
    const device = await jobs.device(proof.job, proof.device)
    if (device === null) throw denied('the device is none of the job')
    return { job, device }
  }
  /** Key record → epoch, checked against what is known here: signature, device, job, grant, commitment. */
  const takeOver = async (
    proof: StationProof,
    bytes: Uint8Array,
  ): Promise<{ epoch: Epoch; adopted: Adopted | null }> => {
    const { job, device } = await station(proof)
    const record = verifyKeyRecord(bytes, device.identity)
    if (record.job !== proof.job || record.device !== proof.device)
      throw denied('a key record of another job or device')
    if (!device.grants.some(grant => equalBytes(grant.hash, record.grantHash)))
      throw denied('a key record under a grant that was not issued to this device for this job')
    const { epoch: id, commitment } = record
    const { account } = job.order
    const epoch = { id, account, master: account, job: job.id, device: record.device, commitment }
    const master = await masters.usable(account)
    const there = await epochs.find(id)
    if (there !== null) {
      if (!sameEpoch(there, epoch)) throw denied('another epoch has this id')
      return { epoch, adopted: null }
    }
    const open = async (): Promise<Adopted> => {
      if (job.keyDestroyed) throw denied("the job's import key was destroyed")
      const mine = keyId(job.recipient.spki)
      const key = await openKeyRecord(
        record,
        found => equalBytes(found, mine),
        (_, sealed, context) => token.open(importKey(job.id), sealed, context),
      )
      return epochs.adopt(epoch, master, key)
    }
    // names first, the takeover after: between the two the opened epoch waits here, and the token is asked once
    const waiting = adopted.get(id) ?? open()
    adopted.set(id, waiting)
    waiting.catch(() => adopted.delete(id))
    const done = await waiting
    if (!equalBytes(done.row.commitment, commitment)) throw denied('another epoch has this id')
    return { epoch, adopted: done }
  }

  return {
    async job(proof) {
      const { job } = await station(proof)
      const { grantSpki: orderSpki, receiptSpki, receiptCertificate, caCertificate } = facts
      const rows = await database
        .selectFrom('grants')
        .innerJoin('devices', join =>
          join.onRef('devices.job', '=', 'grants.job').onRef('devices.device', '=', 'grants.device'),
        )
        .select(['grants.hash', 'grants.device', 'devices.identity'])
        .where('grants.job', '=', job.id)
        .orderBy('grants.issued_at', 'desc')
        .orderBy('grants.counter', 'desc')
        .execute()
      const devices = rows.map(row => ({
        device: row.device as DeviceId,
        identitySpki: row.identity,
        grantHash: row.hash,
      }))
      return { order: job.signedOrder, devices, orderSpki, receiptSpki, receiptCertificate, caCertificate }
    },
    async metadataKey(proof, keyRecord) {
      const found = await takeOver(proof, keyRecord)
      const keys = found.adopted?.keys ?? (await epochs.keys(found.epoch))
      return keys.metadataKey.export()
    },
    async reseal(proof, keyRecord) {
      const found = await takeOver(proof, keyRecord)
      if (found.adopted === null) return
      let taken = found.adopted
      // the drive is the job's: from before its first object is seen the order's buckets are its account's. One that is another's stays it
      const { account, buckets: ordered } = (await station(proof)).job.order
      const own = { kind: 'own', acl: expandCanned('private', account, account) } as const
      for (const bucket of ordered) await buckets.open(bucket, { user: account, account }, own)
      while (!(await epochs.record(taken))) {
        // the account's key was exchanged since it was opened: once more, to the new one
        adopted.delete(found.epoch.id)
        const again = await takeOver(proof, keyRecord)
        if (again.adopted === null) return
        taken = again.adopted
      }
      adopted.delete(found.epoch.id)
    },
    async prove(proof, objects) {
      const { job } = await station(proof)
      const outcomes: ProveOutcome[] = []
      for (const object of objects) outcomes.push(await proveOne(job, proof.device, object))
      const proved = outcomes.filter(each => each.outcome === 'proved').length
      await database
        .updateTable('devices')
        .set(eb => ({ proved: eb('proved', '+', proved) }))
        .where('job', '=', job.id)
        .where('device', '=', proof.device)
        .execute()
      return outcomes
    },
    async signReceipt(proof, receipt) {
      const { job } = await station(proof)
      const { device, level, lines, held } = receipt
      if (receipt.job !== job.id || device !== proof.device || receipt.account !== job.order.account)
        throw denied('a receipt for another job, device or account')
      if (level === 'content') throw new ReleaseError('held', 'receipt: nothing was proved at level "content"')
      const row = await database
        .selectFrom('devices')
        .select('proved')
        .where('job', '=', job.id)
        .where('device', '=', device)
        .executeTakeFirst()
      if (level === 'key' && lines - held > (row?.proved ?? 0))
        throw new ReleaseError('held', `receipt: ${lines - held} lines as stored, ${row?.proved ?? 0} objects proved`)
      return signReceipt({ ...receipt, issuedAt: clock() }, message => token.sign(TOKEN_KEYS.receipt, message))
    },
  }

  async function proveOne(job: ImportJob, device: DeviceId, object: ProveObject): Promise<ProveOutcome> {
    try {
      const envelope = parseEnvelope(object.envelope)
      const epoch = await epochs.find(envelope.kekId)
      const ours = epoch !== null && epoch.job === job.id && epoch.device === device
      if (!ours || envelope.kekKind !== EPOCH_KEK || envelope.job !== job.id)
        return refused('not of an epoch of this job and device')
      if (!job.order.buckets.includes(object.place.bucket)) return refused('its bucket is not in the job order')
      const { wrapKey } = await epochs.keys(epoch)
      const context = { account: job.order.account, job: job.id, objectId: envelope.objectId, ...object.place }
      openObjectKey(wrapKey, envelope, object.coreHeader, context).fill(0)
      return { outcome: 'proved', reason: '' }
    } catch (error) {
      if (error instanceof FormatError || error instanceof ReleaseError) return refused(error.message)
      throw error
    }
  }
}

function refused(reason: string): ProveOutcome {
  return { outcome: 'refused', reason: reason.slice(0, 1000) }
}
