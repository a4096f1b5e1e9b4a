import type { ObjectAttributes, ObjectRecord, ObjectStore, PutCondition } from './object-store.ts'

/** Further abilities of stores, asked for at run time. */

export type ObjectName = { bucket: string; key: string }

export type CopyOptions = {
  /** replaces the source's attributes; absent: they go along */
  attributes?: ObjectAttributes
  /** decided at the commit, on what lies under the target's key */
  condition?: PutCondition
  /** the source must still have this ETag: fault `precondition-failed` */
  sourceEtag: string
}

/** Copies inside the store, without the bytes passing through the caller. */
export interface CopyStore extends ObjectStore {
  /** `null`: no such source. Faults as of `get` on the source and `put` on the target. */
  copy(source: ObjectName, target: ObjectName, options: CopyOptions): Promise<ObjectRecord | null>
}

export function hasCopy(store: ObjectStore): store is CopyStore {
  return 'copy' in store
}

/** Keeps one canned ACL a bucket and object. */
export interface AclStore extends ObjectStore {
  /** Lower-case canned name; `private` where none was set. `null`: not there. `key` null: of the bucket. */
  getAcl(bucket: string, key: string | null): Promise<string | null>
  /** @returns whether it is there; content, ETag and time of an object stay */
  setAcl(bucket: string, key: string | null, acl: string): Promise<boolean>
}

export function hasAcl(store: ObjectStore): store is AclStore {
  return 'setAcl' in store
}
