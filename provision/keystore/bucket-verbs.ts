import { ALL_RIGHTS, WA } from '../../access/acl/acl.ts'
import { rightsOf } from '../../access/acl/decide.ts'
import type { Directory } from '../../access/acl/grantees.ts'
import { type KeyRelease, ReleaseError } from '../../format/release.ts'
import { changedAcl, newBucketAcl } from './asked-acl.ts'
import { type Bucket, type Buckets, bucketFacts } from './buckets.ts'
import { coversBucket } from './coverage.ts'
import type { Judged, Proofs } from './proofs.ts'
import { denied } from './refusal.ts'
import { spendingOf } from './spent.ts'

type Verbs = Pick<KeyRelease, 'openBucket' | 'bindBucket' | 'closeBucket'>

const SUBRESOURCE = { acl: 'acl', 'default-object': 'defaultObjectAcl' } as const

/** Whose buckets are and who may: changed by the signed request of somebody who may. */
export function bucketVerbs(on: { proofs: Proofs; buckets: Buckets; directory: Directory }): Verbs {
  const { proofs, buckets, directory } = on
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
    async openBucket({ proof, bucket }) {
      const judged = await covered(proof, 'PUT', bucket, null)
      const { user, account } = judged.principal
      const acl = await newBucketAcl(judged.proof, user, directory)
      const made = await buckets.open(bucket, { user, account }, acl)
      if (made !== null) return bucketFacts(made)
      const there = await known(bucket)
      // cut off between here and the store's own row, it is made again: by him, as he asked for
      if (there.owner !== user) throw new ReleaseError('exists', `bucket ${bucket} is there already`)
      return bucketFacts(there)
    },
    async bindBucket({ proof, bucket, of, document }) {
      const judged = await covered(proof, 'PUT', bucket, SUBRESOURCE[of])
      const there = await known(bucket)
      const { owner } = there
      if ((rightsOf({ kind: 'bucket', owner, bucketOwner: owner, acl: there.acl }, judged.who) & WA) === 0)
        throw denied('the ACL of the bucket does not give this caller WA')
      const parties = { owner, bucketOwner: owner }
      const acl = await changedAcl(
        judged.proof,
        document,
        of === 'acl' ? 'bucket' : 'default-object',
        parties,
        directory,
      )
      return bucketFacts(await buckets.change(there, of, acl, spendingOf(proof, judged.proof)))
    },
    async closeBucket({ proof, bucket }) {
      const judged = await covered(proof, 'DELETE', bucket, null)
      const there = await buckets.find(bucket)
      if (there === null) return
      if (!mayDelete(there, judged)) throw denied("the bucket is not this caller's to delete")
      await buckets.close(bucket)
    },
  }
}

/** Its owner, or whoever has all four rights (rule 18). */
function mayDelete({ owner, acl }: Bucket, { who }: Judged): boolean {
  return rightsOf({ kind: 'bucket', owner, bucketOwner: owner, acl }, who) === ALL_RIGHTS
}
