import type { Checksum, ObjectAttributes } from '../../store/object-store.ts'

/** Where an intake puts what it has verified: the public store, joined in a main. */
export interface Target {
  /** Makes the account's bucket where it is missing. 'foreign': another account has one of that name. */
  openBucket(bucket: string, account: string): Promise<'ready' | 'foreign'>
  /** Copies a pack in, durable; the same name again gives what is there. It stays till `settle`. */
  adopt(pack: string, path: string): Promise<{ size: number }>
  /** The file that the copy is: what is verified is what will be served. null: not adopted, or settled. */
  pathOf(pack: string): Promise<string | null>
  /** Makes a batch visible, in one step and once: positions of a source ascend, a lower or equal one changes nothing. */
  register(source: string, position: number, origin: string, batch: Taken[]): Promise<void>
  settle(packs: string[]): Promise<void>
}

export type TakenBody = {
  objectId: string
  /** null: a composite */
  pack: string | null
  offset: number
  length: number
  coreHeader: Buffer
  envelope: Buffer
}
export type TakenPart = TakenBody & { upload: string; number: number; size: number; etag: string; modifiedAt: number }
export type TakenObject = TakenBody & {
  bucket: string
  key: string
  size: number
  etag: string
  modifiedAt: number
  attributes: ObjectAttributes
  checksum: Checksum | null
  account: string
  job: string
  /** in its text form */
  acl: string
  sequence: number
  upload: string | null
  parts: TakenPart[]
}
export type Taken = { put: TakenObject } | { remove: { bucket: string; key: string; sequence: number } }
