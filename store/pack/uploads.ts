import { randomBytes } from 'node:crypto'
import { type CompositePart, PART } from '../../format/envelope.ts'
import { commonPrefix } from '../key.ts'
import {
  type MultipartStore,
  type ObjectStore,
  type PartRecord,
  StoreError,
  type UploadId,
  type UploadRecord,
} from '../object-store.ts'
import { type Content, takeFile, takeIn } from './content.ts'
import type { Engine } from './engine.ts'
import type { Gate } from './gate.ts'
import type { NameLocks } from './name-locks.ts'
import { readObject, toCompositePart, toPartRecord, toRecord } from './rows.ts'
import type { SourceFile } from './sealing/messages.ts'
import { closeUpload, escapedKey, partsOf, readUpload, type UploadRow, uploadChanges, uploadId } from './upload-rows.ts'
import { type FilePut, metadataOf, requireCondition, requireKey, requireLength } from './verbs.ts'

/** S3's least size of every part but the last. */
const LEAST_PART_BYTES = 5 << 20
const MOST_PARTS = 10_000
const ID_CHARACTERS = 44
const ABOVE = Buffer.of(0xff)
const TERMINATOR = Buffer.of(0, 1)

export type UploadVerbs = Omit<MultipartStore, keyof ObjectStore> & {
  /** Part of a file as a part. @throws StoreError also "source-changed" | "source-unreadable" */
  putPartFile(
    upload: UploadId,
    partNumber: number,
    file: SourceFile,
    options: Pick<FilePut, 'mayGo' | 'moved'>,
  ): Promise<PartRecord>
}

/** Multipart uploads: every part is a sealed object of its own, committed when it arrives; completion commits their list. */
export function uploadVerbs(engine: Engine, locks: NameLocks, gate: Gate): UploadVerbs {
  const { index, owner } = engine
  const find = (id: string): UploadRow => {
    const row = readUpload(index, id)
    if (row === null) throw new StoreError('no-upload', 'no such upload; it may have been completed or aborted')
    return row
  }
  /** A part is an object of its own, committed when it is whole. */
  const part = (
    id: string,
    number: number,
    take: () => Promise<Content>,
    finish: (content: Content) => Parameters<typeof metadataOf>[4],
    { bucket, key, attributes }: UploadRow,
  ): Promise<PartRecord> =>
    gate.pass(take, async content => {
      const finished = finish(content)
      find(id)
      const metadata = {
        ...metadataOf(bucket, key, attributes, engine.now(), finished),
        part: { upload: id, number },
      }
      const { objectId } = await content.commit({ kind: PART, metadata })
      const [found] = partsOf(index, id, number - 1, 1)
      if (found === undefined || found.row.objectId !== objectId)
        throw new StoreError('no-upload', 'the upload was completed or aborted meanwhile')
      return toPartRecord(number, found.row)
    })
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
      return part(
        id,
        partNumber,
        () => takeIn(engine, body, gate.mayWrite),
        content => {
          requireLength(content.length, options.length)
          return options.finish()
        },
        upload,
      )
    },
    async putPartFile(id, partNumber, file, { mayGo, moved }) {
      gate.mayWrite()
      const upload = find(id)
      const going = (): void => {
        gate.mayWrite()
        mayGo()
      }
      return part(
        id,
        partNumber,
        () => takeFile(engine, file, going, moved),
        () => ({ etag: null }),
        upload,
      )
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
        const base = metadataOf(upload.bucket, upload.key, upload.attributes, engine.now(), finished)
        const metadata = { ...base, etag: finished.etag, part: { upload: id, number: 0 } }
        await engine.commitComposite(parts, metadata)
        const row = readObject(index, upload.bucket, upload.key)
        if (row === null) throw new StoreError('damaged', 'the index lost a committed object')
        return toRecord(upload.bucket, upload.key, row)
      })
    },
    async completed(bucket, key, id) {
      const row = readObject(index, bucket, key)
      return row !== null && row.upload === id ? toRecord(bucket, key, row) : null
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
