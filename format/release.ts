import { type DeviceId, idBytes, type JobId, type ObjectId } from './bytes.ts'
import { type CborValue, decodeCbor, encodeCbor, Fields } from './cbor.ts'
import { CORE_HEADER_BYTES } from './core-header.ts'
import { DIGEST_BYTES, type DigestId, parseDigestId } from './digest.ts'
import { COMPOSITE, type CompositePart, ENVELOPE_LIMIT, MAX_PARTS, OBJECT, PART } from './envelope.ts'
import { FormatError } from './fault.ts'
import { METADATA_LIMIT } from './metadata.ts'

/**
 * `KeyRelease`: what the public store and intake may ask of the authority, and what it answers. Whoever asks hands over the caller's own
 * proof; the authority judges it itself and believes nothing that the asking process says about the caller.
 * On the socket: BE32 length ‖ deterministic CBOR, pipelined; answers carry the request's number. @see FORMAT.md §13
 */
export interface KeyRelease {
  /** Who signed this request. Faults `no-credential`, `bad-proof`, `disabled`. */
  authenticate(proof: Uint8Array): Promise<Principal>
  /** Chunk signatures of an aws-chunked body, in order; all or a fault. */
  verifyChunks(proof: Uint8Array, chunks: ChunkProof[]): Promise<void>
  /** Wraps the key of an object that was PUT directly, owned by the proof's account. @returns envelope */
  wrap(request: WrapRequest): Promise<Buffer>
  /** The object key, or, for a composite, the keys of the parts asked for in their order. Fault `denied` for every refusal. */
  release(request: ReleaseRequest): Promise<Buffer[]>
  /** A new envelope for the same body under another name, for the proof's account (server-side copy). @returns envelope */
  rewrap(request: RewrapRequest): Promise<Buffer>
  /** Replaces the release binding of objects by a canned ACL (revision above 0). */
  bind(request: BindRequest): Promise<void>
  /** Intake: the order and the devices of a job that is being taken in. */
  job(station: StationProof): Promise<JobAnswer>
  /** Intake: the key that opens names, sizes and digests of one epoch. */
  metadataKey(station: StationProof, keyRecord: Uint8Array): Promise<Buffer>
  /** Intake: takes the epoch over under the account's master key. Doing it again changes nothing. */
  reseal(station: StationProof, keyRecord: Uint8Array): Promise<void>
  /** Intake: whether each object's key opens in its context and fits its header. */
  prove(station: StationProof, objects: ProveObject[]): Promise<ProveOutcome[]>
  /** Intake: signs the receipt over these lines. */
  signReceipt(station: StationProof, receipt: Uint8Array): Promise<Buffer>
}

export type Principal = { account: string; name: string; accessKey: string }

export type ChunkProof = { kind: 'chunk' | 'trailer'; previousSignature: string; digest: string; signature: string }

/** `part` is set for parts of a multipart upload. */
export type ObjectPlace = { bucket: string; key: string; part?: { upload: string; number: number } }

export type CannedAcl = 'private' | 'public-read'
export const CANNED_ACLS = ['private', 'public-read'] as const

