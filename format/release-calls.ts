import type { ObjectId } from './bytes.ts'
import {
  args,
  bytes,
  type Calls,
  type Codec,
  count,
  flag,
  idOf,
  listOf,
  nothing,
  nullable,
  octets,
  oneOf,
  optional,
  record,
  text,
} from './codec.ts'
import { CORE_HEADER_BYTES } from './core-header.ts'
import { BLAKE3_256, DIGEST_BYTES, SHA_256 } from './digest.ts'
import { COMPOSITE, type CompositePart, ENVELOPE_LIMIT, MAX_PARTS, OBJECT, PART } from './envelope.ts'
import { EXPORT_BATCH, EXPORT_CODECS } from './export.ts'
import { KEY_RECORD_LIMIT } from './key-record.ts'
import { METADATA_LIMIT } from './metadata.ts'
import { FRESHNESS, RECEIPT_LEVELS, type Receipt } from './receipt.ts'
import {
  ACL_TEXT_LIMIT,
  type AclDropRequest,
  type AclGeneration,
  type AclInForce,
  type AclObjectRequest,
  type BeginUploadRequest,
  BINDING_LIMIT,
  type BindRequest,
  BUCKET_ACLS,
  type BucketBindRequest,
  type BucketFacts,
  type BucketInForce,
  type BucketOpenRequest,
  type BucketRequest,
  type ChunkProof,
  type ExportRequest,
  type JobAnswer,
  type KeyRelease,
  type LiveAclObject,
  MEMBERSHIPS_MAX,
  type ObjectPlace,
  PROVE_BATCH,
  type Principal,
  type ProveObject,
  type ProveOutcome,
  type Released,
  type ReleaseRequest,
  type Rewrapped,
  type RewrapRequest,
  type StationProof,
  type StoredObject,
  type Wrapped,
  type WrapRequest,
} from './release.ts'
import { PROOF_LIMIT, TICKET_LIMIT } from './request-proof.ts'

/** Every message of `KeyRelease` in both directions. @see FORMAT.md §13 */
const ACCOUNT_BYTES = 128
const CHUNKS_BATCH = 4096
/** an ACL's entries, the owner, and whoever else an answer names */
const NAMES_BATCH = 1000

type FlatPlace = { bucket: string; key: string; upload: string; number: number }
const flatPlace = record<FlatPlace>(
  { bucket: text(255), key: text(1024), upload: text(128), number: count(10_000) },
  { bucket: 'b', key: 'k', upload: 'u', number: 'n' },
)
const place: Codec<ObjectPlace> = {
  encode: ({ bucket, key, part }) =>
    flatPlace.encode({ bucket, key, upload: part?.upload ?? '', number: part?.number ?? 0 }),
  take(value, what) {
    const { bucket, key, upload, number } = flatPlace.take(value, what)
    return upload === '' ? { bucket, key } : { bucket, key, part: { upload, number } }
  },
}

const proof = octets({ max: PROOF_LIMIT })
const acl = text(ACL_TEXT_LIMIT)
const document = octets({ max: 64 << 10 })
const digestId = oneOf([BLAKE3_256, SHA_256])
/** none for a composite, else the whole of it; which one the authority checks */
const coreHeader = octets({ max: CORE_HEADER_BYTES })

const part = record<CompositePart>(
  {
    objectId: idOf<ObjectId>(),
    plaintextLength: count(),
    bodyLength: count(),
    digestId,
    digest: bytes(DIGEST_BYTES),
  },
  { objectId: 'o', plaintextLength: 'n', bodyLength: 'b', digestId: 'i', digest: 'd' },
)

const stored = record<StoredObject>(
  {
    envelope: octets({ max: ENVELOPE_LIMIT }),
    coreHeader,
    account: text(ACCOUNT_BYTES),
    job: nullable(idOf()),
    place,
    binding: octets({ max: BINDING_LIMIT }),
  },
  { envelope: 'e', coreHeader: 'c', account: 'a', job: 'j', place: 'p', binding: 'r' },
)

const station = record<StationProof>(
  { station: text(128), secret: octets(32), job: idOf(), device: idOf() },
  { station: 's', secret: 'x', job: 'j', device: 'd' },
)

const wrap = record<WrapRequest>(
  {
    proof: nullable(proof),
    creation: optional(proof),
    kind: oneOf([OBJECT, PART, COMPOSITE]),
    objectId: idOf(),
    coreHeader,
    place,
    plaintextLength: count(),
    bodyLength: count(),
    digestId,
    digest: octets(DIGEST_BYTES),
    parts: listOf(part, MAX_PARTS),
    metadata: octets({ max: METADATA_LIMIT }),
    objectKey: octets(32),
    named: nullable(stored),
  },
  { objectId: 'object', coreHeader: 'core', plaintextLength: 'plain', bodyLength: 'body', objectKey: 'key' },
)

