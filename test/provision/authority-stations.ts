/** The part of the honest authority that intake stations speak to. */
import type { KeyObject } from 'node:crypto'
import type { EpochId, JobId } from '../../format/bytes.ts'
import { deriveEpochKeys, type EpochKeys } from '../../format/epoch-key.ts'
import { verifyKeyRecord } from '../../format/key-record.ts'
import { signReceipt } from '../../format/receipt.ts'
import {
  type JobAnswer,
  type KeyRelease,
  ReleaseError,
  type StationProof,
  type StoredObject,
} from '../../format/release.ts'
import type { Sign } from '../../format/signed.ts'
import { openWith } from '../store/pack/device.ts'

export type EpochsHeld = Map<EpochId, { keys: EpochKeys; account: string; job: JobId | null }>
export type KnownJob = {
  answer: JobAnswer
  account: string
  identity: Buffer
  importKey: KeyObject
  signReceipt: Sign
}

type StationCalls = Pick<KeyRelease, 'job' | 'metadataKey' | 'reseal' | 'prove' | 'signReceipt'>

const refuse = async (): Promise<never> => {
  throw new ReleaseError('denied', 'no exports here')
}
export const NO_EXPORTS = {
  ...{ orderExport: refuse, withdrawExport: refuse, exportOrders: refuse },
  ...{ exportJob: refuse, exportKey: refuse, exportObjects: refuse },
}

export function authorityStations(on: {
  epochs: EpochsHeld
  /** @throws ReleaseError "unavailable" */
  requireUp(): void
  /** @throws ReleaseError "denied" */
  open(object: StoredObject): Buffer
  called(name: string): void
}): { addJob(id: JobId, job: KnownJob): void; calls: StationCalls } {
  const jobs = new Map<string, KnownJob>()
  const jobOf = (station: StationProof): KnownJob => {
    on.requireUp()
    const known = jobs.get(station.job)
    if (!known) throw new ReleaseError('denied', 'no such job')
    return known
  }
  const openRecord = async (station: StationProof, record: Uint8Array) => {
    const known = jobOf(station)
    try {
      const { epoch } = verifyKeyRecord(record, known.identity)
      return { epoch, keys: deriveEpochKeys(await openWith(known.importKey, record, known.identity)), known }
    } catch (cause) {
      throw new ReleaseError('denied', cause instanceof Error ? cause.message : '', { cause })
    }
  }
  return {
    addJob: (id, job) => void jobs.set(id, job),
    calls: {
      async job(station) {
        return jobOf(station).answer
      },
      async metadataKey(station, record) {
        return (await openRecord(station, record)).keys.metadataKey.export()
      },
      async reseal(station, record) {
        on.called('reseal')
        const { epoch, keys, known } = await openRecord(station, record)
        on.epochs.set(epoch, { keys, account: known.account, job: station.job })
      },
      async prove(station, objects) {
        on.called('prove')
        const { account } = jobOf(station)
        return objects.map(({ envelope, coreHeader, place }) => {
          try {
            on.open({ envelope, coreHeader, account, job: station.job, place, binding: Buffer.alloc(0) })
            return { outcome: 'proved', reason: '' }
          } catch (error) {
            return { outcome: 'refused', reason: error instanceof Error ? error.message : '' }
          }
        })
      },
      async signReceipt(station, receipt) {
        on.called('signReceipt')
        return signReceipt(receipt, jobOf(station).signReceipt)
      },
    },
  }
}
