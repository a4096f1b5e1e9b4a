import type { EpochId, JobId } from './bytes.ts'
import { bytes, type Codec, count, idOf, listOf, nullable, oneOf, record, text } from './codec.ts'
import { ENVELOPE_LIMIT, MAX_PARTS } from './envelope.ts'
import { EXPORT_JOB_LIMIT } from './export-job.ts'
import { KEY_RECORD_LIMIT } from './key-record.ts'

/** What store and station ask about an export, and what comes back. @see FORMAT.md §13 */

/** What a principal wants exported: signed by him, and judged by what he may at the moment when each object is asked for. */
export type ExportOrder = {
  /** 16 hex digits */
  id: string
  job: JobId
  user: string
  /** that signed it */
  accessKey: string
  bucket: string
  /** of the keys; empty: all of the bucket */
  prefix: string
  orderedAt: number
  /** null: not withdrawn */
  withdrawnAt: number | null
}
/** Of one job. */
export const EXPORT_ORDERS_MAX = 1000

/** `order`: the signed export job (§12.2). `orders`: those that were not withdrawn. */
export type ExportJobAnswer = { order: Buffer; orderSpki: Buffer; orders: ExportOrder[] }
/** An epoch of an export: its key, sealed to the device. */
export type ExportKey = { epoch: EpochId; keyRecord: Buffer }

/** Objects of one call. */
export const EXPORT_BATCH = 1000
/**
 * `exported`: the object's new envelope, then those of the parts asked for, in their order. `epoch-over`: nothing is wrong with it; ask
 * for the next epoch, and for this object again.
 */
export type ExportOutcome = { outcome: 'exported' | 'refused' | 'epoch-over'; envelopes: Buffer[] }

const exportOrder = record<ExportOrder>(
  {
    id: text(16),
    job: idOf(),
    user: text(128),
    accessKey: text(128),
    bucket: text(255),
    prefix: text(1024),
    orderedAt: count(),
    withdrawnAt: nullable(count()),
  },
  { accessKey: 'key', orderedAt: 'ordered', withdrawnAt: 'withdrawn' },
)
const exportOrders = listOf(exportOrder, EXPORT_ORDERS_MAX)
const exportJob = record<ExportJobAnswer>({
  order: bytes({ max: EXPORT_JOB_LIMIT }),
  orderSpki: bytes({ max: 1024 }),
  orders: exportOrders,
})
const exportKey = record<ExportKey>({ epoch: idOf(), keyRecord: bytes({ max: KEY_RECORD_LIMIT }) })
const outcomes: Codec<ExportOutcome[]> = listOf(
  record<ExportOutcome>({
    outcome: oneOf(['exported', 'refused', 'epoch-over']),
    envelopes: listOf(bytes({ max: ENVELOPE_LIMIT }), MAX_PARTS + 1),
  }),
  EXPORT_BATCH,
)

export const EXPORT_CODECS = { exportOrder, exportOrders, exportJob, exportKey, outcomes } as const
