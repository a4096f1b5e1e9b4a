import { idBytes, type JobId } from './bytes.ts'
import { Fields } from './cbor.ts'
import { parseSigned, type Sign, signMessage, verifySigned } from './signed.ts'

/**
 * What a job may carry out of the store: whose it is, from which buckets, till when. What of them it carries, and by whose right, orders of
 * principals say. @see FORMAT.md §12.2
 */
export type ExportJob = {
  job: JobId
  account: string
  buckets: string[]
  /** from then on nothing is exported under it */
  endsAt: number
  orderedAt: number
}

export const EXPORT_JOB_LIMIT = 256 << 10

export function signExportJob(job: ExportJob, sign: Sign): Promise<Buffer> {
  const { account, buckets, endsAt: ends, orderedAt: ordered } = job
  return signMessage('export-job', { v: 1, job: idBytes(job.job), account, buckets, ends, ordered }, sign)
}

/** @param signer - SPKI of the provider's grant-signing key */
export function verifyExportJob(bytes: Uint8Array, signer: Uint8Array): ExportJob {
  const fields = verifySigned(parseSigned(bytes, 'export-job', EXPORT_JOB_LIMIT), signer)
  fields.version(1)
  const job: ExportJob = {
    job: fields.id('job'),
    account: fields.text('account', 128),
    buckets: fields.list('buckets', 1000, (item, what) => new Fields({ item }, what).text('item', 255)),
    endsAt: fields.count('ends'),
    orderedAt: fields.count('ordered'),
  }
  fields.end()
  return job
}
