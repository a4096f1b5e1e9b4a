import { open } from 'node:fs/promises'
import type { MultipartStore, ObjectAttributes, ObjectRecord, UploadId } from '../../store/object-store.ts'
import { StoreError } from '../../store/object-store.ts'
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
const READ_BYTES = 1 << 20
/** Small files wait for the drive's sync together. */
const SIDE_BY_SIDE = 32
const PARTS_SIDE_BY_SIDE = 3
const PROGRESS_MS = 500

const META = { modified: 'sealift-mtime', mode: 'sealift-mode', name: 'sealift-name' } as const

/** A source that was not what it was when it was looked at. */
class ChangedError extends Error {
  override readonly name = 'ChangedError'
}

/**
 * Copies a tree into a bucket. What is there already with the same size and time is not sealed again, so a copy that was killed goes on
 * where it was. Nothing is left out silently: every entry that is not stored, or stored under another name, makes a remark.
 */
export async function copyTree(store: MultipartStore, options: CopyOptions): Promise<CopyResult> {
  const tally = new Tally(() => performance.now(), options.onRemark)
  const timer = setInterval(() => options.onProgress(tally.progress()), PROGRESS_MS)
  timer.unref()
  const scan = countSource(options, tally)
  try {
    const lost = (path: string, reason: string): void => tally.remark(path, 'failed', reason)
    await eachSideBySide(walkSource(options.source, options.prefix, lost), SIDE_BY_SIDE, options.signal, entry =>
      copyEntry(store, options, tally, entry),
    )
    await scan
  } finally {
    clearInterval(timer)
    await scan.catch(() => undefined)
  }
  options.onProgress(tally.progress())
  return tally.result()
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

async function copyEntry(store: MultipartStore, options: CopyOptions, tally: Tally, entry: SourceEntry): Promise<void> {
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
    try {
      await storeEntry(store, options, entry, bytes => {
        tally.counts.bytes += bytes
      })
      count(tally, entry)
      return
    } catch (error) {
      if (options.signal.aborted) throw error
      if (
        error instanceof StoreError &&
        (error.fault === 'full' || error.fault === 'read-only' || error.fault === 'damaged')
      )
        throw error
      if (error instanceof ChangedError && attempt < 2) continue
      tally.remark(
        path,
        error instanceof ChangedError ? 'changed' : 'failed',
        error instanceof ChangedError ? error.message : codeOf(error),
      )
      return
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

/** 32 hex of the content's digest, as ETags of S3 stores that keep no MD5 look. */
const etagOf = (digest: Uint8Array | undefined): string =>
  `${Buffer.from(digest ?? [])
    .toString('hex')
    .slice(0, 32)}-1`

async function storeEntry(
  store: MultipartStore,
  options: CopyOptions,
  entry: SourceEntry,
  moved: (bytes: number) => void,
): Promise<void> {
  const attributes = attributesOf(entry)
  if (entry.kind === 'link') {
    await store.put(options.bucket, entry.key, nothing(), {
      attributes,
      length: 0,
      finish: digest => ({ etag: etagOf(digest) }),
    })
    return
  }
  if (entry.size > PART_THRESHOLD_BYTES) return storeInParts(store, options, entry, attributes, moved)
  await store.put(options.bucket, entry.key, readRange(entry, 0, entry.size, options.signal, moved), {
    attributes,
    length: entry.size,
    finish: digest => ({ etag: etagOf(digest) }),
  })
}

/** Goes on with an upload of the same file that a kill left behind. */
async function storeInParts(
  store: MultipartStore,
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
  await eachSideBySide(fromList(missing), PARTS_SIDE_BY_SIDE, options.signal, async number => {
    const start = (number - 1) * partBytes
    const length = Math.min(partBytes, entry.size - start)
    const part = await store.putPart(upload, number, readRange(entry, start, length, options.signal, moved), {
      length,
      finish: digest => ({ etag: etagOf(digest) }),
    })
    done.set(number, part.etag)
  })
  const parts = Array.from({ length: count }, (_, at) => ({ partNumber: at + 1, etag: done.get(at + 1) ?? '' }))
  await store.completeUpload(upload, parts, {
    finish: records => ({ etag: `${records[0]?.etag.slice(0, 32) ?? ''}-${records.length}` }),
  })
}

async function openUpload(
  store: MultipartStore,
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
 * Bytes of a file, and proof that it held still: size and time are looked at before and after.
 * @throws ChangedError
 */
async function* readRange(
  entry: SourceEntry,
  start: number,
  length: number,
  signal: AbortSignal,
  moved: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  const file = await open(entry.path, 'r')
  try {
    const same = async (): Promise<boolean> => {
      const now = await file.stat()
      return now.size === entry.size && Math.trunc(now.mtimeMs) === entry.modifiedAt
    }
    if (!(await same())) throw new ChangedError('it changed between the look and the reading')
    let at = start
    const end = start + length
    while (at < end) {
      signal.throwIfAborted()
      const piece = Buffer.allocUnsafe(Math.min(READ_BYTES, end - at))
      const { bytesRead } = await file.read(piece, 0, piece.length, at)
      if (bytesRead === 0) throw new ChangedError('it became shorter while it was read')
      at += bytesRead
      moved(bytesRead)
      yield piece.subarray(0, bytesRead)
    }
    if (!(await same())) throw new ChangedError('it changed while it was read')
  } finally {
    await file.close()
  }
}

/** At most `width` at a time; the first error stops the taking of further items and is thrown when the ones under way have ended. */
export async function eachSideBySide<T>(
  items: AsyncIterable<T>,
  width: number,
  signal: AbortSignal,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const running = new Set<Promise<void>>()
  let fault: { error: unknown } | null = null
  for await (const item of items) {
    if (fault !== null || signal.aborted) break
    const task = work(item)
      .catch((error: unknown) => {
        fault ??= { error }
      })
      .finally(() => running.delete(task))
    running.add(task)
    if (running.size >= width) await Promise.race(running)
  }
  await Promise.all(running)
  signal.throwIfAborted()
  const met = fault as { error: unknown } | null
  if (met !== null) throw met.error
}
