import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import type { Random } from './random.ts'
import type { LogEntry } from './write-log.ts'

const SECTOR = 512
/** the super block of ext4 lies here; a medium keeps one sector of its own whole, ext4 counts on that for this one */
const SUPER_BLOCK_END = 4096

export type Cut = {
  /** entries before this one had been answered */
  at: number
  kept: number
  dropped: number
  torn: number
}

/**
 * Brings images to what a medium may hold after its power was cut: everything before the last completed flush, and of what was written
 * after it a random half, some of it torn between sectors.
 */
export class Cutter {
  readonly #entries: LogEntry[]
  readonly #log: number
  readonly #base: number
  #settled = 0

  /** @param base - an image as it was before the first entry; it is carried forward, so cuts must ascend */
  constructor(entries: LogEntry[], log: string, base: string) {
    this.#entries = entries
    this.#log = openSync(log, 'r')
    this.#base = openSync(base, 'r+')
  }

  /** Carries the base to the last flush before entry `at`. @returns the first entry that no flush covers */
  settle(at: number): number {
    const flush = this.#entries.findLastIndex((each, index) => index < at && each.kind === 'flush')
    for (; this.#settled <= flush; this.#settled++) this.#apply(this.#settled, this.#base, null)
    return this.#settled
  }

  /** Writes onto a copy of the settled base what is left of the writes that no flush covers. */
  scatter(at: number, image: string, random: Random): Cut {
    const cut: Cut = { at, kept: 0, dropped: 0, torn: 0 }
    const file = openSync(image, 'r+')
    try {
      for (let index = this.#settled; index < at; index++) {
        const entry = this.#entries[index]
        if (entry === undefined || entry.kind === 'flush') continue
        if (entry.fua || random.oneIn(2)) {
          this.#apply(index, file, null)
          cut.kept++
        } else if (
          entry.kind === 'write' &&
          entry.bytes > SECTOR &&
          entry.offset >= SUPER_BLOCK_END &&
          random.oneIn(3)
        ) {
          this.#apply(index, file, random)
          cut.torn++
        } else cut.dropped++
      }
    } finally {
      closeSync(file)
    }
    return cut
  }

  close(): void {
    closeSync(this.#log)
    closeSync(this.#base)
  }

  #apply(index: number, file: number, torn: Random | null): void {
    const entry = this.#entries[index]
    // what a discard leaves is not defined: the old bytes are one way
    if (entry === undefined || entry.kind !== 'write') return
    const bytes = Buffer.allocUnsafe(entry.bytes)
    readSync(this.#log, bytes, 0, entry.bytes, entry.data)
    if (torn === null) writeSync(file, bytes, 0, entry.bytes, entry.offset)
    else
      for (let at = 0; at < entry.bytes; at += SECTOR)
        if (torn.oneIn(2)) writeSync(file, bytes, at, Math.min(SECTOR, entry.bytes - at), entry.offset + at)
  }
}
