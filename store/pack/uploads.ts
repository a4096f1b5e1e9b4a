import { randomBytes } from 'node:crypto'
import { newId, type ObjectId } from '../../format/bytes.ts'
import { COMPOSITE, type CompositePart, PART } from '../../format/envelope.ts'
import { commonPrefix } from '../key.ts'
import {
  type MultipartStore,
  type ObjectStore,
  type PartRecord,
  StoreError,
  type UploadId,
  type UploadRecord,
} from '../object-store.ts'
import { Engine } from './engine.ts'
import { readObject, toCompositePart, toPartRecord, toRecord } from './rows.ts'
import { newObjectKey } from './sealed-object.ts'
import { closeUpload, escapedKey, partsOf, readUpload, type UploadRow, uploadChanges, uploadId } from './upload-rows.ts'
import {
  type Gatekeeper,
  metadataOf,
  type NameLocks,
  requireCondition,
  requireKey,
  requireLength,
  sealStream,
} from './verbs.ts'

/** S3's least size of every part but the last. */
const LEAST_PART_BYTES = 5 << 20
const MOST_PARTS = 10_000
const ID_CHARACTERS = 44
const ABOVE = Buffer.of(0xff)
const TERMINATOR = Buffer.of(0, 1)

export type UploadVerbs = Omit<MultipartStore, keyof ObjectStore>

/** Multipart uploads: every part is a sealed object of its own, committed when it arrives; completion commits their list. */
export function uploadVerbs(engine: Engine, locks: NameLocks, gate: Gatekeeper): UploadVerbs {
  const { index, owner } = engine
  const find = (id: string): UploadRow => {
    const row = readUpload(index, id)
    if (row === null) throw new StoreError('no-upload', 'no such upload; it may have been completed or aborted')
    return row
  }
  const toUpload = (id: string, row: UploadRow): UploadRecord => ({
    id: uploadId(id),
    bucket: row.bucket,
    key: row.key,
    startedAt: new Date(row.at),
    attributes: row.attributes,
    ...(row.checksum && { checksum: row.checksum }),
  })

  return {
    async createUpload(bucket, key, attributes, checksum) {
      gate.mayWrite()
      if (!owner.buckets.includes(bucket))
        throw new StoreError('no-bucket', `no bucket ${bucket}: this job has ${owner.buckets.join(', ')}`)
      requireKey(key)
      const at = engine.now()
      // grows with time, so that uploads of one key list in the order they were started
      const id = at.toString(16).padStart(12, '0') + randomBytes(16).toString('hex')
      const row: UploadRow = { bucket, key, at, attributes, ...(checksum && { checksum }) }
      index.write(uploadChanges(id, row))
      return toUpload(id, row)
    },
    async putPart(id, partNumber, body, options) {
      gate.mayWrite()
      if (!Number.isInteger(partNumber) || partNumber < 1 || partNumber > MOST_PARTS)
        throw new StoreError('invalid-part', `part number must be 1..${MOST_PARTS}`)
      const upload = find(id)
      const { object } = await sealStream(engine, gate, PART, body, (bytes, digest) => {
        requireLength(bytes, options.length)
        find(id)
        const base = metadataOf(
          upload.bucket,
          upload.key,
          upload.attributes,
          engine.now(),
          options.finish(digest.bytes),
        )
        return { ...base, digest, part: { upload: id, number: partNumber } }
      })
      const [part] = partsOf(index, id, partNumber - 1, 1)
      if (part === undefined || part.row.objectId !== object.objectId)
        throw new StoreError('no-upload', 'the upload was completed or aborted meanwhile')
      return toPartRecord(partNumber, part.row)
    },
    async completeUpload(id, wanted, options) {
      gate.mayWrite()
      const upload = find(id)
      return locks.hold(`${upload.bucket}/${upload.key}`, async () => {
        find(id)
        const chosen = choose(engine, id, wanted)
        requireCondition(options.condition, readObject(index, upload.bucket, upload.key))
        const finished = options.finish(chosen.map(each => each.record))
        const parts = chosen.map(each => each.part)
        const objectId = newId<ObjectId>()
        const objectKey = newObjectKey()
        const metadata = {
          ...metadataOf(upload.bucket, upload.key, upload.attributes, engine.now(), finished),
          part: { upload: id, number: 0 },
        }
        const summary = Engine.compositeSummary(objectId, parts)
        // commit point: the composite's frame; the parts are durable already
        await engine.commit(
          await engine.packs.shared(),
          { kind: COMPOSITE, objectId, objectKey, coreHeader: Buffer.alloc(0), summary, parts, metadata },
          { buffers: [] },
        )
        objectKey.fill(0)
        const row = readObject(index, upload.bucket, upload.key)
        if (row === null) throw new StoreError('damaged', 'the index lost a committed object')
        return toRecord(upload.bucket, upload.key, row)
      })
    },
    async abortUpload(id) {
      gate.mayWrite()
      find(id)
      await abandonUpload(engine, id)
    },
    async listParts(id, after, limit) {
      const upload = find(id)
      const found = partsOf(index, id, after, limit + 1)
      return {
        upload: toUpload(id, upload),
        parts: found.slice(0, limit).map(each => toPartRecord(each.number, each.row)),
        more: found.length > limit,
      }
    },
    async listUploads(bucket, { prefix, delimiter, afterKey, afterUpload, limit }) {
      const base = Buffer.from(`${bucket}/`, 'utf8')
      const start = Buffer.concat([base, escapedKey(prefix)])
      let after: Buffer | undefined
      if (afterKey !== undefined) {
        const folded = afterKey.startsWith(prefix) && commonPrefix(afterKey, prefix, delimiter) === afterKey
        const key = Buffer.concat([base, escapedKey(afterKey)])
        if (folded) after = Buffer.concat([key, ABOVE])
        else if (afterUpload) after = Buffer.concat([key, TERMINATOR, Buffer.from(afterUpload, 'utf8')])
        else after = Buffer.concat([key, TERMINATOR, ABOVE])
      }
      const uploads: UploadRecord[] = []
      const prefixes: string[] = []
      for (;;) {
        const [entry] = index.scan('upload-name', { prefix: start, limit: 1, ...(after && { after }) })
        if (entry === undefined) return { uploads, prefixes, more: false }
        if (uploads.length + prefixes.length === limit) return { uploads, prefixes, more: true }
        const id = entry.key.subarray(-ID_CHARACTERS).toString('utf8')
        const upload = toUpload(id, find(id))
        const folded = commonPrefix(upload.key, prefix, delimiter)
        if (folded === null) uploads.push(upload)
        else prefixes.push(folded)
        after = folded === null ? entry.key : Buffer.concat([base, escapedKey(folded), ABOVE])
      }
    },
  }
}

