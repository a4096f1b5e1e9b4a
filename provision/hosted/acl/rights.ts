import { ALL_RIGHTS, R, type Right } from '../../../access/acl/acl.ts'
import { type DecisionSettings, type Resource, rightsOf, type Who } from '../../../access/acl/decide.ts'
import type { Principal } from '../../../format/release.ts'
import { StoreError } from '../../../store/object-store.ts'
import type { Change, Database, HostedSchema } from '../../database/hosted-schema.ts'
import type { Look } from '../../database/looking.ts'
import { seeker } from '../../database/rows.ts'
import { inOneMoment } from '../../database/shared-file.ts'
import type { RecordRow } from '../rows.ts'
import { effectiveAcl, effectiveAclNow } from './acl-rows.ts'

/**
 * Who a store is bound to: what the authority said of the proof, and the proof, which goes with every question about a key.
 * null: anonymous.
 */
export type BoundCaller = { proof: Uint8Array; principal: Principal } | null
export type BucketRow = HostedSchema['buckets']
export type ObjectRights = Pick<RecordRow, 'owner' | 'acl'>
export type Home = { owner: string | null }

const ANONYMOUS: Who = { kind: 'anonymous' }

function whoOf(caller: BoundCaller): Who {
  if (caller === null) return ANONYMOUS
  const { user, groups, domains } = caller.principal
  return { kind: 'known', id: user, groups: new Set(groups), domains: new Set(domains) }
}

/** An object with the entries that decide at this moment. @param home - the bucket that it lies in */
export async function objectResource(
  database: Database | Change,
  home: Home,
  { owner, acl }: ObjectRights,
): Promise<Resource> {
  const effective = await effectiveAcl(database, acl)
  return { kind: 'object', owner: owner === '' ? null : owner, bucketOwner: home.owner, acl: effective }
}

/** The same in the turn that looks. */
export function objectResourceNow(look: Look, home: Home, { owner, acl }: ObjectRights): Resource {
  const effective = effectiveAclNow(look, acl)
  return { kind: 'object', owner: owner === '' ? null : owner, bucketOwner: home.owner, acl: effective }
}

export async function bucketResource(database: Database | Change, { owner, acl }: BucketRow): Promise<Resource> {
  return { kind: 'bucket', owner, bucketOwner: owner, acl: await effectiveAcl(database, acl) }
}

/** @param decision - wanted where RA and WA are asked for: R and W are the same under each */
export function allows(resource: Resource, caller: BoundCaller, right: Right, decision?: DecisionSettings): boolean {
  return (rightsOf(resource, whoOf(caller), decision) & right) !== 0
}

/** Its owner, or whoever has all four rights (rule 18). */
export function mayDelete(bucket: Resource, caller: BoundCaller, decision: DecisionSettings): boolean {
  return rightsOf(bucket, whoOf(caller), decision) === ALL_RIGHTS
}

export function denied(): StoreError {
  return new StoreError('forbidden', 'Access Denied')
}

const bucketByName = seeker<BucketRow>(
  'buckets',
  ['name', 'owner', 'account', 'acl', 'acl_ref', 'default_acl', 'acl_revision', 'created_at'],
  ['name'],
)

/** @throws StoreError "no-bucket" */
export async function findBucket(database: Database | Change, bucket: string): Promise<BucketRow> {
  return there(bucket, await bucketByName(database, bucket))
}

/** @throws StoreError "no-bucket" */
export function findBucketNow(look: Look, bucket: string): BucketRow {
  return there(bucket, bucketByName.now(look, bucket))
}

function there(bucket: string, row: BucketRow | undefined): BucketRow {
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
  return inOneMoment(database, async at => {
    const row = await findBucket(at, bucket)
    if (!allows(await bucketResource(at, row), caller, right)) throw denied()
    return row
  })
}

/** Known callers only. @throws StoreError "forbidden" */
export function requireKnown(caller: BoundCaller): NonNullable<BoundCaller> {
  if (caller === null) throw denied()
  return caller
}

/**
 * Call it where what was read of bucket and object is of the same moment. What the caller may see of an object: null when it is not there and the caller may list.
 * @throws StoreError "forbidden" - also for a missing object, to whom may not list: nothing is learned by asking
 */
export async function judgeRead<Row extends ObjectRights>(
  database: Database | Change,
  bucket: BucketRow,
  row: Row | undefined,
  caller: BoundCaller,
): Promise<Row | null> {
  if (row === undefined) {
    if (!allows(await bucketResource(database, bucket), caller, R)) throw denied()
    return null
  }
  if (!allows(await objectResource(database, bucket, row), caller, R)) throw denied()
  return row
}
