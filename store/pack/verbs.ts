import { newId } from '../../format/bytes.ts'
import { OBJECT } from '../../format/envelope.ts'
import { isKey } from '../key.ts'
import { listPage } from '../listing.ts'
import {
  type BucketRecord,
  HeldBody,
  type ObjectAttributes,
  type ObjectRecord,
  type ObjectStore,
  type PutCondition,
  type PutOptions,
  StoreError,
  wantedOf,
} from '../object-store.ts'
import { checksumOf } from './changes.ts'
import { type Content, takeFile, takeIn, WHOLE_BYTES } from './content.ts'
import type { Engine, Landed } from './engine.ts'
import type { Gate } from './gate.ts'
import type { NameLocks } from './name-locks.ts'
import { attributesOf, decodeRow, type ObjectRow, objectKey, readObject, toRecord } from './rows.ts'
import type { Label, SourceFile } from './sealing/messages.ts'

export function metadataOf(
  bucket: string,
  key: string,
  attributes: ObjectAttributes,
  at: number,
  finished: { etag: string | null; checksum?: { name: string; value: string; type: string } },
): Label['metadata'] {
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

/** A file of at most `WHOLE_BYTES`; a larger one is taken as by `putFile`. */
export type SmallFile = { key: string; file: SourceFile; attributes: ObjectAttributes }

/** A file to be sealed as an object; its ETag is made of its content's digest. */
export type FilePut = {
  attributes: ObjectAttributes
  /** throws when nobody wants it any more */
  mayGo: () => void
  /** how many of a large file's bytes have been read since */
  moved: (bytes: number) => void
}

export type FileVerbs = {
  /** These names will be looked at, and perhaps put. */
  expect(bucket: string, keys: string[]): void
  /** @throws StoreError also "source-changed" | "source-unreadable" */
  putFile(bucket: string, key: string, file: SourceFile, options: FilePut): Promise<ObjectRecord>
  /** Small files together. @returns in their order what each met; null: it is stored */
  putFiles(bucket: string, files: SmallFile[]): Promise<unknown[]>
  /** As `head`, at once. */
  look(bucket: string, key: string): ObjectRecord | null
}

/** The verbs of an object store over the engine, without multipart. */
export function objectVerbs(
  engine: Engine,
  locks: NameLocks,
  gate: Gate,
  createdAt: Date,
): Omit<ObjectStore, 'close'> & FileVerbs {
  const { index, owner } = engine
  const requireBucket = (bucket: string): void => {
    if (!owner.buckets.includes(bucket))
      throw new StoreError('no-bucket', `no bucket ${bucket}: this job has ${owner.buckets.join(', ')}`)
  }
  const bucketRecord = (name: string): BucketRecord => ({ name, createdAt })
  const commit = async (content: Content, metadata: Label['metadata']): Promise<ObjectRecord> =>
    recordOf(await content.commit({ kind: OBJECT, metadata }))

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
    async put(bucket, key, body, { attributes, condition, finish, length }: PutOptions): Promise<ObjectRecord> {
      gate.mayWrite()
      requireBucket(bucket)
      requireKey(key)
      // refused before a byte is sealed where that is certain already; judged again at the commit
      if (condition !== undefined && 'absent' in condition) requireCondition(condition, readObject(index, bucket, key))
      return gate.pass(
        () => takeIn(engine, body, gate.mayWrite),
        // the name is ours from the last byte to the commit
        content =>
          locks.hold(`${bucket}/${key}`, () => {
            gate.mayWrite()
            if (condition !== undefined) requireCondition(condition, readObject(index, bucket, key))
            requireLength(content.length, length)
            return commit(content, metadataOf(bucket, key, attributes, engine.now(), finish()))
          }),
      )
    },
    expect(bucket, keys) {
      index.expect(
        'object',
        keys.map(key => objectKey(bucket, key)),
      )
    },
    putFiles(bucket, files) {
      gate.mayWrite()
      requireBucket(bucket)
      const { promise, settle } = outcomesOf(files.length)
      for (const [at, { key, file, attributes }] of files.entries()) {
        const small = isKey(key) && file.length <= WHOLE_BYTES
        const free = small ? locks.take(`${bucket}/${key}`) : null
        if (free === null) {
          const options = { attributes, mayGo: () => undefined, moved: () => undefined }
          this.putFile(bucket, key, file, options).then(
            () => settle(at, null),
            (error: unknown) => settle(at, error),
          )
          continue
        }
        const metadata = metadataOf(bucket, key, attributes, engine.now(), { etag: null })
        engine.commitFile({ kind: OBJECT, objectId: newId(), metadata }, file, fault => {
          free()
          settle(at, fault)
        })
      }
      return gate.during(promise)
    },
    look(bucket, key) {
      const row = readObject(index, bucket, key)
      return row === null ? null : toRecord(bucket, key, row)
    },
    async putFile(bucket, key, file, { attributes, mayGo, moved }) {
      requireBucket(bucket)
      requireKey(key)
      const going = (): void => {
        gate.mayWrite()
        mayGo()
      }
      return gate.pass(
        () => takeFile(engine, file, going, moved),
        content =>
          locks.hold(`${bucket}/${key}`, () => {
            going()
            return commit(content, metadataOf(bucket, key, attributes, engine.now(), { etag: null }))
          }),
      )
    },
    async head(bucket, key) {
      requireBucket(bucket)
      const row = readObject(index, bucket, key)
      return row === null ? null : toRecord(bucket, key, row)
    },
    async get(bucket, key, asked) {
      requireBucket(bucket)
      const row = readObject(index, bucket, key)
      if (row === null) return null
      const record = toRecord(bucket, key, row)
      const wanted = wantedOf(asked, record)
      if (wanted === 'nothing') return { record, body: new HeldBody(Buffer.alloc(0)) }
      const range = wanted === 'all' ? null : wanted
      return { record, body: await engine.reader.open(row.place, { bucket, key }, range) }
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

function outcomesOf(count: number): { promise: Promise<unknown[]>; settle: (at: number, fault: unknown) => void } {
  const outcomes: unknown[] = Array.from({ length: count }, () => null)
  let left = count
  let over: (outcomes: unknown[]) => void = () => undefined
  const promise = new Promise<unknown[]>(resolve => {
    over = resolve
  })
  if (count === 0) over(outcomes)
  return {
    promise,
    settle(at, fault) {
      outcomes[at] = fault
      left--
      if (left === 0) over(outcomes)
    },
  }
}

/** What has just landed, as a look at the index would say it. */
export function recordOf({ size, metadata }: Landed): ObjectRecord {
  const { bucket, key, etag, modifiedAt } = metadata
  const checksum = checksumOf(metadata)
  return {
    bucket,
    key,
    size,
    etag,
    modifiedAt: new Date(modifiedAt),
    attributes: attributesOf(metadata),
    ...(checksum && { checksum }),
  }
}
