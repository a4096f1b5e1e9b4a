import { type ExportAsk, parseExportAsk } from '../../../access/export-ask.ts'
import type { JobId } from '../../../format/bytes.ts'
import { type BucketRequest, type KeyRelease, ReleaseError } from '../../../format/release.ts'
import type { Jobs } from '../jobs/jobs.ts'
import { coversBucket } from '../proofs/coverage.ts'
import type { Judged, Proofs } from '../proofs/proofs.ts'
import type { Spending } from '../proofs/spent.ts'
import { denied } from '../refusal.ts'
import type { ExportOrders } from './export-orders.ts'

type Verbs = Pick<KeyRelease, 'orderExport' | 'withdrawExport' | 'exportOrders'>

/** What principals ask of exports, by way of the public store. */
export function exportVerbs(on: {
  proofs: Proofs
  jobs: Pick<Jobs, 'known'>
  orders: ExportOrders
  clock: () => number
}): Verbs {
  const { proofs, jobs, orders, clock } = on

  const judge = async ({ proof, bucket }: BucketRequest, method: string): Promise<Judged> => {
    const judged = await proofs.judge(proof)
    if (judged.target === null || !coversBucket(judged.target, method, bucket, 'export'))
      throw denied('the proof is for nothing of exports of this bucket')
    return judged
  }
  return {
    async orderExport(request) {
      const judged = await judge(request, 'POST')
      const ask = signedAsk(judged)
      const { user, account, accessKey } = judged.principal
      const job = await jobs.known(ask.job as JobId).catch(cause => {
        throw cause instanceof ReleaseError && cause.fault === 'not-found' ? denied(cause.message) : cause
      })
      if (job.kind !== 'export') throw denied('the job is no export')
      // R is judged when it counts; but whose device it is that the objects go to, the job's account says
      if (job.order.account !== account) throw denied('the job is of another account')
      if (job.state === 'closed' || clock() >= job.order.endsAt) throw denied('the job is closed, or its time is over')
      if (!job.order.buckets.includes(request.bucket)) throw denied('the bucket is none of the job')
      const meant = { job: job.id, user, accessKey, bucket: request.bucket, prefix: ask.prefix }
      return orders.put(meant, spending(request, judged))
    },
    async withdrawExport(request) {
      const judged = await judge(request, 'DELETE')
      const { job, prefix } = signedAsk(judged)
      const meant = { job: job as JobId, user: judged.principal.user, bucket: request.bucket, prefix }
      await orders.withdrawSigned(meant, spending(request, judged))
    },
    async exportOrders(request) {
      const { principal } = await judge(request, 'GET')
      return orders.ofUser(principal.user, request.bucket)
    },
  }
}

/** Signed in its header, as `signedAsk` has seen, it grows too old by itself. */
function spending({ proof }: BucketRequest, { until }: Judged): Spending {
  if (until === null) throw denied('nothing of the request is signed')
  return { proof, until }
}

/**
 * What the request signed. A link can be passed on and used for days, and a token or ticket says nothing of what is asked: neither may
 * stand behind something that gives objects away for as long as the job lasts.
 */
function signedAsk({ proof }: Judged): ExportAsk {
  if (proof.kind !== 'signed' || proof.form !== 'header')
    throw denied('an export is ordered by a signature in the header')
  return parseExportAsk(proof.headers)
}
