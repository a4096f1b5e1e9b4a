import type { Acl, Right, Rights } from '../../../access/acl/acl.ts'
import { type DecisionSettings, rightsOf, type Who } from '../../../access/acl/decide.ts'
import { denied } from '../refusal.ts'
import type { AclObjects } from './acl-objects.ts'
import type { Bucket, Buckets } from './buckets.ts'

/** Rights on buckets, by the list or the ACL object that decides at this moment. */
export type BucketRights = {
  of(bucket: Bucket, who: Who): Promise<Rights>
  /** @throws ReleaseError "denied" - no such bucket here, or not this right */
  require(name: string, who: Who, right: Right): Promise<Bucket>
}

export function bucketRightsOf(
  buckets: Pick<Buckets, 'find'>,
  aclObjects: Pick<AclObjects, 'entries'>,
  decision: DecisionSettings,
): BucketRights {
  const of: BucketRights['of'] = async ({ owner, acl: bound }, who) => {
    const acl: Acl | null = bound.kind === 'own' ? bound.acl : await aclObjects.entries(bound.id, bound.generation)
    return rightsOf({ kind: 'bucket', owner, bucketOwner: owner, acl }, who, decision)
  }
  return {
    of,
    async require(name, who, right) {
      const bucket = await buckets.find(name)
      if (bucket === null) throw denied('the bucket is not known here')
      if (((await of(bucket, who)) & right) === 0) throw denied('the bucket does not give this caller the right')
      return bucket
    },
  }
}
