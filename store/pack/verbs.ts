import { randomInt } from 'node:crypto'
import { BodySealer } from '../../format/body.ts'
import { newId, type ObjectId } from '../../format/bytes.ts'
import { BLAKE3_256, startDigest } from '../../format/digest.ts'
import { OBJECT, type PART } from '../../format/envelope.ts'
import { encodeBodyHead } from '../../format/frame.ts'
import type { ObjectMetadata } from '../../format/metadata.ts'
import { isKey } from '../key.ts'
import { listPage } from '../listing.ts'
import {
  type BucketRecord,
  type ObjectAttributes,
  type ObjectRecord,
  type ObjectStore,
  type PutCondition,
  type PutOptions,
  StoreError,
} from '../object-store.ts'
import type { Engine } from './engine.ts'
import type { PackWriter } from './pack-writer.ts'
import { decodeRow, type ObjectRow, objectKey, type Place, readObject, toRecord } from './rows.ts'
import { newObjectKey, type ToCommit } from './sealed-object.ts'

/** Sealed bodies up to this are held whole and share the pack and its sync with others; larger ones stream to a pack of their own. */
const WHOLE_BYTES = 1 << 20
/** One of so many objects is read back where the policy says `sample`. */
const SAMPLE = 64

export type Arrival = { object: ToCommit; place: Place }
/** Builds the metadata when the last byte has passed. */
export type Describe = (plaintextBytes: number, digest: NonNullable<ObjectMetadata['digest']>) => ObjectMetadata

/**
 * Seals a stream as it arrives and commits it. When the body or `describe` throws, what was written is taken back.
 */
export function sealStream(
  engine: Engine,
  gate: Gatekeeper,
  kind: typeof OBJECT | typeof PART,
  body: AsyncIterable<Uint8Array>,
  describe: Describe,
): Promise<Arrival> {
  const work = sealAndCommit(engine, gate, kind, body, describe)
  gate.underWay.add(work)
  return work.finally(() => gate.underWay.delete(work))
}

async function sealAndCommit(
  engine: Engine,
  gate: Gatekeeper,
  kind: typeof OBJECT | typeof PART,
  body: AsyncIterable<Uint8Array>,
  describe: Describe,
): Promise<Arrival> {
  const objectId = newId<ObjectId>()
  const objectKey = newObjectKey()
  const sealer = new BodySealer(objectId, objectKey, engine.owner.digest)
  const source = startDigest(BLAKE3_256)
  let held: Buffer[] = []
  let heldBytes = 0
  const lane: { own: { writer: PackWriter; offset: number } | null } = { own: null }
  try {
    const take = async (sealed: Buffer[]): Promise<void> => {
      if (lane.own !== null) return lane.own.writer.write(sealed)
      held.push(...sealed)
      for (const each of sealed) heldBytes += each.length
      if (heldBytes <= WHOLE_BYTES) return
      const writer = await engine.packs.lease()
      lane.own = { writer, offset: writer.length }
      const before = held
      held = []
      await writer.write([encodeBodyHead(), ...before])
    }
    for await (const chunk of body) {
      gate.mayWrite()
      source.update(chunk)
      const sealed = sealer.push(chunk)
      if (sealed.length > 0) await take(sealed)
    }
    const { sealed, summary } = sealer.finish()
    if (lane.own === null) held.push(...sealed)
    else await take(sealed)
    const metadata = describe(summary.plaintextLength, { id: BLAKE3_256, bytes: source.digest() })
    const object: ToCommit = { kind, objectId, objectKey, coreHeader: sealer.coreHeader, summary, parts: [], metadata }
    const { own } = lane
    const place =
      own === null
        ? await engine.commit(await engine.packs.shared(), object, { buffers: held })
        : await engine.commit(own.writer, object, { offset: own.offset })
    if (due(engine.owner.readBack)) await engine.reader.readBack(place, object)
    return { object, place }
  } catch (error) {
    sealer.abort()
    await lane.own?.writer.takeBack()
    throw error
  } finally {
    objectKey.fill(0)
    if (lane.own !== null) await engine.packs.release(lane.own.writer)
  }
}

function due(policy: 'none' | 'sample' | 'all'): boolean {
  return policy === 'all' || (policy === 'sample' && randomInt(SAMPLE) === 0)
}

/** Puts on the same name commit one after another, so that a condition is judged on what is there. */
export class NameLocks {
  readonly #last = new Map<string, Promise<void>>()

  async hold<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name) ?? Promise.resolve()
    let free: () => void = () => undefined
    const mine = new Promise<void>(resolve => {
      free = resolve
    })
    const chained = before.then(() => mine)
    this.#last.set(name, chained)
    await before
    try {
      return await work()
    } finally {
      free()
      if (this.#last.get(name) === chained) this.#last.delete(name)
    }
  }
}

export function metadataOf(
  bucket: string,
  key: string,
  attributes: ObjectAttributes,
  at: number,
  finished: { etag: string; checksum?: { name: string; value: string; type: string } },
): ObjectMetadata {
  return {
    bucket,
    key,
    modifiedAt: at,
    etag: finished.etag,
    headers: attributes.headers,
    user: attributes.metadata,
    ...(attributes.contentType !== undefined && { contentType: attributes.contentType }),
    ...(attributes.link !== undefined && { link: attributes.link }),
    ...(finished.checksum && { checksum: finished.checksum }),
  }
}

