import type { DeviceId, EpochId, JobId, ObjectId } from './bytes.ts'
import { decodeCbor, encodeCbor, Fields } from './cbor.ts'
import type { DigestId } from './digest.ts'
import type { CompositePart, EnvelopeKind } from './envelope.ts'
import type { ExportJobAnswer, ExportKey, ExportOrder, ExportOutcome } from './export.ts'
import type { Receipt } from './receipt.ts'

/**
 * `KeyRelease`: what the public store and intake may ask of the authority, and what it answers. Whoever asks hands over the caller's own
 * proof; the authority judges it itself and believes nothing that the asking process says about the caller.
 * A `proof` is a `RequestProof` in bytes. On the socket: `message-frame.ts`, pipelined. @see FORMAT.md §13
 */
export interface KeyRelease {
  /** Who signed this request. Faults `no-credential`, `bad-proof`, `bad-token`, `expired`, `skewed`, `disabled`. */
  authenticate(proof: Uint8Array): Promise<Principal>
  /**
   * A write whose body takes long to come was begun in time: for a day its age is forgiven to `wrap`, as long as this authority runs. Faults
   * of `authenticate`.
   */
  hold(proof: Uint8Array): Promise<void>
  /** Chunk signatures of an aws-chunked body, in order; all or a fault. */
  verifyChunks(proof: Uint8Array, chunks: ChunkProof[]): Promise<void>
  /**
   * Wraps the key of an object that was PUT directly, owned by the proof's user. Its ACL is what the signed request asks for, or the
   * bucket's default. Faults also those of an ACL that cannot be had. Without a proof: nobody's object, in a bucket that everybody may
   * write to, under the key of the bucket's account.
   */
  wrap(request: WrapRequest): Promise<Wrapped>
  /**
   * Who signed the request, and the object key, or, for a composite, the keys of the parts asked for in their order. Faults of
   * `authenticate`; `denied` for every other refusal.
   */
  release(request: ReleaseRequest): Promise<Released>
  /**
   * A ticket for an upload that is sent over days: what the caller may now, the ticket says then, as long as his user, his key and his
   * right to the bucket stay. The ACL that the request asks for must be one that can be had. Goes as proof with each `wrap` of the upload.
   */
  beginUpload(request: BeginUploadRequest): Promise<Buffer>
  /** New envelopes for the same bodies under another name, for the proof's user (server-side copy). ACL as of `wrap`. */
  rewrap(request: RewrapRequest): Promise<Rewrapped>
  /** Replaces the ACL of an object's release binding (revision above 0), if the metageneration is as the signed request wants it: in force from the answer on. */
  bind(request: BindRequest): Promise<AclInForce>
  /** A new generation of an object that is the ACL of others: in force for all of them from the answer on. Fault `replaced`. */
  putAclObject(request: AclObjectRequest): Promise<AclGeneration>
  /** The object is not an ACL any more: what refers to it is its owner's alone. Doing it again changes nothing. */
  dropAclObject(request: AclDropRequest): Promise<void>
  /** The ACL object of that name and what its live generation says; null: there is none. */
  aclObjectAt(place: ObjectPlace): Promise<LiveAclObject | null>
  /** Makes a bucket the proof's user's, with the ACL that the signed request asks for. Fault `exists`: it is there, and whose it is. */
  openBucket(request: BucketOpenRequest): Promise<BucketFacts>
  /** Replaces a bucket's ACL, or the one that new objects get there. @returns what is in force now */
  bindBucket(request: BucketBindRequest): Promise<BucketInForce>
  /** The bucket is gone from the store: its name is free again. Doing it again changes nothing. */
  closeBucket(request: BucketRequest): Promise<void>
  /** Orders an export from a bucket, as the headers say that a request signed in its head. The same again changes nothing. */
  orderExport(request: BucketRequest): Promise<ExportOrder>
  /** Takes the proof's user's order back, whichever of his keys signed it. Doing it again changes nothing. */
  withdrawExport(request: BucketRequest): Promise<void>
  /** What the proof's user has ordered from the bucket and not withdrawn. */
  exportOrders(request: BucketRequest): Promise<ExportOrder[]>
  /** Names to show for ids of users and groups; null: nobody's. */
  names(ids: string[]): Promise<(string | null)[]>
  /** Intake: the order and the devices of a job that is being taken in. */
  job(station: StationProof): Promise<JobAnswer>
  /** Intake: the key that opens names, sizes and digests of one epoch. */
  metadataKey(station: StationProof, keyRecord: Uint8Array): Promise<Buffer>
  /** Intake: takes the epoch over under the account's master key. Doing it again changes nothing. */
  reseal(station: StationProof, keyRecord: Uint8Array): Promise<void>
  /** Intake: whether each object's key opens in its context and fits its header. */
  prove(station: StationProof, objects: ProveObject[]): Promise<ProveOutcome[]>
  /** Intake: signs the receipt over these lines; job, device, account and time are the authority's own. */
  signReceipt(station: StationProof, receipt: Receipt): Promise<Buffer>
  /** Export: the job and its orders, while it is being exported; here and below. */
  exportJob(station: StationProof): Promise<ExportJobAnswer>
  /** Export: the epoch of now, its key sealed to the job's device and to nobody else. */
  exportKey(station: StationProof): Promise<ExportKey>
  /** Export: new envelopes under that epoch, each object judged by what the order's principal may at this moment. */
  exportObjects(station: StationProof, request: ExportRequest): Promise<ExportOutcome[]>
}

