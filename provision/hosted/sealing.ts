import { randomBytes } from 'node:crypto'
import { BodySealer, type BodySummary } from '../../format/body.ts'
import { newId, type ObjectId } from '../../format/bytes.ts'
import { BLAKE3_256, startDigest } from '../../format/digest.ts'
import type { EnvelopeKind } from '../../format/envelope.ts'
import { encodeMetadata, type ObjectMetadata } from '../../format/metadata.ts'
import type { KeyRelease, ObjectPlace, StoredObject, Wrapped } from '../../format/release.ts'
import { doneWith, OwnBody } from '../../store/own-body.ts'
import { asked } from './release-fault.ts'
import type { Shelf } from './shelf.ts'
import type { NewBlob } from './stores/inline.ts'
import { placementOf } from './stores/placement.ts'

/** A sealed body that has no name yet: on stable storage, or to come there with the transaction that names it. */
export type Sealed = {
  blob: NewBlob
  summary: BodySummary
  coreHeader: Buffer
  /** of the cleartext */
  digest: NonNullable<ObjectMetadata['digest']>
  objectKey: Buffer
}

/**
 * Seals a stream under a key of its own and writes it as one blob where the bucket's go. Nothing is left when the stream throws.
 * The caller wipes `objectKey` when it is wrapped.
 */
export async function sealToBlob(shelf: Shelf, bucket: string, body: AsyncIterable<Uint8Array>): Promise<Sealed> {
  const where = await placementOf(shelf.database, bucket)
  const objectKey = randomBytes(32)
  const sealer = new BodySealer(newId<ObjectId>(), objectKey)
  const source = startDigest(BLAKE3_256)
  const done: { summary?: BodySummary } = {}
  async function* sealed(): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
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

/** Has the authority wrap the key; it judges the proof for that itself, and reads the ACL from it. */
export async function wrapSealed(
  release: KeyRelease,
  proof: Uint8Array | null,
  sealed: Sealed,
  what: { kind: EnvelopeKind; place: ObjectPlace; metadata: ObjectMetadata; named: StoredObject | null },
): Promise<Wrapped> {
  const { summary, coreHeader, objectKey } = sealed
  try {
    return await asked(
      release.wrap({
        proof,
        creation: null,
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
