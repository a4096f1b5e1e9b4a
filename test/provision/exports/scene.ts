/** A store with an authority, and an export of anna's account: its device, with a SoftHSM token, and a station that asks for it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import type { WireHeader } from '../../../access/canonical.ts'
import { DEFAULT_EPOCH_LIMITS, type EpochLimits } from '../../../format/administration.ts'
import { idBytes, type JobId } from '../../../format/bytes.ts'
import type { ExportKey, ExportOrder, ExportOutcome } from '../../../format/export.ts'
import { type Grant, grantHash, openGrantFile, parseGrantFile, peekGrant, verifyGrant } from '../../../format/grant.ts'
import type { ExportRequest, StationProof, StoredObject } from '../../../format/release.ts'
import { readUnlockCode } from '../../../format/unlock-code.ts'
import { verifyCertificate } from '../../../hsm/certificate.ts'
import { openDeviceToken, prepareDeviceToken } from '../../../hsm/device-token.ts'
import type { Token } from '../../../hsm/token.ts'
import type { BodyRow, ObjectRow, PartRow } from '../../../provision/database/hosted-schema.ts'
import { storedObject, storedPart } from '../../../provision/hosted/rows.ts'
import { openWorld, type Someone, type World } from '../acl/world.ts'
import { proofOf, stationFor } from '../keystore/authority-fixture.ts'

export type Item = ExportRequest['objects'][number]
/** What a device knows of itself: its token, and the grant, which it has verified up to the provider's CA. */
export type ExportDevice = { token: Token; grant: Grant; hash: Buffer; signer: Buffer; request: Buffer }

export type Scene = {
  world: World
  job: JobId
  device: ExportDevice
  station: StationProof
  bucket: string
  days(count: number): number
  /** an export of anna's account from the bucket, with a device, begun */
  begun(limits?: Partial<EpochLimits>): Promise<{ job: JobId; station: StationProof }>
  order(who: Someone, prefix?: string, job?: JobId): Promise<ExportOrder>
  withdraw(who: Someone, prefix?: string): Promise<void>
  key(station?: StationProof): Promise<ExportKey>
  ask(order: ExportOrder, items: Item[], more?: { station?: StationProof; epoch?: ExportKey }): Promise<ExportOutcome[]>
  /** one object; what came of it */
  outcome(order: ExportOrder, item: Item): Promise<string>
  remove(): Promise<void>
}

const PATIENT: EpochLimits = { ...DEFAULT_EPOCH_LIMITS, seconds: 86_400, idleSeconds: 86_400 }

export async function openScene(): Promise<Scene> {
  const world = await openWorld()
  const { administration, fixture } = world
  const days = (count: number): number => fixture.clock.now + count * 86_400_000
  const bucket = await world.bucket(world.anna, { 'x-amz-acl': 'public-read-write' })
  const directory = mkdtempSync(join(tmpdir(), 'sealift-export-'))
  const request = await prepareDeviceToken({ directory })
  const ordered = async (limits: Partial<EpochLimits> = {}): Promise<JobId> => {
    const buckets = [bucket, 'another-bucket']
    const terms = { account: 'anna', buckets, endsAt: days(30), limits: { ...PATIENT, ...limits } }
    return (await administration.createExportJob(terms)).job
  }
  const prepared = (job: JobId) => administration.prepareDevice({ job, request, returnAddress: '', grantDays: 30 })
  const job = await ordered()
  const { grantFile, unlockCode, device: id } = await prepared(job)
  const { signed, ...sealed } = parseGrantFile(grantFile)
  const ca = await administration.caCertificate()
  const { spki: signer } = await verifyCertificate(peekGrant(signed).signerCertificate, ca, new Date())
  const grant = verifyGrant(signed, signer)
  const share = openGrantFile({ signed, ...sealed }, grant.id, readUnlockCode(unlockCode))
  const token = await openDeviceToken({ directory }, share, idBytes(grant.id), null)
  await administration.beginExport(job)
  const station = await stationFor(administration, job, id)

  const scene: Scene = {
    world,
    job,
    device: { token, grant, hash: grantHash(signed), signer, request },
    station,
    bucket,
    days,
    async begun(limits) {
      const another = await ordered(limits)
      await prepared(another)
      await administration.beginExport(another)
      return { job: another, station: { ...station, job: another } }
    },
    order: (who, prefix = '', of = job) =>
      fixture.authority.release.orderExport({ proof: orderProof(scene, who, { prefix, job: of }), bucket }),
    withdraw: (who, prefix = '') =>
      fixture.authority.release.withdrawExport({ proof: orderProof(scene, who, { prefix, method: 'DELETE' }), bucket }),
    key: (at = station) => fixture.authority.release.exportKey(at),
    async ask(order, objects, { station: at = station, epoch } = {}) {
      const { epoch: id } = epoch ?? (await scene.key(at))
      return fixture.authority.release.exportObjects(at, { order: order.id, epoch: id, objects })
    },
    async outcome(order, item) {
      const [first] = await scene.ask(order, [item])
      return first?.outcome ?? 'none'
    },
    async remove() {
      await token.close()
      await world.remove()
      rmSync(directory, { recursive: true })
    },
  }
  return scene
}

type Asked = {
  prefix?: string
  job?: string
  method?: string
  bucket?: string
  query?: string
  headers?: WireHeader[]
  at?: number
}

/** The request that orders or withdraws, as a client signs it. */
export function orderProof({ world, job, bucket }: Scene, who: Someone, asked: Asked = {}): Buffer {
  const headers: WireHeader[] = asked.headers ?? [
    ['x-storage-export-job', asked.job ?? job],
    ['x-storage-export-prefix', asked.prefix ?? ''],
  ]
  const place = { bucket: asked.bucket ?? bucket, key: '' }
  const at = asked.at ?? world.fixture.clock.now
  return proofOf(who, asked.method ?? 'POST', place, { query: asked.query ?? 'export=', headers, at })
}

/** An object as it lies in the store: how the authority is asked about it, and its bodies by object id. */
export function storedIn({ world, bucket }: Scene, key: string): { item: Item; bodies: Map<string, Buffer> } {
  const database = new Database(join(world.directory, 'hosted.sqlite'), { readonly: true })
  try {
    const one = <Row>(text: string, ...given: unknown[]): Row => {
      const row = database.prepare<unknown[], Row>(text).get(...given)
      if (row === undefined) throw new Error(`${text}: no row`)
      return row
    }
    const bodyOf = (id: string) => one<BodyRow>('SELECT * FROM bodies WHERE object_id = ?', id)
    const row = one<ObjectRow>('SELECT * FROM objects WHERE bucket = ? AND key = ?', bucket, Buffer.from(key))
    const parts = database
      .prepare<unknown[], PartRow>('SELECT * FROM parts WHERE part_set = ? ORDER BY number')
      .all(row.part_set)
    const bodies = new Map<string, Buffer>()
    for (const { blob, offset, length, object_id } of [row, ...parts].map(each => bodyOf(each.object_id)))
      if (blob !== null) {
        const file = readFileSync(join(world.directory, 'blobs', blob.slice(0, 2), blob))
        bodies.set(object_id, file.subarray(offset, offset + length))
      }
    const object: StoredObject = storedObject(row, bodyOf(row.object_id).core_header)
    return { item: { object, parts: parts.map(part => storedPart(part, bodyOf(part.object_id).core_header)) }, bodies }
  } finally {
    database.close()
  }
}