const beginUpload = record<BeginUploadRequest>({ proof, place, upload: text(128), named: nullable(stored) })
const release = record<ReleaseRequest>({ proof: nullable(proof), object: stored, parts: listOf(stored, MAX_PARTS) })
const rewrap = record<RewrapRequest>({
  proof,
  object: stored,
  parts: listOf(record({ object: stored, metadata: octets({ max: METADATA_LIMIT }) }), MAX_PARTS),
  destination: place,
  metadata: octets({ max: METADATA_LIMIT }),
  named: nullable(stored),
})
const bind = record<BindRequest>({ proof, object: stored, document, named: nullable(stored) })
const aclObject = record<AclObjectRequest>({
  proof,
  object: stored,
  document,
  referrers: count(),
  replaces: nullable(idOf()),
})
const aclGeneration = record<AclGeneration>({ id: text(16), generation: count(), acl })
const liveAclObject = record<LiveAclObject>({ id: text(16), generation: count(), acl, objectId: idOf() })
const aclDrop = record<AclDropRequest>({ proof, place, objectId: idOf() })
const bucket = text(255)
const bucketRequest = record<BucketRequest>({ proof, bucket })
const bucketOpen = record<BucketOpenRequest>({ proof, bucket, named: nullable(stored) })
const bucketBind = record<BucketBindRequest>({
  proof,
  bucket,
  named: nullable(stored),
  of: oneOf(BUCKET_ACLS),
  document,
})
const facts = {
  owner: text(ACCOUNT_BYTES),
  account: text(ACCOUNT_BYTES),
  acl,
  defaultAcl: nullable(acl),
  revision: count(),
}
const bucketFacts = record<BucketFacts>(facts)
const bucketInForce = record<BucketInForce>({ ...facts, held: flag })
const aclInForce = record<AclInForce>({ acl: nullable(acl), revision: count(), metageneration: count(), held: flag })

const principal = record<Principal>({
  account: text(ACCOUNT_BYTES),
  user: text(ACCOUNT_BYTES),
  name: text(128),
  accessKey: text(128),
  groups: listOf(text(128), MEMBERSHIPS_MAX),
  domains: listOf(text(255), MEMBERSHIPS_MAX),
})
const released = record<Released>({ principal: nullable(principal), keys: listOf(bytes(32), MAX_PARTS) })
const chunk = record<ChunkProof>({
  kind: oneOf(['chunk', 'trailer']),
  previousSignature: text(64),
  digest: text(64),
  signature: text(64),
})

const job = record<JobAnswer>({
  order: bytes({ max: 256 << 10 }),
  devices: listOf(record({ device: idOf(), identitySpki: bytes({ max: 1024 }), grantHash: bytes(32) }), 10_000),
  orderSpki: bytes({ max: 1024 }),
  receiptSpki: bytes({ max: 1024 }),
  receiptCertificate: bytes({ max: 16 << 10 }),
  caCertificate: bytes({ max: 16 << 10 }),
})

const proveObject = record<ProveObject>({ envelope: octets({ max: ENVELOPE_LIMIT }), coreHeader, place })
const proveOutcome = record<ProveOutcome>({ outcome: oneOf(['proved', 'refused']), reason: text(1024) })

const receipt = record<Receipt>({
  job: idOf(),
  device: idOf(),
  account: text(ACCOUNT_BYTES),
  level: oneOf(RECEIPT_LEVELS),
  checkpoint: bytes(32),
  freshness: oneOf(FRESHNESS),
  issuedAt: count(),
  lines: count(),
  held: count(),
  root: bytes(32),
})

const exported = record<ExportRequest>({
  order: text(16),
  epoch: idOf(),
  objects: listOf(record({ object: stored, parts: listOf(stored, MAX_PARTS) }), EXPORT_BATCH),
})

const keyRecord = octets({ max: KEY_RECORD_LIMIT })
const envelope = bytes({ max: ENVELOPE_LIMIT })
const binding = bytes({ max: BINDING_LIMIT })

/** The structures that FORMAT.md §13 lays out. */
export const RELEASE_CODECS = { place, stored, part, station, wrap } as const

export const RELEASE_CALLS: Calls<KeyRelease> = {
  authenticate: { ask: args(proof), answer: principal },
  hold: { ask: args(proof), answer: nothing },
  verifyChunks: { ask: args(proof, listOf(chunk, CHUNKS_BATCH)), answer: nothing },
  wrap: { ask: args(wrap), answer: record<Wrapped>({ envelope, binding, account: text(ACCOUNT_BYTES) }) },
  beginUpload: { ask: args(beginUpload), answer: bytes({ max: TICKET_LIMIT }) },
  release: { ask: args(release), answer: released },
  rewrap: {
    ask: args(rewrap),
    answer: record<Rewrapped>({
      envelopes: listOf(envelope, MAX_PARTS + 1),
      binding,
      partBinding: binding,
      revision: count(),
    }),
  },
  bind: { ask: args(bind), answer: aclInForce },
  putAclObject: { ask: args(aclObject), answer: aclGeneration },
  aclObjectAt: { ask: args(place), answer: nullable(liveAclObject) },
  dropAclObject: { ask: args(aclDrop), answer: nothing },
  openBucket: { ask: args(bucketOpen), answer: bucketFacts },
  bindBucket: { ask: args(bucketBind), answer: bucketInForce },
  closeBucket: { ask: args(bucketRequest), answer: nothing },
  orderExport: { ask: args(bucketRequest), answer: EXPORT_CODECS.exportOrder },
  withdrawExport: { ask: args(bucketRequest), answer: nothing },
  exportOrders: { ask: args(bucketRequest), answer: EXPORT_CODECS.exportOrders },
  names: { ask: args(listOf(text(128), NAMES_BATCH)), answer: listOf(nullable(text(128)), NAMES_BATCH) },
  job: { ask: args(station), answer: job },
  metadataKey: { ask: args(station, keyRecord), answer: bytes(32) },
  reseal: { ask: args(station, keyRecord), answer: nothing },
  prove: { ask: args(station, listOf(proveObject, PROVE_BATCH)), answer: listOf(proveOutcome, PROVE_BATCH) },
  signReceipt: { ask: args(station, receipt), answer: bytes({ max: 64 << 10 }) },
  exportJob: { ask: args(station), answer: EXPORT_CODECS.exportJob },
  exportKey: { ask: args(station), answer: EXPORT_CODECS.exportKey },
  exportObjects: { ask: args(station, exported), answer: EXPORT_CODECS.outcomes },
}
