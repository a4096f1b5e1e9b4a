import type { Checksum, ObjectAttributes } from '../../../store/object-store.ts'

/** A sealed body inside an adopted pack. `pack` is null for a composite. */
export type RegisteredBody = {
  objectId: string
  pack: string | null
  offset: number
  length: number
  coreHeader: Buffer
  envelope: Buffer
}
export type RegisteredPart = RegisteredBody & {
  upload: string
  number: number
  size: number
  etag: string
  modifiedAt: number
}
export type RegisteredObject = RegisteredBody & {
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
  /** of the commit on its device: of two versions of a name from one device the higher one stays */
  sequence: number
  /** of a composite: the upload that its key is bound to */
  upload: string | null
  parts: RegisteredPart[]
}
export type Taken = { put: RegisteredObject } | { remove: { bucket: string; key: string; sequence: number } }
