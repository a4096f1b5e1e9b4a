import { StoreError } from '../../store/object-store.ts'
import { WHOLE_BYTES } from '../../store/pack/content.ts'
import type { PackStore } from '../../store/pack/pack-store.ts'
import { attributesOf, fileOf, sameAs, storeEntry } from './entry.ts'
import { type CopyProgress, type CopyResult, type Remark, Tally } from './report.ts'
import { Room } from './room.ts'
import { codeOf, lookAgain, pathText, type SourceEntry } from './source.ts'
import { walkApart } from './walk.ts'

export type CopyOptions = {
  /** a directory or a file */
  source: string
  bucket: string
  prefix: string
  signal: AbortSignal
  onProgress: (progress: CopyProgress) => void
  onRemark: (remark: Remark) => void
}

/** How much is under way at once, in units of a small file: enough for every sealing thread to have a batch at hand and one to come. */
const ROOM = 768
const UNIT_BYTES = 64 << 10
/** What is not held whole has a sealing thread's buffers for itself: few at once. */
const LARGE_SHARE = ROOM / 4
const PROGRESS_MS = 500

/**
 * Copies a tree into a bucket. What is there already with the same size and time is not sealed again, so a copy that was killed goes on
 * where it was. Nothing is left out silently: every entry that is not stored, or stored under another name, makes a remark.
 */
export async function copyTree(store: PackStore, options: CopyOptions): Promise<CopyResult> {
  const copy = new TreeCopy(store, options)
  const timer = setInterval(() => options.onProgress(copy.tally.progress()), PROGRESS_MS)
  timer.unref()
  try {
    await copy.run()
  } finally {
    clearInterval(timer)
  }
  options.onProgress(copy.tally.progress())
  return copy.tally.result()
}

class TreeCopy {
  readonly tally: Tally
  readonly #store: PackStore
  readonly #options: CopyOptions
  readonly #room: Room

  constructor(store: PackStore, options: CopyOptions) {
    this.tally = new Tally(() => performance.now(), options.onRemark)
    this.#store = store
    this.#options = options
    this.#room = new Room(ROOM, options.signal)
  }

  async run(): Promise<void> {
    const { tally } = this
    const { source, prefix } = this.#options
    const batches = walkApart(
      { source, prefix },
      {
        lost: (path, reason) => tally.remark(path, 'failed', reason),
        found: ({ objects, bytes, whole }) => {
          tally.counts.foundObjects = objects
          tally.counts.foundBytes = bytes
          tally.counts.scanned = whole
        },
      },
    )
    for await (const batch of batches) {
      if (this.#room.over) break
      await this.#take(batch)
    }
    await this.#room.empty()
    tally.walkedAll()
  }

  /** Large files and links one by one, small files together. */
  async #take(batch: SourceEntry[]): Promise<void> {
    const { bucket } = this.#options
    this.#store.expect(
      bucket,
      batch.map(each => each.key),
    )
    const small: SourceEntry[] = []
    let share = 0
    for (const entry of batch) {
      if (!this.#wanted(entry)) continue
      if (entry.kind === 'file' && entry.size <= WHOLE_BYTES) {
        small.push(entry)
        share += Math.max(1, Math.ceil(entry.size / UNIT_BYTES))
      } else await this.#room.enter(entry.kind === 'file' ? LARGE_SHARE : 1, () => this.#copyOne(entry))
    }
    if (small.length > 0) await this.#room.enter(share, () => this.#copySmall(small))
  }

  /** Whether it is to be stored; if not, why is remarked or counted. */
  #wanted(entry: SourceEntry): boolean {
    const { tally } = this
    if (entry.kind !== 'file' && entry.kind !== 'link') {
      tally.remark(pathText(entry.path), 'skipped', `a ${entry.kind} has no content to copy`)
      return false
    }
    tally.walked(entry.size)
    if (entry.originalName !== undefined)
      tally.remark(pathText(entry.path), 'renamed', `stored as ${entry.key}; its true name goes along in its metadata`)
    const there = this.#store.look(this.#options.bucket, entry.key)
    if (there === null || !sameAs(there, entry)) return true
    tally.counts.kept++
    tally.counts.keptBytes += entry.size
    this.#count(entry)
    return false
  }

  async #copySmall(entries: SourceEntry[]): Promise<void> {
    const { signal, bucket } = this.#options
    const outcomes = await this.#store.putFiles(
      bucket,
      entries.map(entry => ({
        key: entry.key,
        file: fileOf(entry, 0, entry.size),
        attributes: attributesOf(entry),
      })),
    )
    for (const [at, fault] of outcomes.entries()) {
      const entry = entries[at]
      if (entry === undefined) continue
      if (fault === null) {
        this.tally.counts.bytes += entry.size
        this.#count(entry)
        continue
      }
      signal.throwIfAborted()
      const next = this.#after(entry, fault, 1)
      if (next !== null) await this.#copyOne(next, 2)
    }
  }

  async #copyOne(given: SourceEntry, firstAttempt = 1): Promise<void> {
    const { counts } = this.tally
    let entry: SourceEntry | null = given
    for (let attempt = firstAttempt; entry !== null; attempt++) {
      let moved = 0
      try {
        await storeEntry(this.#store, this.#options, entry, bytes => {
          moved += bytes
          counts.bytes += bytes
        })
        counts.bytes += entry.size - moved
        this.#count(entry)
        return
      } catch (error) {
        counts.bytes -= moved
        if (this.#options.signal.aborted) throw error
        entry = this.#after(entry, error, attempt)
      }
    }
  }

  /** What is tried again after a fault; null: it is remarked. @throws what concerns more than this entry */
  #after(entry: SourceEntry, fault: unknown, attempt: number): SourceEntry | null {
    const path = pathText(entry.path)
    if (!(fault instanceof StoreError)) {
      this.tally.remark(path, 'failed', codeOf(fault))
      return null
    }
    // the next attempt goes to the next drive, and says so itself when there is none
    if (fault.fault === 'full' && attempt < 2) return entry
    if (fault.fault === 'full' || fault.fault === 'read-only' || fault.fault === 'damaged') throw fault
    const again = fault.fault === 'source-changed' && attempt < 2 ? lookAgain(entry) : null
    if (again === null) this.tally.remark(path, fault.fault === 'source-changed' ? 'changed' : 'failed', fault.message)
    return again
  }

  #count(entry: SourceEntry): void {
    const { counts } = this.tally
    counts.objects++
    if (entry.kind === 'file') counts.files++
    else counts.links++
  }
}
