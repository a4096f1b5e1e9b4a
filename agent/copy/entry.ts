import { BLAKE3_256, digestOf } from '../../format/digest.ts'
import type { ObjectAttributes, ObjectRecord, UploadId } from '../../store/object-store.ts'
import type { PackStore } from '../../store/pack/pack-store.ts'
import type { SourceFile } from '../../store/pack/sealing/messages.ts'
import { Room } from './room.ts'
import type { SourceEntry } from './source.ts'

/** Files above this go in parts: sealed side by side, resumed inside the file. */
const PART_THRESHOLD_BYTES = 1 << 30
const PART_BYTES = 256 << 20
const MOST_PARTS = 10_000
const PARTS_SIDE_BY_SIDE = 3

/** Where it goes, and until when anybody wants it. */
type Destination = { bucket: string; signal: AbortSignal }

const META = { modified: 'sealift-mtime', mode: 'sealift-mode', name: 'sealift-name' } as const

/** What is there already is not sealed again. */
export function sameAs(record: ObjectRecord, entry: SourceEntry): boolean {
  return (
    record.size === entry.size &&
    record.attributes.metadata[META.modified] === String(entry.modifiedAt) &&
    record.attributes.link === entry.target
  )
}

export function attributesOf(entry: SourceEntry): ObjectAttributes {
  return {
    headers: {},
    metadata: {
      [META.modified]: String(entry.modifiedAt),
      [META.mode]: entry.mode.toString(8),
      ...(entry.originalName !== undefined && { [META.name]: entry.originalName }),
    },
    ...(entry.target !== undefined && { link: entry.target }),
  }
}

/** As of all that is copied: 32 hex digits of the content's digest and "-1". */
const EMPTY_ETAG = `${digestOf(BLAKE3_256, Buffer.alloc(0)).toString('hex', 0, 16)}-1`

/** @throws StoreError */
export async function storeEntry(
  store: PackStore,
  options: Destination,
  entry: SourceEntry,
  moved: (bytes: number) => void,
): Promise<void> {
  const attributes = attributesOf(entry)
  if (entry.kind === 'link')
    await store.put(options.bucket, entry.key, nothing(), {
      attributes,
      length: 0,
      finish: () => ({ etag: EMPTY_ETAG }),
    })
  else if (entry.size > PART_THRESHOLD_BYTES) await storeInParts(store, options, entry, attributes, moved)
  else {
    const mayGo = (): void => options.signal.throwIfAborted()
    await store.putFile(options.bucket, entry.key, fileOf(entry, 0, entry.size), { attributes, mayGo, moved })
  }
}

export function fileOf({ path, size, modifiedAt }: SourceEntry, start: number, length: number): SourceFile {
  return { path, start, length, size, modifiedAt }
}

/** Goes on with an upload of the same file that a kill left behind. */
async function storeInParts(
  store: PackStore,
  options: Destination,
  entry: SourceEntry,
  attributes: ObjectAttributes,
  moved: (bytes: number) => void,
): Promise<void> {
  const partBytes = Math.max(PART_BYTES, Math.ceil(entry.size / MOST_PARTS))
  const count = Math.ceil(entry.size / partBytes)
  const upload =
    (await openUpload(store, options, entry, attributes)) ??
    (await store.createUpload(options.bucket, entry.key, attributes)).id
  const done = new Map<number, string>()
  for (let after = 0; ; ) {
    const page = await store.listParts(upload, after, 1000)
    for (const part of page.parts) {
      if (part.size === Math.min(partBytes, entry.size - (part.partNumber - 1) * partBytes))
        done.set(part.partNumber, part.etag)
      after = part.partNumber
    }
    if (!page.more) break
  }
  const missing = Array.from({ length: count }, (_, at) => at + 1).filter(number => !done.has(number))
  const mayGo = (): void => options.signal.throwIfAborted()
  const room = new Room(PARTS_SIDE_BY_SIDE, options.signal)
  for (const number of missing) {
    const start = (number - 1) * partBytes
    const length = Math.min(partBytes, entry.size - start)
    await room.enter(1, async () => {
      const part = await store.putPartFile(upload, number, fileOf(entry, start, length), { mayGo, moved })
      done.set(number, part.etag)
    })
  }
  await room.empty()
  const parts = Array.from({ length: count }, (_, at) => ({ partNumber: at + 1, etag: done.get(at + 1) ?? '' }))
  await store.completeUpload(upload, parts, {
    finish: records => ({ etag: `${records[0]?.etag.slice(0, 32) ?? ''}-${records.length}` }),
  })
}

async function openUpload(
  store: PackStore,
  options: Destination,
  entry: SourceEntry,
  attributes: ObjectAttributes,
): Promise<UploadId | null> {
  const { uploads } = await store.listUploads(options.bucket, { prefix: entry.key, limit: 100 })
  const found = uploads.find(
    each => each.key === entry.key && each.attributes.metadata[META.modified] === attributes.metadata[META.modified],
  )
  return found?.id ?? null
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
