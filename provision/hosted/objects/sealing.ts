import { randomBytes } from 'node:crypto'
import { askOfEncryption } from '../../../access/encryption.ts'
import { BodySealer, type BodySummary } from '../../../format/body.ts'
import { newId, type ObjectId } from '../../../format/bytes.ts'
import { BLAKE3_256, startDigest } from '../../../format/digest.ts'
import type { EnvelopeKind } from '../../../format/envelope.ts'
import { encodeMetadata, type ObjectMetadata } from '../../../format/metadata.ts'
import type { KeyRelease, ObjectPlace, StoredObject, Wrapped } from '../../../format/release.ts'
import { decodeProof } from '../../../format/request-proof.ts'
import { doneWith, OwnBody } from '../../../store/own-body.ts'
import { asked } from '../release-fault.ts'
import type { Shelf } from '../shelf.ts'
import type { NewBlob } from '../stores/inline.ts'
import { placementOf } from '../stores/placement.ts'

/** A sealed body that has no name yet: on stable storage, or to come there with the transaction that names it. */
export type Sealed = {
  blob: NewBlob
  summary: BodySummary
  coreHeader: Buffer
  /** of the cleartext */
  digest: NonNullable<ObjectMetadata['digest']>
  objectKey: Buffer
}

/** What takes longer than this is held: some signatures live for minutes, and none is asked for in its last seconds. */
const HOLD_AFTER_MS = 20_000

/**
 * Seals a stream under a key of its own and writes it as one blob where the bucket's go. Nothing is left when the stream throws.
 * The caller wipes `objectKey` when it is wrapped.
 *
 * @param hold - called once when the body takes long to come: what allows it must not grow too old meanwhile
 */
export async function sealToBlob(
  shelf: Shelf,
  bucket: string,
  body: AsyncIterable<Uint8Array>,
  hold: () => Promise<void>,
): Promise<Sealed> {
  const where = await placementOf(shelf.database, bucket)
  const began = shelf.clock().getTime()
  let held = false
  const objectKey = randomBytes(32)
  const sealer = new BodySealer(newId<ObjectId>(), objectKey)
  const source = startDigest(BLAKE3_256)
  const done: { summary?: BodySummary } = {}
  async function* sealed(): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      if (!held && shelf.clock().getTime() - began > HOLD_AFTER_MS) {
        held = true
        // refused, it is refused at the end too, with the reason
        await hold().catch(() => undefined)
      }
      source.update(chunk)
      yield* sealer.push(chunk)
      doneWith(body, chunk)
    }
    const end = sealer.finish()
    done.summary = end.summary
    yield* end.sealed
  }
  try {
    const blob = await shelf.blobs.write(new OwnBody(sealed()), where)
    if (done.summary === undefined) throw new RangeError('a blob was written without its end')
    return {
      blob,
      summary: done.summary,
      coreHeader: sealer.coreHeader,
      digest: { id: BLAKE3_256, bytes: source.digest() },
      objectKey,
    }
  } catch (error) {
    sealer.abort()
    objectKey.fill(0)
    throw error
  }
}

/** Nobody's writes have nothing that grows old. */
export function holding(release: KeyRelease, proof: Uint8Array | null): () => Promise<void> {
  return async () => {
    if (proof !== null) await release.hold(proof)
  }
}

/** Has the authority wrap the key; it judges the proof for that itself, and reads the ACL from it. */
export async function wrapSealed(
  release: KeyRelease,
  proof: Uint8Array | null,
  sealed: Sealed,
  what: {
    kind: EnvelopeKind
    place: ObjectPlace
    metadata: ObjectMetadata
    named: StoredObject | null
    /** of a part, whose upload names a key */
    creation?: Uint8Array | null
  },
): Promise<Wrapped> {
  const { summary, coreHeader, objectKey } = sealed
  try {
    return await asked(
      release.wrap({
        proof,
        creation: what.creation ?? null,
        kind: what.kind,
        objectId: summary.objectId,
        coreHeader,
        place: what.place,
        plaintextLength: summary.plaintextLength,
        bodyLength: summary.bodyLength,
        digestId: summary.digestId,
        digest: summary.digest,
        parts: [],
        metadata: encodeMetadata(what.metadata),
        objectKey,
        named: what.named,
      }),
    )
  } finally {
    objectKey.fill(0)
  }
}

/** The proof of the request that began an upload, where its parts are sealed by what it asked for: under a key that it names. */
export function creationOfPart(creation: Uint8Array): Uint8Array | null {
  // most name none, and need not be read for this
  if (!Buffer.from(creation.buffer, creation.byteOffset, creation.byteLength).includes('-encryption')) return null
  return askOfEncryption(decodeProof(creation)).kind === 'named' ? creation : null
}