/** Who asks, and what he is a member of at this moment: groups through nested ones too, domains verified. */
export type Principal = {
  account: string
  user: string
  name: string
  accessKey: string
  groups: string[]
  domains: string[]
}
/** Of one user; further ones give nothing. */
export const MEMBERSHIPS_MAX = 1000

export type ChunkProof = { kind: 'chunk' | 'trailer'; previousSignature: string; digest: string; signature: string }

/** `part` is set for parts of a multipart upload. */
export type ObjectPlace = { bucket: string; key: string; part?: { upload: string; number: number } }

export type WrapRequest = {
  /** null: anonymous, of an object alone */
  proof: Uint8Array | null
  /**
   * Of a multipart upload's completion: the proof of the request that created it, from which the ACL and the key are taken. Its expiry is
   * forgiven, a disabled credential is not. Of a part where that request names a key: the part is under it too.
   */
  creation: Uint8Array | null
  kind: EnvelopeKind
  objectId: ObjectId
  /** 102 bytes; empty for a composite */
  coreHeader: Uint8Array
  place: ObjectPlace
  plaintextLength: number
  bodyLength: number
  digestId: DigestId
  digest: Uint8Array
  parts: CompositePart[]
  /** plaintext of the metadata that the envelope will carry sealed */
  metadata: Uint8Array
  objectKey: Uint8Array
  named: StoredObject | null
}

/** `upload`: its id, as the parts' places will name it */
export type BeginUploadRequest = { proof: Uint8Array; place: ObjectPlace; upload: string; named: StoredObject | null }

/** `account`: whose key it is under. `binding`: as it is in the envelope's associated data, and must come back with it. */
export type Wrapped = { envelope: Buffer; binding: Buffer; account: string }
/** Envelopes: that of the object, then those of the parts in their order, which share a binding. */
export type Rewrapped = {
  envelopes: Buffer[]
  binding: Buffer
  partBinding: Buffer
  /** of the ACL that is in force for the copy: 0 unless its place and body had one before */
  revision: number
}

/** One sealed object as the asking process stores it. `account` and `job` name what it is bound to, and are checked, not believed. */
export type StoredObject = {
  envelope: Uint8Array
  coreHeader: Uint8Array
  account: string
  job: JobId | null
  place: ObjectPlace
  /** canonical binding at revision 0; empty for what came by drive */
  binding: Uint8Array
}

/** `proof` null: anonymous. `parts`: those of a composite whose keys are wanted. */
export type ReleaseRequest = { proof: Uint8Array | null; object: StoredObject; parts: StoredObject[] }
/** `principal` null: anonymous. */
export type Released = { principal: Principal | null; keys: Buffer[] }
export type RewrapRequest = {
  proof: Uint8Array
  object: StoredObject
  /** of a composite, some or all; each keeps its upload and number */
  parts: { object: StoredObject; metadata: Uint8Array }[]
  destination: ObjectPlace
  metadata: Uint8Array
  named: StoredObject | null
}
/** `document`: the request's body, whose digest it must have signed; empty: its headers ask. `named`: the ACL object that they name, here and above */
export type BindRequest = {
  proof: Uint8Array
  object: StoredObject
  document: Uint8Array
  named: StoredObject | null
}
/**
 * `document`: the object's content, whose digest the request signed. `referrers`: how many objects and buckets refer to it, as the store
 * says, for the record. `replaces`: the ACL object that must lie there, no id for none; null: whichever
 */
export type AclObjectRequest = {
  proof: Uint8Array
  object: StoredObject
  document: Uint8Array
  referrers: number
  replaces: ObjectId | null
}
export type AclGeneration = { id: string; generation: number; acl: string }
export type LiveAclObject = AclGeneration & { objectId: ObjectId }
export type AclDropRequest = { proof: Uint8Array; place: ObjectPlace; objectId: ObjectId }
/**
 * The ACL's text as it is in force, null for that of the binding; `revision` grows with every change, `metageneration` is 1 for a new
 * object. `held` false: what the request wanted of the metageneration was not so, and nothing was changed.
 */
