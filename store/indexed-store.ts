import type { AclStore } from './ability.ts'
import type { Blobs } from './blobs.ts'
import { extentBody } from './extent-body.ts'
import type { Index, IndexChange } from './index-store.ts'
import { openIndexedUploads } from './indexed-uploads.ts'
import { isKey } from './key.ts'
import { listPage } from './listing.ts'
import {
  type BucketRecord,
  HeldBody,
  type ListPage,
  type MultipartStore,
  type ObjectRecord,
  type PutCondition,
  StoreError,
  wantedOf,
} from './object-store.ts'
import {
  decodeBucket,
  decodeExtents,
  decodeObject,
  type Extent,
  encodeBucket,
  encodeObject,
  type StoredObject,
} from './record.ts'
import { type Removal, requireLength, type Shelf } from './shelf.ts'

export type IndexedStoreOptions = { index: Index; blobs: Blobs; clock: () => Date; close: () => Promise<void> }

const none = new Uint8Array(0)

/** Records in an index, bodies in blobs: bytes first and durable, then one index write that makes them visible. */
export async function openIndexedStore(options: IndexedStoreOptions): Promise<MultipartStore & AclStore> {
  const { index, blobs, clock } = options
  /** Bodies being read, by body id: their blobs wait for the last reader. */
  const pins = new Map<string, { readers: number; waiting: string[] }>()
  /** Rows that are no longer true; they ride along with the next write, one of their own would cost a sync. */
  let stale: IndexChange[] = []
  const takeStale = (): IndexChange[] => {
    const taken = stale
    stale = []
    return taken
  }

  const remove = async (dead: string[]): Promise<void> => {
    for (const blob of dead) {
      try {
        await blobs.remove(blob)
        stale.push({ table: 'dead', key: Buffer.from(blob), value: null })
      } catch {
        // it stays listed as dead, so the next open removes it; the change that gave it up is committed all the same
      }
    }
  }
  const shelf: Shelf = {
    index,
    blobs,
    clock,
    objectKey: (bucket, key) => Buffer.from(`${bucket}/${key}`, 'utf8'),
    requireBucket(bucket) {
      if (!index.get('bucket', Buffer.from(bucket, 'utf8'))) throw new StoreError('no-bucket', `no bucket ${bucket}`)
    },
    commit(stored, changes, condition) {
      const { bucket, key } = stored.record
      // look, condition and write in one turn of the event loop: nothing comes between them
      shelf.requireBucket(bucket)
      const old = read(bucket, key)
      requireCondition(condition, old?.record ?? null)
      const gone = old ? giveUp(old) : null
      const put = { table: 'object', key: shelf.objectKey(bucket, key), value: encodeObject(stored) }
      // the commit point: from this write on, readers and restarts see the new object
      index.write([...changes, put, ...(gone?.changes ?? [])])
      return gone?.removal ?? (async () => undefined)
    },
    discard(dead) {
      const changes = dead.map(blob => ({ table: 'dead', key: Buffer.from(blob), value: none }))
      return { changes, removal: () => remove(dead) }
    },
    arrive(blob) {
      const key = Buffer.from(blob)
      return {
        changes: [...takeStale(), { table: 'arriving', key, value: none }],
        async keep() {
          try {
            await blobs.keep(blob)
            stale.push({ table: 'arriving', key, value: null })
          } catch {
            // it is committed and readable where it is; the next open keeps it
          }
        },
      }
    },
  }

  // what a crash left between writing a blob and keeping it: forward when the index has it, else back
  for await (const blob of blobs.unkept()) {
    if (index.get('arriving', Buffer.from(blob))) await blobs.keep(blob)
    else await blobs.remove(blob)
  }
  for (;;) {
    const arrived = index.scan('arriving', { prefix: none, limit: 1000 })
    if (arrived.length === 0) break
    index.write(arrived.map(({ key }) => ({ table: 'arriving', key, value: null })))
  }
  // what a crash left between an index write and the removals it announced
  for (;;) {
    const dead = index.scan('dead', { prefix: none, limit: 1000 })
    if (dead.length === 0) break
    for (const { key } of dead) await blobs.remove(key.toString('utf8'))
    index.write(dead.map(({ key }) => ({ table: 'dead', key, value: null })))
  }

  const read = (bucket: string, key: string): StoredObject | null => {
    const value = index.get('object', shelf.objectKey(bucket, key))
    return value && decodeObject(bucket, key, value)
  }
  const extentsOf = (stored: StoredObject): Extent[] => {
    if (!stored.split) return [{ blob: stored.body, size: stored.record.size }]
    const value = index.get('extents', Buffer.from(stored.body))
    if (!value) throw new StoreError('damaged', `extents of body ${stored.body} are missing`)
    return decodeExtents(value)
  }
  const giveUp = (stored: StoredObject): { changes: IndexChange[]; removal: Removal } => {
    const dead = extentsOf(stored).map(extent => extent.blob)
    const { changes, removal } = shelf.discard(dead)
    if (stored.split) changes.push({ table: 'extents', key: Buffer.from(stored.body), value: null })
    return {
      changes,
      async removal() {
        const pin = pins.get(stored.body)
        if (pin) pin.waiting = dead
        else await removal()
      },
    }
  }
  const pinBody = (body: string): (() => void) => {
    const pin = pins.get(body) ?? { readers: 0, waiting: [] }
    pin.readers++
    pins.set(body, pin)
    return () => {
      if (--pin.readers > 0) return
      pins.delete(body)
      void remove(pin.waiting)
    }
  }
  const uploads = openIndexedUploads(shelf)

  return {
    async listBuckets() {
      const buckets: BucketRecord[] = []
      let after: Buffer | undefined
      for (;;) {
        const found = index.scan('bucket', { prefix: none, limit: 1000, ...(after && { after }) })
        for (const { key, value } of found) {
          buckets.push({ name: key.toString('utf8'), createdAt: decodeBucket(value).createdAt })
          after = key
        }
        if (found.length < 1000) return buckets
      }
    },
    async headBucket(bucket) {
      const value = index.get('bucket', Buffer.from(bucket, 'utf8'))
      return value && { name: bucket, createdAt: decodeBucket(value).createdAt }
    },
    async createBucket(bucket) {
      const key = Buffer.from(bucket, 'utf8')
      if (index.get('bucket', key)) throw new StoreError('bucket-exists', `bucket ${bucket} exists`)
      const createdAt = clock()
      index.write([{ table: 'bucket', key, value: encodeBucket({ createdAt }) }])
      return { name: bucket, createdAt }
    },
    async deleteBucket(bucket) {
      shelf.requireBucket(bucket)
      const prefix = Buffer.from(`${bucket}/`, 'utf8')
      if (index.scan('object', { prefix, limit: 1 }).length > 0) {
        throw new StoreError('bucket-not-empty', `bucket ${bucket} holds objects`)
      }
      // uploads left open go with it: they could never be completed
      await uploads.abandonAll(bucket)
      // looked at again: an object may have come while uploads were removed
      if (index.scan('object', { prefix, limit: 1 }).length > 0) {
        throw new StoreError('bucket-not-empty', `bucket ${bucket} holds objects`)
      }
      index.write([{ table: 'bucket', key: Buffer.from(bucket, 'utf8'), value: null }])
    },
    async put(bucket, key, body, { attributes, length, finish, condition }) {
      shelf.requireBucket(bucket)
      if (!isKey(key)) throw new RangeError('key must be 1..1024 bytes of UTF-8')
      // bytes first: durable before anything refers to them
      const { blob, size } = await blobs.write(body)
      const arrival = shelf.arrive(blob)
      let record: ObjectRecord
      let removal: Removal
      try {
        requireLength(size, length)
        record = { bucket, key, size, ...finish(), modifiedAt: clock(), attributes }
        removal = shelf.commit({ record, body: blob, split: false }, arrival.changes, condition)
      } catch (error) {
        await blobs.remove(blob)
        throw error
      }
      await arrival.keep()
      await removal()
      return record
    },
    async head(bucket, key) {
      shelf.requireBucket(bucket)
      return read(bucket, key)?.record ?? null
    },
    async get(bucket, key, asked) {
      shelf.requireBucket(bucket)
      const stored = read(bucket, key)
      if (!stored) return null
      const { record } = stored
      const wanted = wantedOf(asked, record)
      if (wanted === 'nothing' || record.size === 0) return { record, body: new HeldBody(Buffer.alloc(0)) }
      const range = wanted === 'all' ? { first: 0, last: record.size - 1 } : wanted
      const extents = extentsOf(stored)
      // pinned in the same turn as the look-up: from here on its blobs stay till the body is left
      return { record, body: extentBody(blobs, extents, range, pinBody(stored.body)) }
    },
    async delete(bucket, key) {
      shelf.requireBucket(bucket)
      const stored = read(bucket, key)
      if (!stored) return false
      const gone = giveUp(stored)
      index.write([{ table: 'object', key: shelf.objectKey(bucket, key), value: null }, ...gone.changes])
      await gone.removal()
      return true
    },
    async list(bucket, query): Promise<ListPage> {
      shelf.requireBucket(bucket)
      const base = Buffer.from(`${bucket}/`, 'utf8')
      const scan = (prefix: Buffer, after: Buffer | undefined, limit: number) =>
        index
          .scan('object', {
            prefix: Buffer.concat([base, prefix]),
            limit,
            ...(after && { after: Buffer.concat([base, after]) }),
          })
          .map(({ key, value }) => {
            const name = key.subarray(base.length).toString('utf8')
            return { key: name, value: decodeObject(bucket, name, value).record }
          })
      const { entries, ...page } = listPage(scan, query)
      return { ...page, objects: entries }
    },
    async getAcl(bucket, key) {
      const value = index.get('bucket', Buffer.from(bucket, 'utf8'))
      if (!value) throw new StoreError('no-bucket', `no bucket ${bucket}`)
      if (key === null) return decodeBucket(value).acl ?? 'private'
      const stored = read(bucket, key)
      return stored && (stored.record.attributes.acl ?? 'private')
    },
    async setAcl(bucket, key, acl) {
      const name = Buffer.from(bucket, 'utf8')
      const value = index.get('bucket', name)
      if (!value) throw new StoreError('no-bucket', `no bucket ${bucket}`)
      if (key === null) {
        index.write([{ table: 'bucket', key: name, value: encodeBucket({ ...decodeBucket(value), acl }) }])
        return true
      }
      const stored = read(bucket, key)
      if (!stored) return false
      const record = { ...stored.record, attributes: { ...stored.record.attributes, acl } }
      index.write([{ table: 'object', key: shelf.objectKey(bucket, key), value: encodeObject({ ...stored, record }) }])
      return true
    },
    ...uploads.verbs,
    close: options.close,
  }
}

function requireCondition(condition: PutCondition | undefined, old: ObjectRecord | null): void {
  if (!condition) return
  if ('absent' in condition ? old : old?.etag !== condition.etag) {
    throw new StoreError(
      'precondition-failed',
      'absent' in condition ? 'the key is taken' : 'the object has another ETag',
    )
  }
}
