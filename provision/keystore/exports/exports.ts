import type { Kysely } from 'kysely'
import type { Who } from '../../../access/acl/decide.ts'
import type { DeviceId } from '../../../format/bytes.ts'
import { COMPOSITE, EPOCH_KEK, sealEnvelope } from '../../../format/envelope.ts'
import type { EpochKeys } from '../../../format/epoch-key.ts'
import type { ExportOrder, ExportOutcome } from '../../../format/export.ts'
import { openMetadata, sealMetadata } from '../../../format/metadata.ts'
import type { ExportRequest, KeyRelease, StationProof } from '../../../format/release.ts'
import { wrapSuite } from '../../../format/wrap-suite.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import type { Facts } from '../facts.ts'
import type { ExportJob, Jobs } from '../jobs/jobs.ts'
import type { Stations } from '../jobs/stations.ts'
import { headerHash } from '../keys/opening.ts'
import { type Bound, isWhole, mayRead, type Objects } from '../objects.ts'
import { denied, releaseError } from '../refusal.ts'
import type { ExportDevice, ExportEpochs } from './export-epochs.ts'
import type { ExportOrders } from './export-orders.ts'

/** As the station hears it, and what the audit is told besides. `epoch-over` is no refusal. */
export type ExportJudgement = ExportOutcome & { reason: string }
export type Exports = Pick<KeyRelease, 'exportJob' | 'exportKey'> & {
  exportObjects(station: StationProof, request: ExportRequest): Promise<ExportJudgement[]>
}

/** The calls of a station that fills a drive for a device: new envelopes for it, and never a key that is not sealed to its token. */
export function exportsOf(on: {
  database: Kysely<KeystoreSchema>
  stations: Pick<Stations, 'require'>
  jobs: Pick<Jobs, 'known'>
  orders: ExportOrders
  epochs: ExportEpochs
  objects: Objects
  facts: Pick<Facts, 'grantSpki'>
  clock: () => number
}): Exports {
  const { database, stations, jobs, orders, epochs, objects, facts, clock } = on

  /** The job as it is at this moment. */
  const exporting = async (proof: StationProof): Promise<{ job: ExportJob; to: ExportDevice }> => {
    await stations.require(proof)
    const job = await jobs.known(proof.job)
    if (job.kind !== 'export') throw denied('the job is no export')
    if (job.state !== 'exporting') throw denied(`the job is ${job.state}, not exporting`)
    if (clock() >= job.order.endsAt) throw denied('the time of the job is over')
    const row = await database.selectFrom('export_devices').selectAll().where('job', '=', job.id).executeTakeFirst()
    if (row === undefined || row.device !== proof.device) throw denied('the device is not that of the job')
    const suite = wrapSuite(row.suite)
    if (suite !== 0x0010 && suite !== 0x0020)
      throw denied("the device's transport key is of no suite that is sealed to")
    const transport = { suite, spki: row.spki }
    return { job, to: { device: row.device as DeviceId, grantHash: row.grant_hash, transport } }
  }
  /** By an object's own right at this moment, not at that of the order. */
  const readable = async (object: Bound['stored'], order: ExportOrder, job: ExportJob, who: Who): Promise<Bound> => {
    const { bucket, key } = object.place
    if (bucket !== order.bucket || !job.order.buckets.includes(bucket) || !key.startsWith(order.prefix))
      throw denied('the object is not among what was ordered')
    const bound = await objects.bind(object)
    if (!isWhole(bound.envelope)) throw denied('a part is exported with its composite only')
    if (!mayRead(bound, who)) throw denied('the binding does not give who ordered it R')
    return bound
  }
  /** The same body under a new envelope. */
  const rewrapped = (from: Bound, job: ExportJob, epoch: { id: ExportRequest['epoch']; keys: EpochKeys }): Buffer => {
    const { envelope, stored, keys } = from
    const { kind, objectId, plaintextLength, bodyLength, digestId, digest, parts } = envelope
    const key = objects.open(from)
    try {
      const at = { kind, objectId, job: envelope.job, epoch: envelope.kekId }
      const metadata = openMetadata(keys.metadataKey, at, envelope.sealedMetadata)
      const to = { kind, objectId, job: job.id, epoch: epoch.id }
      const sealedMetadata = sealMetadata(epoch.keys.metadataKey, to, metadata)
      const what = { kind, objectId, plaintextLength, bodyLength, digestId, digest, parts, sealedMetadata }
      const fields = { ...what, kekKind: EPOCH_KEK, kekId: epoch.id, job: job.id } as const
      const context = { account: job.order.account, job: job.id, objectId, ...stored.place }
      return sealEnvelope(epoch.keys.wrapKey, key, fields, headerHash(kind, objectId, stored.coreHeader), context)
    } finally {
      key.fill(0)
    }
  }
  const exportOne = async (
    proof: StationProof,
    request: ExportRequest,
    asked: ExportRequest['objects'][number],
  ): Promise<ExportJudgement> => {
    // all of it for each object: what was taken back while the ones before it were exported counts for this one
    const { job, to } = await exporting(proof)
    const { order, who } = await orders.inForce(request.order, { job: job.id, account: job.order.account })
    const whole = await readable(asked.object, order, job, who)
    if (whole.envelope.kind !== COMPOSITE && asked.parts.length > 0) throw denied('only a composite has parts')
    const all = [whole, ...(await objects.parts(whole, asked.parts))]
    const bodies = all.filter(each => each.envelope.kind !== COMPOSITE)
    const bytes = bodies.reduce((sum, each) => sum + each.envelope.plaintextLength, 0)
    const keys = epochs.enter(job, to, request.epoch, { wraps: all.length, bytes })
    if (keys === null) return { outcome: 'epoch-over', envelopes: [], reason: '' }
    const epoch = { id: request.epoch, keys }
    return { outcome: 'exported', envelopes: all.map(each => rewrapped(each, job, epoch)), reason: '' }
  }

  return {
    async exportJob(proof) {
      const { job } = await exporting(proof)
      const list = await orders.list(job.id)
      return {
        order: job.signedOrder,
        orderSpki: facts.grantSpki,
        orders: list.filter(each => each.withdrawnAt === null),
      }
    },
    async exportKey(proof) {
      const { job, to } = await exporting(proof)
      const { epoch, keyRecord } = await epochs.current(job, to)
      return { epoch, keyRecord }
    },
    async exportObjects(proof, request) {
      // whose call it is: said of the call, not of each object
      await exporting(proof)
      const done: ExportJudgement[] = []
      for (const each of request.objects) done.push(await exportOne(proof, request, each).catch(refused))
      return done
    },
  }
}

/** One object that is refused refuses no other. @throws what is no refusal */
function refused(cause: unknown): ExportJudgement {
  const { fault, message } = releaseError(cause)
  if (fault === 'unavailable') throw cause
  return { outcome: 'refused', envelopes: [], reason: `${fault}: ${message}` }
}
