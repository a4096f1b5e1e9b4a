/** A job with a device and its drives, made by the real pack engine, and known to the authority of these tests. */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newId } from '../../format/bytes.ts'
import { grantHash, sealGrantFile, signGrant } from '../../format/grant.ts'
import { type JobOrder, signJobOrder } from '../../format/job-order.ts'
import type { StationProof } from '../../format/release.ts'
import type { Sign } from '../../format/signed.ts'
import type { PackStore, PackStoreOptions } from '../../store/pack/pack-store.ts'
import { type Device, makeDevice } from '../store/pack/device.ts'
import type { Authority } from './authority.ts'

export type Job = {
  device: Device
  station: StationProof
  order: JobOrder
  receiptSpki: Buffer
  identity: Sign
  open(overrides?: Partial<PackStoreOptions>): Promise<PackStore>
  /** the drives' directories, copied: a place to do harm in */
  copy(): { drives: string[]; remove(): void }
  remove(): void
}

export const spkiOf = (key: KeyObject): Buffer => key.export({ format: 'der', type: 'spki' })
export const signerOf =
  (key: KeyObject): Sign =>
  async message =>
    sign('sha256', message, { key, dsaEncoding: 'ieee-p1363' })

export async function makeJob(
  authority: Authority,
  options: { drives?: number; objects?: number; order?: Partial<JobOrder> } = {},
): Promise<Job> {
  const device = await makeDevice({
    mode: 'write-only',
    drives: options.drives ?? 1,
    limits: { objects: options.objects ?? 4 },
    readBack: 'none',
  })
  const provider = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const receipts = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { job, device: id, account } = device.owner
  const none = Buffer.alloc(0)
  const signed = await signGrant(
    {
      ...{ id: newId(), job, device: id, account, mode: 'write-only', buckets: device.owner.buckets, counter: 1 },
      ...{ issuedAt: 1, expiresAt: 2, deviceCertificate: none, signerCertificate: none, caCertificate: none },
      recipients: [{ suite: 0x0010, spki: device.owner.identity }],
      floor: [0x0010],
      epochLimits: { objects: 4, bytes: 1 << 30, seconds: 600, idleSeconds: 60 },
      ...{ digest: 'fast', readBack: 'none', namesAfterSeal: 'kept', returnAddress: '' },
    },
    signerOf(provider.privateKey),
  )
  const owner = { ...device.owner, grantHash: grantHash(signed) }
  const grantFile = sealGrantFile(signed, newId(), randomBytes(15), randomBytes(32))
  for (const drive of device.drives) writeFileSync(join(drive.path, 'grant'), grantFile)
  const order: JobOrder = {
    ...{ job, account, buckets: owner.buckets, acl: 'private', mode: 'write-only' },
    ...{ deletes: 'ignore', versions: 'latest', orderedAt: 1 },
    ...options.order,
  }
  const receiptSpki = spkiOf(receipts.publicKey)
  authority.jobAcl.set(job, order.acl)
  authority.addJob(job, {
    answer: {
      order: await signJobOrder(order, signerOf(provider.privateKey)),
      devices: [{ device: id, identitySpki: owner.identity, grantHash: owner.grantHash }],
      orderSpki: spkiOf(provider.publicKey),
      receiptSpki,
      receiptCertificate: Buffer.from('certificate'),
      caCertificate: none,
    },
    account,
    identity: owner.identity,
    importKey: device.importKey,
    signReceipt: signerOf(receipts.privateKey),
  })
  return {
    device,
    station: { station: 'dock', secret: randomBytes(32), job, device: id },
    order,
    receiptSpki,
    identity: device.source.sign,
    open: overrides => device.open({ owner, ...overrides }),
    copy() {
      const root = mkdtempSync(join(tmpdir(), 'sealift-copy-'))
      const drives = device.drives.map((drive, at) => {
        const to = join(root, `drive${at + 1}`)
        cpSync(drive.path, to, { recursive: true })
        return to
      })
      return { drives, remove: () => rmSync(root, { recursive: true, force: true }) }
    },
    remove: device.remove,
  }
}