export type AclInForce = { acl: string | null; revision: number; metageneration: number; held: boolean }
export type BucketRequest = { proof: Uint8Array; bucket: string }
export type BucketOpenRequest = BucketRequest & { named: StoredObject | null }
export const BUCKET_ACLS = ['acl', 'default-object'] as const
export type BucketBindRequest = BucketOpenRequest & { of: (typeof BUCKET_ACLS)[number]; document: Uint8Array }
/** ACLs in their text form; `defaultAcl` null: none was set. `revision` grows with every change. */
export type BucketFacts = { owner: string; account: string; acl: string; defaultAcl: string | null; revision: number }

/** A bucket's revision is its metageneration. `held` as in `AclInForce`. */
export type BucketInForce = BucketFacts & { held: boolean }

/** Intake's station: its own secret, known to the authority by digest, and the job that it works on. */
export type StationProof = { station: string; secret: Uint8Array; job: JobId; device: DeviceId }
export type JobAnswer = {
  order: Buffer
  /** one line a grant, newest first: a device that was prepared again has several */
  devices: { device: DeviceId; identitySpki: Buffer; grantHash: Buffer }[]
  /** signs job orders and grants */
  orderSpki: Buffer
  receiptSpki: Buffer
  /** of the receipt key, from the provider's CA */
  receiptCertificate: Buffer
  caCertificate: Buffer
}

export type ProveObject = { envelope: Uint8Array; coreHeader: Uint8Array; place: ObjectPlace }
export type ProveOutcome = { outcome: 'proved' | 'refused'; reason: string }
export const PROVE_BATCH = 1000

/** `order`: id. `parts`: of a composite, some or all. */
export type ExportRequest = {
  order: string
  epoch: EpochId
  objects: { object: StoredObject; parts: StoredObject[] }[]
}

/** Why the authority says no. Outside, every one of `denied` kind is the same 403; the audit names the cause. */
export const RELEASE_FAULTS = [
  'no-credential', // no such access key
  'bad-proof', // signature or form of the proof
  'bad-token', // a token or ticket that proves nothing here; the message says why, where the signature is good
  'expired', // a presigned URL past its time; said of a good signature only
  'skewed', // signed more than 15 minutes from now; said of a good signature only
  'disabled', // account, credential or job is switched off
  'denied', // the binding does not give this caller the key, or the bytes do not open: told apart in the audit only
  'not-found', // no such job, epoch or device
  'held', // the order does not cover it
  'malformed', // the request itself
  'exists', // the bucket's name is taken
  'replaced', // another ACL object lies there than the request wants to replace
  'unsigned-acl', // a change of an ACL that nobody signed, by a caller of whom that is not taken
  // an ACL that cannot be had as it was asked for; the message says why, to whoever asked
  'malformed-acl',
  'acl-sources',
  'unknown-grantee',
  'unknown-email',
  'ambiguous-email',
  'other-owner',
  'invalid-acl-object',
  'malformed-policy', // a form's policy that is none
  'policy', // a form that its policy does not allow; the message says why, to whoever sent it
  'malformed-form',
  'unavailable', // the token is away: try again
] as const
export type ReleaseFault = (typeof RELEASE_FAULTS)[number]

export class ReleaseError extends Error {
  override readonly name = 'ReleaseError'
  readonly fault: ReleaseFault

  constructor(fault: ReleaseFault, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.fault = fault
  }
}

/** Bytes of an ACL's text. @see access/acl/text.ts */
export const ACL_TEXT_LIMIT = 48 << 10
/** Bytes of an encryption context. @see access/encryption.ts */
export const ENCRYPTION_CONTEXT_LIMIT = 4096
export const BINDING_LIMIT = ACL_TEXT_LIMIT + ENCRYPTION_CONTEXT_LIMIT + 512

/** The named key that an object is under, and the context that it was asked for with; empty: none. */
export type BoundEncryption = { key: string; context: string }

export type Binding = { owner: string; acl: string; encryption: BoundEncryption | null }

/**
 * Canonical form of an upload's binding: owner, ACL, and a named key. In the AAD at revision 0. `owner` null: nobody known, written as
 * empty. Without a named key nothing is written of one.
 */
export function encodeBinding(owner: string | null, acl: string, encryption: BoundEncryption | null = null): Buffer {
  return encodeCbor({
    owner: owner ?? '',
    acl,
    ...(encryption && { enc: { k: encryption.key, c: encryption.context } }),
  })
}

/** The ACL's text is not looked into here. */
export function parseBinding(bytes: Uint8Array): Binding {
  const fields = new Fields(decodeCbor(bytes, BINDING_LIMIT, 'binding'), 'binding')
  const out = { owner: fields.text('owner', 128), acl: fields.text('acl', ACL_TEXT_LIMIT) }
  const encryption = fields.has('enc') ? encryptionIn(fields) : null
  fields.end()
  return { ...out, encryption }
}

function encryptionIn(fields: Fields): BoundEncryption {
  const inner = new Fields(fields.take('enc'), 'binding: enc')
  const out = { key: inner.text('k', 128), context: inner.text('c', ENCRYPTION_CONTEXT_LIMIT) }
  inner.end()
  return out
}
