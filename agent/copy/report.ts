/** What a copy has done so far; numbers only, whatever the number of files. */
export type CopyProgress = {
  /** regular files and links */
  objects: number
  files: number
  links: number
  bytes: number
  /** already there, unchanged */
  kept: number
  keptBytes: number
  /** found by the scan so far, and whether it has ended */
  foundObjects: number
  foundBytes: number
  scanned: boolean
  elapsedSeconds: number
}

export type Remark = { path: string; kind: 'skipped' | 'renamed' | 'changed' | 'failed'; reason: string }

export type CopyResult = CopyProgress & {
  skipped: number
  renamed: number
  changed: number
  failed: number
  remarks: Remark[]
}

/** Remarks kept word for word; all are counted. */
const REMARKS_KEPT = 1000

export class Tally {
  readonly #started: number
  readonly #ticks: () => number
  readonly counts = {
    objects: 0,
    files: 0,
    links: 0,
    bytes: 0,
    kept: 0,
    keptBytes: 0,
    foundObjects: 0,
    foundBytes: 0,
    scanned: false,
  }
  readonly remarks: Remark[] = []
  readonly #kinds = { skipped: 0, renamed: 0, changed: 0, failed: 0 }
  readonly #onRemark: (remark: Remark) => void
  #walkedObjects = 0
  #walkedBytes = 0

  constructor(ticks: () => number, onRemark: (remark: Remark) => void) {
    this.#ticks = ticks
    this.#started = ticks()
    this.#onRemark = onRemark
  }

  remark(path: string, kind: Remark['kind'], reason: string): void {
    const remark = { path, kind, reason }
    this.#kinds[kind]++
    if (this.remarks.length < REMARKS_KEPT) this.remarks.push(remark)
    this.#onRemark(remark)
  }

  /** One more file or link has been come to. */
  walked(bytes: number): void {
    this.#walkedObjects++
    this.#walkedBytes += bytes
  }

  /** Nothing is left to come to: what was walked is what there was. */
  walkedAll(): void {
    this.counts.foundObjects = this.#walkedObjects
    this.counts.foundBytes = this.#walkedBytes
    this.counts.scanned = true
  }

  progress(): CopyProgress {
    return { ...this.counts, elapsedSeconds: (this.#ticks() - this.#started) / 1000 }
  }

  result(): CopyResult {
    return { ...this.progress(), ...this.#kinds, remarks: this.remarks }
  }
}