function choose(
  engine: Engine,
  id: UploadId,
  wanted: { partNumber: number; etag: string }[],
): { record: PartRecord; part: CompositePart }[] {
  if (wanted.length === 0) throw new StoreError('invalid-part', 'at least one part is needed')
  const all = new Map(partsOf(engine.index, id, 0, MOST_PARTS).map(each => [each.number, each.row]))
  const chosen = wanted.map(({ partNumber, etag }, at) => {
    const row = all.get(partNumber)
    if (row === undefined || row.etag !== etag || partNumber <= (wanted[at - 1]?.partNumber ?? 0))
      throw new StoreError('invalid-part', `part ${partNumber} is missing, has another ETag or is out of order`)
    return { record: toPartRecord(partNumber, row), part: toCompositePart(row) }
  })
  const small = chosen.slice(0, -1).find(each => each.record.size < LEAST_PART_BYTES)
  if (small !== undefined)
    throw new StoreError(
      'part-too-small',
      `part ${small.record.partNumber} holds ${small.record.size} bytes, want ${LEAST_PART_BYTES}`,
    )
  return chosen
}

/** Tombstones what has arrived of an upload, and drops its rows. */
export async function abandonUpload(engine: Engine, id: string): Promise<void> {
  const parts = partsOf(engine.index, id, 0, MOST_PARTS)
  const row = readUpload(engine.index, id)
  if (parts.length > 0)
    await engine.bury(
      row?.bucket ?? '',
      '',
      parts.map(each => each.row.objectId),
    )
  engine.index.write(closeUpload(engine.index, id))
}
