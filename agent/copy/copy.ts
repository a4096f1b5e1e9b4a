import { BLAKE3_256, digestOf } from '../../format/digest.ts'
import type { ObjectAttributes, ObjectRecord, UploadId } from '../../store/object-store.ts'
import { StoreError } from '../../store/object-store.ts'
import type { PackStore } from '../../store/pack/pack-store.ts'
import type { SourceFile } from '../../store/pack/sealing/messages.ts'
import { type CopyProgress, type CopyResult, type Remark, Tally } from './report.ts'
import { codeOf, type SourceEntry, walkSource } from './source.ts'

export type CopyOptions = {
  /** a directory or a file */
  source: string
  bucket: string
  prefix: string
  signal: AbortSignal
  onProgress: (progress: CopyProgress) => void
  onRemark: (remark: Remark) => void
}

/** Files above this go in parts: sealed side by side, resumed inside the file. */
const PART_THRESHOLD_BYTES = 1 << 30
const PART_BYTES = 256 << 20
const MOST_PARTS = 10_000
/** How much is under way at once, in units of a small file: enough for every sealing thread to have a batch at hand and one to come. */
const ROOM = 512
const UNIT_BYTES = 64 << 10
const PARTS_SIDE_BY_SIDE = 3
const PROGRESS_MS = 500

const META = { modified: 'sealift-mtime', mode: 'sealift-mode', name: 'sealift-name' } as const

/**
 * Copies a tree into a bucket. What is there already with the same size and time is not sealed again, so a copy that was killed goes on
 * where it was. Nothing is left out silently: every entry that is not stored, or stored under another name, makes a remark.
 */
export async function copyTree(store: PackStore, options: CopyOptions): Promise<CopyResult> {
  const tally = new Tally(() => performance.now(), options.onRemark)
  const timer = setInterval(() => options.onProgress(tally.progress()), PROGRESS_MS)
  timer.unref()
  const scan = countSource(options, tally)
  try {
    const lost = (path: string, reason: string): void => tally.remark(path, 'failed', reason)
    await eachSideBySide(
      walkSource(options.source, options.prefix, lost),
      { room: ROOM, weight: weightOf },
      options.signal,
      entry => copyEntry(store, options, tally, entry),
    )
    await scan
  } finally {
    clearInterval(timer)
    await scan.catch(() => undefined)
  }
  options.onProgress(tally.progress())
  return tally.result()
}

/** Files that are sealed as they are read have a thread's buffers for themselves: few at once. */
function weightOf({ size }: SourceEntry): number {
  return size > 1 << 20 ? ROOM / 4 : Math.max(1, Math.ceil(size / UNIT_BYTES))
}

/** Totals for the ETA, found ahead of the copying. */
async function countSource(options: CopyOptions, tally: Tally): Promise<void> {
  for await (const entry of walkSource(options.source, options.prefix, () => undefined)) {
    if (options.signal.aborted) return
    if (entry.kind !== 'file' && entry.kind !== 'link') continue
    tally.counts.foundObjects++
    tally.counts.foundBytes += entry.size
  }
  tally.counts.scanned = true
}

async function copyEntry(store: PackStore, options: CopyOptions, tally: Tally, entry: SourceEntry): Promise<void> {
  const path = entry.path.toString('utf8')
  if (entry.kind !== 'file' && entry.kind !== 'link') {
    tally.remark(path, 'skipped', `a ${entry.kind} has no content to copy`)
    return
  }
  if (entry.originalName !== undefined)
    tally.remark(path, 'renamed', `stored as ${entry.key}; its true name goes along in its metadata`)
  const there = await store.head(options.bucket, entry.key)
  if (there !== null && sameAs(there, entry)) {
    tally.counts.kept++
    tally.counts.keptBytes += entry.size
    count(tally, entry)
    return
  }
  for (let attempt = 1; ; attempt++) {
    let moved = 0
    try {
      await storeEntry(store, options, entry, bytes => {
        moved += bytes
        tally.counts.bytes += bytes
      })
      tally.counts.bytes += entry.size - moved
      count(tally, entry)
      return
    } catch (error) {
      if (options.signal.aborted) throw error
      if (!(error instanceof StoreError)) return tally.remark(path, 'failed', codeOf(error))
      // the next attempt goes to the next drive, and says so itself when there is none
      if (error.fault === 'full' && attempt < 2) continue
      if (error.fault === 'full' || error.fault === 'read-only' || error.fault === 'damaged') throw error
      if (error.fault === 'source-changed' && attempt < 2) continue
      return tally.remark(path, error.fault === 'source-changed' ? 'changed' : 'failed', error.message)
    }
  }
}

function count(tally: Tally, entry: SourceEntry): void {
  tally.counts.objects++
  if (entry.kind === 'file') tally.counts.files++
  else tally.counts.links++
}

function sameAs(record: ObjectRecord, entry: SourceEntry): boolean {
  return (
    record.size === entry.size &&
    record.attributes.metadata[META.modified] === String(entry.modifiedAt) &&
    record.attributes.link === entry.target
  )
}

function attributesOf(entry: SourceEntry): ObjectAttributes {
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

async function storeEntry(
  store: PackStore,
  options: CopyOptions,
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

function fileOf({ path, size, modifiedAt }: SourceEntry, start: number, length: number): SourceFile {
  return { path, start, length, size, modifiedAt }
}

/** Goes on with an upload of the same file that a kill left behind. */
async function storeInParts(
  store: PackStore,
  options: CopyOptions,
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
  const width = { room: PARTS_SIDE_BY_SIDE, weight: () => 1 }
  const mayGo = (): void => options.signal.throwIfAborted()
  await eachSideBySide(fromList(missing), width, options.signal, async number => {
    const start = (number - 1) * partBytes
    const length = Math.min(partBytes, entry.size - start)
    const part = await store.putPartFile(upload, number, fileOf(entry, start, length), { mayGo, moved })
    done.set(number, part.etag)
  })
  const parts = Array.from({ length: count }, (_, at) => ({ partNumber: at + 1, etag: done.get(at + 1) ?? '' }))
  await store.completeUpload(upload, parts, {
    finish: records => ({ etag: `${records[0]?.etag.slice(0, 32) ?? ''}-${records.length}` }),
  })
}

async function openUpload(
  store: PackStore,
  options: CopyOptions,
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

async function* fromList<T>(items: T[]): AsyncGenerator<T> {
  yield* items
}

/**
 * As many at a time as there is room for; the first error stops the taking of further items and is thrown when the ones under way have
 * ended.
 */
export async function eachSideBySide<T>(
  items: AsyncIterable<T>,
  { room, weight }: { room: number; weight: (item: T) => number },
  signal: AbortSignal,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let fault: { error: unknown } | null = null
  let used = 0
  let freed: () => void = () => undefined
  const until = async (enough: () => boolean): Promise<void> => {
    while (!enough())
      await new Promise<void>(resolve => {
        freed = resolve
      })
  }
  for await (const item of items) {
    if (fault !== null || signal.aborted) break
    const share = Math.min(room, weight(item))
    if (used + share > room) await until(() => used + share <= room)
    used += share
    work(item)
      .catch((error: unknown) => {
        fault ??= { error }
      })
      .finally(() => {
        used -= share
        freed()
      })
  }
  await until(() => used === 0)
  signal.throwIfAborted()
  const met = fault as { error: unknown } | null
  if (met !== null) throw met.error
}
