import type { Blobs } from './blobs.ts'
import type { Index, IndexChange } from './index-store.ts'
import { type PutCondition, StoreError } from './object-store.ts'
import type { StoredObject } from './record.ts'

/**
 * What an indexed store's objects and its uploads share. Tables of the index:
 * - bucket: name
 * - object: bucket "/" key           (a bucket's name holds no "/")
 * - extents: body id                 bodies of several blobs, only of multipart
 * - arriving: blob id                referred to, perhaps not yet kept
 * - dead: blob id                    no longer referred to, bytes perhaps still there
 * - upload, upload-name, part: see indexed-uploads.ts
 */
export type Shelf = {
  index: Index
  blobs: Blobs
  clock: () => Date
  objectKey(bucket: string, key: string): Buffer
  requireBucket(bucket: string): void
  /**
   * Commits `changes` with the new object under its key, in one step, and lets go of what lay there.
   * @returns the removals to perform; they fail quietly, being made up for at the next open
   */
  commit(stored: StoredObject, changes: IndexChange[], condition: PutCondition | undefined): Removal
  /** Index changes that give blobs up, and the removal to perform once they are written. */
  discard(blobs: string[]): { changes: IndexChange[]; removal: Removal }
  /** The change that goes with the first reference to a new blob, and what to do once it is written. */
  arrive(blob: string): { changes: IndexChange[]; keep: Removal }
}

export type Removal = () => Promise<void>

/** @throws StoreError "incomplete-body" */
export function requireLength(size: number, length: number | undefined): void {
  if (length !== undefined && size !== length) {
    throw new StoreError('incomplete-body', `body of ${size} bytes, ${length} were announced`)
  }
}
