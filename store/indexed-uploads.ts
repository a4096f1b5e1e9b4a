import { randomBytes } from 'node:crypto'
import type { IndexChange } from './index-store.ts'
import { commonPrefix, isKey } from './key.ts'
import {
  type MultipartStore,
  type ObjectRecord,
  type ObjectStore,
  type PartRecord,
  StoreError,
  type UploadId,
  type UploadRecord,
} from './object-store.ts'
import {
  decodeObject,
  decodePart,
  decodeUpload,
  encodeExtents,
  encodePart,
  encodeUpload,
  type StoredPart,
} from './record.ts'
import { type Removal, requireLength, type Shelf } from './shelf.ts'

/** S3's least size of every part but the last. */
export const leastPartBytes = 5 * 1024 * 1024
export const mostParts = 10_000

type UploadVerbs = Omit<MultipartStore, keyof ObjectStore>

/**
 * Tables of the index:
 * - upload: id                              the upload's record
 * - upload-name: bucket "/" escaped key, 00 01, id    for listing by key, then id
 * - part: id, number as two bytes           the part's record and blob
 */
export function openIndexedUploads(shelf: Shelf): {
  verbs: UploadVerbs
  /** Drops all uploads of a bucket. */
  abandonAll(bucket: string): Promise<void>
} {
  const { index, blobs, clock } = shelf

  const find = (id: UploadId): UploadRecord => {
    const value = index.get('upload', Buffer.from(id, 'utf8'))
    if (!value) throw new StoreError('no-upload', 'no such upload; it may have been completed or aborted')
    return decodeUpload(id, value)
  }
  const partsOf = (id: UploadId, after: number, limit: number): StoredPart[] =>
    index
      .scan('part', { prefix: Buffer.from(`${id}/`, 'utf8'), after: partKey(id, after), limit })
      .map(({ key, value }) => decodePart(key.readUInt16BE(key.length - 2), value))

  /** Changes that drop an upload, its parts with it; the parts' blobs are for the caller to keep or discard. */
  const drop = (upload: UploadRecord, parts: StoredPart[]): IndexChange[] => [
    { table: 'upload', key: Buffer.from(upload.id), value: null },
    { table: 'upload-name', key: nameKey(upload.bucket, upload.key, upload.id), value: null },
    ...parts.map(part => ({ table: 'part', key: partKey(upload.id, part.record.partNumber), value: null })),
  ]
  const abandon = (id: UploadId): Removal => {
    const parts = partsOf(id, 0, mostParts)
    const gone = shelf.discard(parts.map(part => part.blob))
    index.write([...drop(find(id), parts), ...gone.changes])
    return gone.removal
  }

  const verbs: UploadVerbs = {
    async createUpload(bucket, key, attributes, checksum) {
      shelf.requireBucket(bucket)
      if (!isKey(key)) throw new RangeError('key must be 1..1024 bytes of UTF-8')
      const startedAt = clock()
      // grows with time, so that uploads of one key list in the order they were started
      const id = (startedAt.getTime().toString(16).padStart(12, '0') + randomBytes(16).toString('hex')) as UploadId
      const upload: UploadRecord = { id, bucket, key, startedAt, attributes, ...(checksum && { checksum }) }
      index.write([
        { table: 'upload', key: Buffer.from(id), value: encodeUpload(upload) },
        { table: 'upload-name', key: nameKey(bucket, key, id), value: Buffer.alloc(0) },
      ])
      return upload
    },
    async putPart(id, partNumber, body, { length, finish }) {
      if (!Number.isInteger(partNumber) || partNumber < 1 || partNumber > mostParts) {
        throw new StoreError('invalid-part', `part number must be 1..${mostParts}`)
      }
      find(id)
      const { blob, size } = await blobs.write(body)
      const arrival = shelf.arrive(blob)
      let record: PartRecord
      let removal: Removal
      try {
        requireLength(size, length)
        record = { partNumber, size, ...finish(), modifiedAt: clock() }
        // again: it may have been completed or aborted while the bytes came
        find(id)
        const key = partKey(id, partNumber)
        const old = index.get('part', key)
        const gone = shelf.discard(old ? [decodePart(partNumber, old).blob] : [])
        index.write([{ table: 'part', key, value: encodePart({ record, blob }) }, ...arrival.changes, ...gone.changes])
        removal = gone.removal
      } catch (error) {
        await blobs.remove(blob)
        throw error
      }
      await arrival.keep()
      await removal()
      return record
    },
    async completeUpload(id, wanted, { finish, condition }) {
      const upload = find(id)
      if (wanted.length === 0) throw new StoreError('invalid-part', 'at least one part is needed')
      const all = new Map(partsOf(id, 0, mostParts).map(part => [part.record.partNumber, part]))
      const chosen = wanted.map(({ partNumber, etag }, at) => {
        const part = all.get(partNumber)
        if (!part || part.record.etag !== etag || partNumber <= (wanted[at - 1]?.partNumber ?? 0)) {
          throw new StoreError('invalid-part', `part ${partNumber} is missing, has another ETag or is out of order`)
        }
        return part
      })
      for (const { record } of chosen.slice(0, -1)) {
        if (record.size < leastPartBytes) {
          throw new StoreError(
            'part-too-small',
            `part ${record.partNumber} holds ${record.size} bytes, want ${leastPartBytes}`,
          )
        }
      }
      const { bucket, key, attributes } = upload
      const record: ObjectRecord = {
        bucket,
        key,
        size: chosen.reduce((sum, part) => sum + part.record.size, 0),
        ...finish(chosen.map(part => part.record)),
        modifiedAt: clock(),
        attributes,
        parts: chosen.length,
      }
      const unused = [...all.values()].filter(part => !chosen.includes(part))
      const gone = shelf.discard(unused.map(part => part.blob))
      const extents = chosen.map(part => ({ blob: part.blob, size: part.record.size }))
      const changes = [
        ...drop(upload, [...all.values()]),
        ...gone.changes,
        { table: 'extents', key: Buffer.from(id), value: encodeExtents(extents) },
      ]
      const removal = shelf.commit({ record, body: id, split: true }, changes, condition)
      await gone.removal()
      await removal()
      return record
    },
    async completed(bucket, key, id) {
      const value = index.get('object', shelf.objectKey(bucket, key))
      const stored = value && decodeObject(bucket, key, value)
      return stored?.split && stored.body === id ? stored.record : null
    },
    async abortUpload(id) {
      await abandon(id)()
    },
    async listParts(id, after, limit) {
      const upload = find(id)
      const found = partsOf(id, after, limit + 1)
      return { upload, parts: found.slice(0, limit).map(part => part.record), more: found.length > limit }
    },
    async listUploads(bucket, { prefix, delimiter, afterKey, afterUpload, limit }) {
      shelf.requireBucket(bucket)
      const base = Buffer.from(`${bucket}/`, 'utf8')
      const start = Buffer.concat([base, escaped(prefix)])
      let after: Buffer | undefined
      if (afterKey !== undefined) {
        const folded = afterKey.startsWith(prefix) && commonPrefix(afterKey, prefix, delimiter) === afterKey
        const key = Buffer.concat([base, escaped(afterKey)])
        if (folded) after = Buffer.concat([key, above])
        else if (afterUpload) after = nameKey(bucket, afterKey, afterUpload)
        else after = Buffer.concat([key, terminator, above])
      }
      const uploads: UploadRecord[] = []
      const prefixes: string[] = []
      for (;;) {
        const [entry] = index.scan('upload-name', { prefix: start, limit: 1, ...(after && { after }) })
        if (!entry) return { uploads, prefixes, more: false }
        if (uploads.length + prefixes.length === limit) return { uploads, prefixes, more: true }
        const upload = find(entry.key.subarray(-idBytes).toString('utf8') as UploadId)
        const folded = commonPrefix(upload.key, prefix, delimiter)
        if (folded === null) uploads.push(upload)
        else prefixes.push(folded)
        after = folded === null ? entry.key : Buffer.concat([base, escaped(folded), above])
      }
    },
  }

  return {
    verbs,
    async abandonAll(bucket) {
      for (;;) {
        const [entry] = index.scan('upload-name', { prefix: Buffer.from(`${bucket}/`, 'utf8'), limit: 1 })
        if (!entry) return
        await abandon(entry.key.subarray(-idBytes).toString('utf8') as UploadId)()
      }
    },
  }
}

/** 12 digits of time, 32 of chance. */
const idBytes = 44
const above = Buffer.from([0xff])
const terminator = Buffer.from([0, 1])

/** A key may hold NUL: written 00 ff, so that the terminator 00 01 sorts below everything that goes on. */
function escaped(key: string): Buffer {
  return Buffer.from(Buffer.from(key, 'utf8').toString('latin1').replaceAll('\0', '\0\xff'), 'latin1')
}

function nameKey(bucket: string, key: string, id: string): Buffer {
  return Buffer.concat([Buffer.from(`${bucket}/`, 'utf8'), escaped(key), terminator, Buffer.from(id, 'utf8')])
}

function partKey(id: UploadId, partNumber: number): Buffer {
  const number = Buffer.alloc(2)
  number.writeUInt16BE(partNumber)
  return Buffer.concat([Buffer.from(`${id}/`, 'utf8'), number])
}
