import type { Acl } from '../access/acl/acl.ts'
import type { Preconditions } from '../access/precondition.ts'
import type {
  DeleteOptions,
  ObjectAttributes,
  ObjectRecord,
  ObjectStore,
  PutCondition,
  PutOptions,
} from './object-store.ts'

/** Further abilities of stores, asked for at run time. */

export type ObjectName = { bucket: string; key: string }

export type CopyOptions = {
  /** replaces the source's attributes; absent: they go along */
  attributes?: ObjectAttributes
  /** decided at the commit, on what lies under the target's key */
  condition?: PutCondition
  /** the source must still have this ETag: fault `precondition-failed` */
  sourceEtag: string
  /** the same for its generation, where the store numbers */
  sourceGeneration?: number
  generations?: Preconditions
}

/** Copies inside the store, without the bytes passing through the caller. */
export interface CopyStore extends ObjectStore {
  /** `null`: no such source. Faults as of `get` on the source and `put` on the target. */
  copy(source: ObjectName, target: ObjectName, options: CopyOptions): Promise<ObjectRecord | null>
}

export function hasCopy(store: ObjectStore): store is CopyStore {
  return 'copy' in store
}

/** Knows whose things are: its records have `owner`. */
export interface OwnerStore extends ObjectStore {
  /** Ids of a bucket's owner and of the account; none where there is no such bucket. */
  ownersOf(bucket: string): Promise<string[]>
  /** What people call them, of those that are known. @param ids - at most 1000 */
  namesOf(ids: string[]): Promise<Map<string, string>>
}

export function hasOwners(store: ObjectStore): store is OwnerStore {
  return 'ownersOf' in store
}

/** Numbers what it keeps: its records have `generation` and `metageneration`, and conditions on them hold at the commit. */
export interface GenerationStore extends ObjectStore {
  readonly numbersGenerations: true
}

export function hasGenerations(store: ObjectStore): store is GenerationStore {
  return 'numbersGenerations' in store
}

/** Seals each object under a key that its request may name: its records have `sealedUnder`. */
export interface NamedKeyStore extends ObjectStore {
  readonly takesNamedKeys: true
}

export function hasNamedKeys(store: ObjectStore): store is NamedKeyStore {
  return 'takesNamedKeys' in store
}

/** How far an upload is that is sent to one address. `done`: the object that it became. */
export type ResumableState = ObjectName & { stored: number; total: number | null; done: ObjectRecord | null }

/**
 * Uploads that are sent on after any break, by whoever knows their id. `stored` bytes are on stable storage.
 * Faults `no-upload`, `upload-expired`.
 */
export interface ResumableStore extends ObjectStore {
  /** By a known caller; ACL and conditions are those of this request. @returns an id that nobody guesses */
  startResumable(
    bucket: string,
    key: string,
    options: Pick<PutOptions, 'attributes' | 'condition' | 'generations'>,
  ): Promise<string>
  resumable(id: string): Promise<ResumableState>
  /**
   * Goes on at `first`; what is there already is skipped, and a gap is not filled. With the last byte of `total` the object is made.
   * What a break in `body` leaves is kept. Faults `invalid-part`, `incomplete-body`, `busy`, and those of `put`.
   */
  appendResumable(
    id: string,
    bytes: { first: number; length: number; total: number | null; body: AsyncIterable<Uint8Array> },
  ): Promise<ResumableState>
  dropResumable(id: string): Promise<void>
}

export function hasResumables(store: ObjectStore): store is ResumableStore {
  return 'startResumable' in store
}

/** Of stores that number. A bucket has no generation. */
export type Numbers = { generation?: number; metageneration?: number }

/** `key` null: the bucket's own, or what new objects in it get. */
export type AclTarget = { bucket: string; key: string | null; of: 'acl' | 'default-object' }

export type KeptAcl = Numbers & {
  /** whose the resource is; null: nobody known */
  owner: string | null
  acl: Acl
  /** names to show for the ids in it */
  names: ReadonlyMap<string, string>
  /** `bucket/object#generation` of the ACL object that decides; null: entries of its own, or nowhere any more */
  reference: string | null
  /** what it refers to is gone: only the owner has rights */
  dangling: boolean
}

/**
 * Keeps ACLs of buckets and objects, and is bound to a caller and the request that he signed: what an ACL is to be is read from there.
 * New objects and buckets get theirs in the same way.
 */
export interface AclStore extends ObjectStore {
  /** `null`: no such object. Faults `no-bucket`, `forbidden`. */
  getAcl(target: AclTarget): Promise<KeptAcl | null>
  /**
   * Content, ETag and time of an object stay.
   *
   * @param document - the request's body; empty: its headers ask
   * @returns null: no such object
   * @throws AccessError - the ACL cannot be had as it is asked for
   * @throws StoreError "precondition-failed" | "no-version"
   */
  setAcl(target: AclTarget, document: Uint8Array, options?: DeleteOptions): Promise<Numbers | null>
  /**
   * What refers to an ACL object: how many, and a page of names, buckets first.
   * @param after - the last name of the page before
   * @throws StoreError "forbidden" | "invalid-state" - it is no ACL object
   */
  referrers(query: {
    bucket: string
    key: string
    after: string | null
    limit: number
  }): Promise<{ count: number; names: string[] }>
}

export function hasAcl(store: ObjectStore): store is AclStore {
  return 'setAcl' in store
}

/** `prefix` of keys; empty: all of the bucket. `withdrawn`: it was taken back, and the same request does not bring it back. */
export type ExportOrderRecord = {
  id: string
  job: string
  bucket: string
  prefix: string
  orderedAt: Date
  withdrawn: boolean
}

/** Takes orders of exports from the caller, whose signed request says what and with which job. Faults `forbidden`. */
export interface ExportStore extends ObjectStore {
  orderExport(bucket: string): Promise<ExportOrderRecord>
  withdrawExport(bucket: string): Promise<void>
  /** the caller's own */
  exportOrders(bucket: string): Promise<ExportOrderRecord[]>
}

export function hasExports(store: ObjectStore): store is ExportStore {
  return 'orderExport' in store
}