export type WrapRequest = {
  proof: Uint8Array
  acl: CannedAcl
  kind: typeof OBJECT | typeof PART | typeof COMPOSITE
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
export type RewrapRequest = {
  proof: Uint8Array
  object: StoredObject
  destination: ObjectPlace
  acl: CannedAcl
  metadata: Uint8Array
}
export type BindRequest = { proof: Uint8Array; object: StoredObject; acl: CannedAcl }

/** Intake's station: its own secret, known to the authority by digest, and the job that it works on. */
export type StationProof = { station: string; secret: Uint8Array; job: JobId; device: DeviceId }
export type JobAnswer = {
  order: Uint8Array
  devices: { device: DeviceId; identitySpki: Buffer; grantHash: Buffer }[]
  receiptSpki: Buffer
}

export type ProveObject = {
  envelope: Uint8Array
  coreHeader: Uint8Array
  bucket: string
  key: string
  part?: { upload: string; number: number }
}
export type ProveOutcome = { outcome: 'proved' | 'refused'; reason: string }
export const PROVE_BATCH = 1000

/** Why the authority says no. Outside, every one of `denied` kind is the same 403; the audit names the cause. */
export const RELEASE_FAULTS = [
  'no-credential', // no such access key
  'bad-proof', // signature, time or form of the proof
  'disabled', // account, credential or job is switched off
  'denied', // the binding does not give this caller the key, or the bytes do not open: told apart in the audit only
  'not-found', // no such job, epoch or device
  'held', // the order does not cover it
  'malformed', // the request itself
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

/** Canonical form of an upload's binding: owner and canned ACL. In the AAD at revision 0. */
export function encodeBinding(owner: string, acl: CannedAcl): Buffer {
  return encodeCbor({ owner, acl })
}

export function parseBinding(bytes: Uint8Array): { owner: string; acl: CannedAcl } {
  const fields = new Fields(decodeCbor(bytes, 1024, 'binding'), 'binding')
  const out = { owner: fields.text('owner', 128), acl: fields.oneOf('acl', CANNED_ACLS) }
  fields.end()
  return out
}

export const MESSAGE_BYTES_LIMIT = 32 << 20
const PROOF_LIMIT = 64 << 10

type Codec<T> = { encode: (value: T) => CborValue; take: (value: CborValue, what: string) => T }

const place: Codec<ObjectPlace> = {
  encode: value => ({ b: value.bucket, k: value.key, u: value.part?.upload ?? '', n: value.part?.number ?? 0 }),
  take: (value, what) => {
    const fields = new Fields(value, what)
    const out: ObjectPlace = { bucket: fields.text('b', 255), key: fields.text('k', 1024) }
    const upload = fields.text('u', 128)
    const number = fields.count('n', 10_000)
    if (upload !== '') out.part = { upload, number }
    fields.end()
    return out
  },
}

const stored: Codec<StoredObject> = {
  encode: value => ({
    e: value.envelope,
    c: value.coreHeader,
    a: value.account,
    j: value.job === null ? null : idBytes(value.job),
    p: place.encode(value.place),
    r: value.binding,
  }),
  take: (value, what) => {
    const fields = new Fields(value, what)
    const job = fields.take('j')
    const out: StoredObject = {
      envelope: fields.bytes('e', { max: ENVELOPE_LIMIT }),
      coreHeader: fields.bytes('c', { max: CORE_HEADER_BYTES }),
      account: fields.text('a', 128),
      job: job === null ? null : new Fields({ j: job }, what).id<JobId>('j'),
      place: place.take(fields.take('p'), what),
      binding: fields.bytes('r', { max: 1024 }),
    }
    fields.end()
    return out
  },
}

const part: Codec<CompositePart> = {
  encode: value => ({
    o: idBytes(value.objectId),
    n: value.plaintextLength,
    b: value.bodyLength,
    i: value.digestId,
    d: value.digest,
  }),
  take: (value, what) => {
    const fields = new Fields(value, what)
    const out: CompositePart = {
      objectId: fields.id('o'),
      plaintextLength: fields.count('n'),
      bodyLength: fields.count('b'),
      digestId: parseDigestId(fields.count('i', 255)),
      digest: fields.bytes('d', DIGEST_BYTES),
    }
    fields.end()
    return out
  },
}

const station: Codec<StationProof> = {
  encode: value => ({ s: value.station, x: value.secret, j: idBytes(value.job), d: idBytes(value.device) }),
  take: (value, what) => {
    const fields = new Fields(value, what)
    const out: StationProof = {
      station: fields.text('s', 128),
      secret: fields.bytes('x', 32),
      job: fields.id('j'),
      device: fields.id('d'),
    }
    fields.end()
    return out
  },
}

export const RELEASE_CODECS = { place, stored, part, station } as const

const kindOf = (found: number): WrapRequest['kind'] => {
  if (found !== OBJECT && found !== PART && found !== COMPOSITE)
    throw new FormatError('unsupported', `wrap: kind ${found}`)
  return found
}

export const wrapCodec: Codec<WrapRequest> = {
  encode: value => ({
    proof: value.proof,
    acl: value.acl,
    kind: value.kind,
    object: idBytes(value.objectId),
    core: value.coreHeader,
    place: place.encode(value.place),
    plain: value.plaintextLength,
    body: value.bodyLength,
    digestId: value.digestId,
    digest: value.digest,
    parts: value.parts.map(part.encode),
    metadata: value.metadata,
    key: value.objectKey,
  }),
  take: (value, what) => {
    const fields = new Fields(value, what)
    const out: WrapRequest = {
      proof: fields.bytes('proof', { max: PROOF_LIMIT }),
      acl: fields.oneOf('acl', CANNED_ACLS),
      kind: kindOf(fields.count('kind', 255)),
      objectId: fields.id('object'),
      coreHeader: fields.bytes('core', { max: CORE_HEADER_BYTES }),
      place: place.take(fields.take('place'), what),
      plaintextLength: fields.count('plain'),
      bodyLength: fields.count('body'),
      digestId: parseDigestId(fields.count('digestId', 255)),
      digest: fields.bytes('digest', DIGEST_BYTES),
      parts: fields.list('parts', MAX_PARTS, part.take),
      metadata: fields.bytes('metadata', { max: METADATA_LIMIT }),
      objectKey: fields.bytes('key', 32),
    }
    fields.end()
    return out
  },
}
