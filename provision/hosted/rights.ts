import { type Caller, mayDo, type Right } from '../../access/canned-acl.ts'
import type { Principal } from '../../format/release.ts'
import { StoreError } from '../../store/object-store.ts'
import type { HostedSchema } from '../database/hosted-schema.ts'
import { seeker } from '../database/rows.ts'
import { aclOf, type RecordRow } from './rows.ts'
import type { Change, Database } from './shelf.ts'

/**
 * Who a store is bound to: what the authority said of the proof, and the proof, which goes with every question about a key.
 * null: anonymous.
 */
export type BoundCaller = { proof: Uint8Array; principal: Principal } | null
export type BucketRow = HostedSchema['buckets']

export function accountOf(caller: BoundCaller): Caller {
  return caller === null ? { kind: 'anonymous' } : { kind: 'known', id: caller.principal.account }
}

export function mayUse(row: { owner: string; acl: string }, caller: BoundCaller, right: Right): boolean {
  return mayDo(aclOf(row.acl), row.owner, accountOf(caller), right)
}

export function denied(): StoreError {
  return new StoreError('forbidden', 'Access Denied')
}

const bucketByName = seeker<BucketRow>('buckets', ['name', 'owner', 'acl', 'created_at'], ['name'])

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
  if (!mayUse(row, caller, right)) throw denied()
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
export function judgeRead<Row extends Pick<RecordRow, 'owner' | 'acl'>>(
  bucket: BucketRow,
  row: Row | undefined,
  caller: BoundCaller,
): Row | null {
  if (row === undefined) {
    if (!mayUse(bucket, caller, 'R')) throw denied()
    return null
  }
  if (!mayUse(row, caller, 'R')) throw denied()
  return row
}
