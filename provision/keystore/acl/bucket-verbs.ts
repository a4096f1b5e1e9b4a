import { ALL_RIGHTS, WA } from '../../../access/acl/acl.ts'
import { type KeyRelease, ReleaseError } from '../../../format/release.ts'
import { coversBucket } from '../proofs/coverage.ts'
import type { Judged, Proofs } from '../proofs/proofs.ts'
import { spendingOf } from '../proofs/spent.ts'
import { denied } from '../refusal.ts'
import { type AskedAcls, metagenerationWish } from './asked-acl.ts'
import type { BucketRights } from './bucket-rights.ts'
import { type Bucket, type Buckets, bucketFacts } from './buckets.ts'

type Verbs = Pick<KeyRelease, 'openBucket' | 'bindBucket' | 'closeBucket'>

const SUBRESOURCE = { acl: 'acl', 'default-object': 'defaultObjectAcl' } as const

/** Whose buckets are and who may: changed by the signed request of somebody who may. */
export function bucketVerbs(on: {
  proofs: Proofs
  buckets: Buckets
  bucketRights: BucketRights
  askedAcls: AskedAcls
}): Verbs {
  const { proofs, buckets, bucketRights, askedAcls } = on
  const covered = async (bytes: Uint8Array, method: string, bucket: string, sub: string | null): Promise<Judged> => {
    const judged = await proofs.judge(bytes)
    if (judged.target === null || !coversBucket(judged.target, method, bucket, sub))
      throw denied('the proof is for no such change of this bucket')
    return judged
  }
  const known = async (name: string): Promise<Bucket> => {
    const bucket = await buckets.find(name)
    if (bucket === null) throw denied('no such bucket')
    return bucket
  }
  return {
    async openBucket({ proof, bucket, named }) {
      const judged = await covered(proof, 'PUT', bucket, null)
      const { user, account } = judged.principal
      const acl = await askedAcls.ofNewBucket({ ...judged, named }, user)
      const made = await buckets.open(bucket, { user, account }, acl)
      if (made !== null) return bucketFacts(made)
      const there = await known(bucket)
      // cut off between here and the store's own row, it is made again: by him, as he asked for
      if (there.owner !== user) throw new ReleaseError('exists', `bucket ${bucket} is there already`)
      return bucketFacts(there)
    },
    async bindBucket({ proof, bucket, of, document, named }) {
      const judged = await covered(proof, 'PUT', bucket, SUBRESOURCE[of])
      const there = await known(bucket)
      const { owner } = there
      if (((await bucketRights.of(there, judged.who)) & WA) === 0)
        throw denied('the ACL of the bucket does not give this caller WA')
      const parties = { owner, bucketOwner: owner }
      const on = of === 'acl' ? 'bucket' : 'default-object'
      const acl = await askedAcls.ofChange({ ...judged, named }, document, on, parties, null)
      const wish = metagenerationWish(judged.proof)
      const { bucket: changed, held } = await buckets.change(there, of, acl, spendingOf(proof, judged), wish)
      return { ...bucketFacts(changed), held }
    },
    async closeBucket({ proof, bucket }) {
      const judged = await covered(proof, 'DELETE', bucket, null)
      const there = await buckets.find(bucket)
      if (there === null) return
      // its owner, or whoever has all four rights (rule 18)
      if ((await bucketRights.of(there, judged.who)) !== ALL_RIGHTS)
        throw denied("the bucket is not this caller's to delete")
      await buckets.close(bucket)
    },
  }
}