export function requireCondition(condition: PutCondition | undefined, old: ObjectRow | null): void {
  if (condition === undefined) return
  if ('absent' in condition ? old !== null : old?.etag !== condition.etag)
    throw new StoreError(
      'precondition-failed',
      'absent' in condition ? 'the key is taken' : 'the object has another ETag',
    )
}

export function requireLength(found: number, announced: number | undefined): void {
  if (announced !== undefined && found !== announced)
    throw new StoreError('incomplete-body', `body of ${found} bytes, ${announced} were announced`)
}

export function requireKey(key: string): void {
  if (!isKey(key)) throw new StoreError('forbidden', 'a key has 1 to 1024 bytes of UTF-8')
}

/** What may be done now; throws `read-only` when sealed or locked. */
export type Gatekeeper = { mayWrite: () => void; underWay: Set<Promise<unknown>> }

/** The verbs of an object store over the engine, without multipart. */
export function objectVerbs(
  engine: Engine,
  locks: NameLocks,
  gate: Gatekeeper,
  createdAt: Date,
): Omit<ObjectStore, 'close'> {
  const { index, owner } = engine
  const requireBucket = (bucket: string): void => {
    if (!owner.buckets.includes(bucket))
      throw new StoreError('no-bucket', `no bucket ${bucket}: this job has ${owner.buckets.join(', ')}`)
  }
  const bucketRecord = (name: string): BucketRecord => ({ name, createdAt })

  return {
    async listBuckets() {
      return [...owner.buckets].sort().map(bucketRecord)
    },
    async headBucket(bucket) {
      return owner.buckets.includes(bucket) ? bucketRecord(bucket) : null
    },
    async createBucket(bucket) {
      if (owner.buckets.includes(bucket)) throw new StoreError('bucket-exists', `bucket ${bucket} exists`)
      throw new StoreError(
        'forbidden',
        `this job has the buckets ${owner.buckets.join(', ')}; others are made at the provider`,
      )
    },
    async deleteBucket(bucket) {
      requireBucket(bucket)
      throw new StoreError('forbidden', 'the buckets of a job are fixed by its grant')
    },
    async put(bucket, key, body, options: PutOptions): Promise<ObjectRecord> {
      gate.mayWrite()
      requireBucket(bucket)
      requireKey(key)
      // refused before a byte is sealed where that is certain already; judged again at the commit
      if (options.condition !== undefined && 'absent' in options.condition)
        requireCondition(options.condition, readObject(index, bucket, key))
      let release: () => void = () => undefined
      const turn = new Promise<void>(resolve => {
        release = resolve
      })
      let entered: Promise<void> | null = null
      const lockName = `${bucket}/${key}`
      try {
        const { object } = await sealStream(
          engine,
          gate,
          OBJECT,
          withTurn(body, async () => {
            // the name is ours from the last byte to the commit
            await new Promise<void>(granted => {
              entered = locks.hold(lockName, () => {
                granted()
                return turn
              })
            })
            gate.mayWrite()
            if (options.condition !== undefined) requireCondition(options.condition, readObject(index, bucket, key))
          }),
          (bytes, digest) => {
            requireLength(bytes, options.length)
            return {
              ...metadataOf(bucket, key, options.attributes, engine.now(), options.finish(digest.bytes)),
              digest,
            }
          },
        )
        const row = readObject(index, bucket, key)
        if (row === null || row.objectId !== object.objectId)
          throw new StoreError('damaged', 'the index lost a committed object')
        return toRecord(bucket, key, row)
      } finally {
        release()
        await entered
      }
    },
    async head(bucket, key) {
      requireBucket(bucket)
      const row = readObject(index, bucket, key)
      return row === null ? null : toRecord(bucket, key, row)
    },
    async get(bucket, key, range) {
      requireBucket(bucket)
      const row = readObject(index, bucket, key)
      if (row === null) return null
      return {
        record: toRecord(bucket, key, row),
        body: await engine.reader.open(row.place, { bucket, key }, range ?? null),
      }
    },
    async delete(bucket, key) {
      gate.mayWrite()
      requireBucket(bucket)
      return locks.hold(`${bucket}/${key}`, async () => {
        if (readObject(index, bucket, key) === null) return false
        await engine.bury(bucket, key, [])
        return true
      })
    },
    async list(bucket, query) {
      requireBucket(bucket)
      const base = objectKey(bucket, '')
      const { entries, ...page } = listPage<ObjectRecord>((prefix, after, limit) => {
        const found = index.scan('object', {
          prefix: Buffer.concat([base, prefix]),
          limit,
          ...(after && { after: Buffer.concat([base, after]) }),
        })
        return found.map(({ key, value }) => {
          const name = key.subarray(base.length).toString('utf8')
          return { key: name, value: toRecord(bucket, name, decodeRow<ObjectRow>(value)) }
        })
      }, query)
      return { ...page, objects: entries }
    },
  }
}

/** The same stream; `atEnd` runs after its last byte. */
async function* withTurn(body: AsyncIterable<Uint8Array>, atEnd: () => Promise<void>): AsyncGenerator<Uint8Array> {
  yield* body
  await atEnd()
}
