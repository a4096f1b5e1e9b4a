import type { Preconditions } from '../access/precondition.ts'

/**
 * What an object store is, whatever keeps the bytes: packs on a drive, files, memory, a database, someone else's S3.
 * Policy (sealing, guarding, metering) wraps one store in another; engines know nothing of callers, tokens or the wire.
 *
 * Keys are UTF-8 strings of 1..1024 bytes, compared and listed by their UTF-8 bytes. `null` = not there; a throw = `StoreError`.
 */
export interface ObjectStore {
  listBuckets(): Promise<BucketRecord[]>
  headBucket(bucket: string): Promise<BucketRecord | null>
  /** Faults `bucket-exists`, `bucket-taken`, `forbidden`. */
  createBucket(bucket: string): Promise<BucketRecord>
  /** Faults `no-bucket`, `bucket-not-empty`, `forbidden`. */
  deleteBucket(bucket: string): Promise<void>

  /**
   * Stores the stream under the key, replacing an earlier object in one step.
   * Resolves only when the object is on stable storage and visible. If `body` or `options.finish` throws, nothing becomes visible
   * and that error is rethrown as it is.
   */
  put(bucket: string, key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<ObjectRecord>
  /** `head`, `get`, `put`, `delete`: fault `no-bucket`. */
  head(bucket: string, key: string): Promise<ObjectRecord | null>
  /** Without `wanted` the whole object. */
  get(bucket: string, key: string, wanted?: Wanted | WantedOf): Promise<ObjectRead | null>
  /** @returns whether there was one; durable when it resolves */
  delete(bucket: string, key: string, options?: DeleteOptions): Promise<boolean>
  /** One page in ascending key order; `limit` 1..1000 counts objects and prefixes together. Fault `no-bucket`. */
  list(bucket: string, query: ListQuery): Promise<ListPage>
  close(): Promise<void>
}

/** Multipart uploads: a further ability. */
export interface MultipartStore extends ObjectStore {
  /** `checksum`: what the object is to have at the end; kept and given back with the record. Fault `no-bucket`. */
  createUpload(
    bucket: string,
    key: string,
    attributes: ObjectAttributes,
    checksum?: UploadChecksum,
  ): Promise<UploadRecord>
  /** Fault `no-upload`. Uploading the same number again replaces the part. */
  putPart(
    upload: UploadId,
    partNumber: number,
    body: AsyncIterable<Uint8Array>,
    options: PutPartOptions,
  ): Promise<PartRecord>
  /** Part numbers must ascend; each but the last holds 5 MiB. Faults `no-upload`, `invalid-part`, `part-too-small`. */
  completeUpload(upload: UploadId, parts: CompletedPart[], options: CompleteOptions): Promise<ObjectRecord>
  /**
   * What the upload became, as long as it lies under its key: whoever lost the answer completes again.
   * @returns null - nobody knows of it
   */
  completed(bucket: string, key: string, upload: UploadId): Promise<ObjectRecord | null>
  /** Fault `no-upload`. */
  abortUpload(upload: UploadId): Promise<void>
  listParts(
    upload: UploadId,
    after: number,
    limit: number,
  ): Promise<{ upload: UploadRecord; parts: PartRecord[]; more: boolean }>
  listUploads(
    bucket: string,
    query: UploadQuery,
  ): Promise<{ uploads: UploadRecord[]; prefixes: string[]; more: boolean }>
}

export function hasMultipart(store: ObjectStore): store is MultipartStore {
  return 'createUpload' in store
}

export type BucketRecord = { name: string; createdAt: Date }

/** What the uploader says of an object and gets back on read. */
export type ObjectAttributes = {
  contentType?: string
  /** Cache-Control, Content-Disposition, Content-Encoding, Content-Language, Expires: lower-case name to value */
  headers: Record<string, string>
  /** x-amz-meta-*: name without the prefix, lower case, to value */
  metadata: Record<string, string>
  /** target of the symbolic link that this (empty) object stands for; only `sealift copy` makes such */
  link?: string
}

export type ChecksumName = 'CRC32' | 'CRC32C' | 'CRC64NVME' | 'SHA1' | 'SHA256'
/** base64, as on the wire; `type` says whether it covers the object or is the checksum of the parts' checksums */
export type Checksum = { name: ChecksumName; value: string; type: 'FULL_OBJECT' | 'COMPOSITE' }

/** What is only known when the last byte has passed. */
export type Finished = { etag: string; checksum?: Checksum }

export type PutOptions = {
  attributes: ObjectAttributes
  /** bytes to come, when the caller knows; a body of another length is fault `incomplete-body` */
  length?: number
  /**
   * Called once after the last byte and before the commit; throwing refuses the upload.
   */
  finish: () => Finished
  /** decided at the commit, not before: faults `precondition-failed` */
  condition?: PutCondition
  /** decided at the commit too, by stores that `hasGenerations` */
  generations?: Preconditions
}
/** Of stores that `hasGenerations`. Faults `precondition-failed`, `no-version`. */
export type DeleteOptions = { generations?: Preconditions; version?: number }
export type PutPartOptions = Pick<PutOptions, 'length' | 'finish'>
export type CompleteOptions = { finish: (parts: PartRecord[]) => Finished } & Pick<
  PutOptions,
  'condition' | 'generations'
>
/** `if-none-match: *` or `if-match: <etag>` */
export type PutCondition = { absent: true } | { etag: string }

export type ObjectRecord = {
  bucket: string
  key: string
  /** plaintext bytes */
  size: number
  /** without quotes */
  etag: string
  checksum?: Checksum
  modifiedAt: Date
  attributes: ObjectAttributes
  /** number of parts of a multipart object */
  parts?: number
  /** Of stores that `hasGenerations`: grows with each object that is put under the key, and is never used again. */
  generation?: number
  /** 1 at first, 1 more at each change of what is said of the object, its ACL among it */
  metageneration?: number
  /** Of stores that `hasOwners`: id of the user whose it is, null where nobody is known. */
  owner?: string | null
  /** Of stores that `hasNamedKeys`: id of the key, null for the owner's own. */
  sealedUnder?: string | null
}

/** Both ends inclusive, 0 ≤ first ≤ last < size. */
export type ByteRange = { first: number; last: number }
/** Of `nothing` the body is empty. A range is clipped to the object. */
export type Wanted = ByteRange | 'all' | 'nothing'
/**
 * Chooses by the record, in the one look that reads it. Pure, and heard before the store has decided whether this caller may know: what
 * it finds wrong is said after the store has answered.
 */
export type WantedOf = (record: ObjectRecord) => Wanted

export function wantedOf(wanted: Wanted | WantedOf | undefined, record: ObjectRecord): Wanted {
  return typeof wanted === 'function' ? wanted(record) : (wanted ?? 'all')
}

/**
 * No byte of `body` is yielded before it was checked. It is read once, and it stays the object that `record` describes, whatever
 * happens to the key meanwhile. Leaving the iteration early frees what it holds; a body not wanted at all is left by `leaveBody`.
 */
export type ObjectRead = { record: ObjectRecord; body: AsyncIterable<Uint8Array> }

/** A body that lies in memory whole, made for its reader, as small ones do: who can take it so need not iterate. */
export class HeldBody implements AsyncIterable<Uint8Array> {
  readonly bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    if (this.bytes.length > 0) yield this.bytes
  }
}

