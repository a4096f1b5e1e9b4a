import { AccessError } from '../../access/fault.ts'
import type { ExportOrder } from '../../format/export.ts'
import type { KeyRelease } from '../../format/release.ts'
import { decodeProof } from '../../format/request-proof.ts'
import type { ExportOrderRecord, ExportStore } from '../../store/ability.ts'
import { type BoundCaller, requireKnown } from './acl/rights.ts'
import { asked } from './release-fault.ts'

export type ExportVerbs = Pick<ExportStore, 'orderExport' | 'withdrawExport' | 'exportOrders'>

/** Orders of exports are kept by the authority; from here they are handed on. */
export function exportVerbs(release: KeyRelease, caller: BoundCaller): ExportVerbs {
  return {
    async orderExport(bucket) {
      const proof = signedInHeader(caller)
      return recordOf(await asked(release.orderExport({ proof, bucket })))
    },
    async withdrawExport(bucket) {
      const proof = signedInHeader(caller)
      await asked(release.withdrawExport({ proof, bucket }))
    },
    async exportOrders(bucket) {
      const { proof } = requireKnown(caller)
      return (await asked(release.exportOrders({ proof, bucket }))).map(recordOf)
    },
  }
}

/** The authority takes no other; said here, so that who asked hears why. */
function signedInHeader(caller: BoundCaller): Uint8Array {
  const { proof } = requireKnown(caller)
  const read = decodeProof(proof)
  if (read.kind !== 'signed' || read.form !== 'header')
    throw new AccessError('denied', 'An export is ordered by a request that is signed in its Authorization header.')
  return proof
}

function recordOf({ id, job, bucket, prefix, orderedAt, withdrawnAt }: ExportOrder): ExportOrderRecord {
  return { id, job, bucket, prefix, orderedAt: new Date(orderedAt), withdrawn: withdrawnAt !== null }
}
