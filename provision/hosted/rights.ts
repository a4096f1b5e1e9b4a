import { ALL_RIGHTS, R, type Right, type Rights } from '../../access/acl/acl.ts'
import { rightsOf, type Who } from '../../access/acl/decide.ts'
import { parseAcl } from '../../access/acl/text.ts'
import type { Principal } from '../../format/release.ts'
import { StoreError } from '../../store/object-store.ts'
import type { HostedSchema } from '../database/hosted-schema.ts'
import { seeker } from '../database/rows.ts'
import type { RecordRow } from './rows.ts'
import type { Change, Database } from './shelf.ts'

/**
 * Who a store is bound to: what the authority said of the proof, and the proof, which goes with every question about a key.
 * null: anonymous.
 */
export type BoundCaller = { proof: Uint8Array; principal: Principal } | null
export type BucketRow = HostedSchema['buckets']
export type ObjectRights = Pick<RecordRow, 'owner' | 'acl'>

export type Home = { owner: string | null }

/** Whether deciding by it needs to know whose the bucket is. */
export function meansBucketOwner({ acl }: ObjectRights): boolean {
  return acl.includes('bucket-owner')
}

const ANONYMOUS: Who = { kind: 'anonymous' }

function whoOf(caller: BoundCaller): Who {
  if (caller === null) return ANONYMOUS
  const { user, groups, domains } = caller.principal
  return { kind: 'known', id: user, groups: new Set(groups), domains: new Set(domains) }
}

export function mayUseBucket(row: BucketRow, caller: BoundCaller, right: Right): boolean {
  return (bucketRights(row, caller) & right) !== 0
}

/** @param home - the bucket that it lies in; its owner may be left out where the ACL does not mean him */
export function mayUseObject(home: Home, row: ObjectRights, caller: BoundCaller, right: Right): boolean {
  const { owner, acl } = row
  const resource = {
    kind: 'object',
    owner: owner === '' ? null : owner,
    bucketOwner: home.owner,
    acl: parseAcl(acl),
  } as const
  return (rightsOf(resource, whoOf(caller)) & right) !== 0
}

/** Its owner, or whoever has all four rights (rule 18). */
export function mayDelete(row: BucketRow, caller: BoundCaller): boolean {
  return bucketRights(row, caller) === ALL_RIGHTS
}

function bucketRights({ owner, acl }: BucketRow, caller: BoundCaller): Rights {
  return rightsOf({ kind: 'bucket', owner, bucketOwner: owner, acl: parseAcl(acl) }, whoOf(caller))
}

export function denied(): StoreError {
  return new StoreError('forbidden', 'Access Denied')
}

const bucketByName = seeker<BucketRow>(
  'buckets',
  ['name', 'owner', 'account', 'acl', 'default_acl', 'acl_revision', 'created_at'],
  ['name'],
)

/** @throws StoreError "no-bucket" */
export async function findBucket(database: Database | Change, bucket: string): Promise<BucketRow> {
  const row = await bucketByName(database, bucket)
  if (row === undefined) throw new StoreError('no-bucket', `no bucket ${bucket}`)
  return row
}

/** @throws StoreError "no-bucket" | "forbidden" */
export async function requireBucket(
  database: Database | Change,
  bucket: string,
  caller: BoundCaller,
  right: Right,
): Promise<BucketRow> {
  const row = await findBucket(database, bucket)
  if (!mayUseBucket(row, caller, right)) throw denied()
  return row
}

/** Known callers only: nothing anonymous is ever written. @throws StoreError "forbidden" */
export function requireKnown(caller: BoundCaller): NonNullable<BoundCaller> {
  if (caller === null) throw denied()
  return caller
}

/**
 * What the caller may see of an object: null when it is not there and the caller may list.
 * @throws StoreError "forbidden" - also for a missing object, to whom may not list: nothing is learned by asking
 */
export function judgeRead<Row extends ObjectRights>(
  bucket: BucketRow,
  row: Row | undefined,
  caller: BoundCaller,
): Row | null {
  if (row === undefined) {
    if (!mayUseBucket(bucket, caller, R)) throw denied()
    return null
  }
  if (!mayUseObject(bucket, row, caller, R)) throw denied()
  return row
}