/** Frees a body that is not going to be read (to its end). */
export async function leaveBody(body: AsyncIterable<Uint8Array>): Promise<void> {
  await body[Symbol.asyncIterator]().return?.()
}

export type ListQuery = { prefix: string; delimiter?: string; after?: string; limit: number }
/**
 * `last` is the key or common prefix to go on after; a common prefix as `after` skips everything under it.
 */
export type ListPage = { objects: ObjectRecord[]; prefixes: string[]; more: boolean; last?: string }

export type UploadId = string & { readonly brand: 'UploadId' }
export type UploadRecord = {
  id: UploadId
  bucket: string
  key: string
  startedAt: Date
  attributes: ObjectAttributes
  /** Of stores that `hasOwners`: id of the user who began it. */
  owner?: string
  checksum?: UploadChecksum
}
export type UploadChecksum = Pick<Checksum, 'name' | 'type'>
/**
 * Ascending by key, then by id, which grows with the time of the start. Without `afterUpload` all uploads of `afterKey` (or all
 * keys under it, when it is a common prefix) are skipped.
 */
export type UploadQuery = { prefix: string; delimiter?: string; afterKey?: string; afterUpload?: string; limit: number }
export type PartRecord = { partNumber: number; size: number; etag: string; checksum?: Checksum; modifiedAt: Date }
export type CompletedPart = { partNumber: number; etag: string }

export type StoreFault =
  | 'no-bucket'
  | 'bucket-exists'
  | 'bucket-taken' // by another than who asks
  | 'bucket-not-empty'
  | 'no-version'
  | 'no-upload'
  | 'upload-expired'
  | 'invalid-part'
  | 'part-too-small'
  | 'incomplete-body'
  | 'precondition-failed'
  | 'invalid-state' // there, but its content cannot be read here (closed epoch of a write-only job)
  | 'forbidden' // this store's rules say no
  | 'read-only' // sealed or locked: no write is accepted
  | 'in-use' // others depend on it
  | 'over-quota' // more than this caller, bucket or account may have
  | 'full' // no room; nothing was acknowledged
  | 'busy' // try again
  | 'away' // where bytes lie does not answer: try again
  | 'source-changed' // a file that was to be sealed is not what it was when it was looked at
  | 'source-unreadable' // a file that was to be sealed cannot be read; the message is the system's code
  | 'damaged' // the medium does not give back what was written

/** The one error class of `store/`. The S3 face maps `fault` to a code in one table. */
export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly fault: StoreFault

  constructor(fault: StoreFault, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.fault = fault
  }
}
