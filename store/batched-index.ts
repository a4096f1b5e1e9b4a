import { asBuffer } from '../format/bytes.ts'
import { Absence } from './absence.ts'
import type { Index, IndexChange, IndexEntry, IndexScan } from './index-store.ts'

export type BatchedIndex = Index & {
  /** These will be looked for: one look at their range, where that holds few others, saves one at each. */
  expect(table: string, keys: Uint8Array[]): void
}

/** Rows held before they are written at once, and how long at most: the more in one transaction, the fewer pages are written. */
const MOST_ROWS = 4096
const LONGEST_MS = 500
/** Looks remembered: what is looked for before a write is looked for again in it. */
const LOOKS_KEPT = 4096
/** How many rows are read for one that is expected, at most. */
const EXPECTED_AMONG = 2

/**
 * Gathers writes into large transactions of the index below. Reads see them at once. Only for caches of something durable: a crash
 * takes what had not been written yet, always the newest changes and never one of them without those before it. Nothing else writes to
 * the index below.
 */
export function batchIndex(index: Index): BatchedIndex {
  let pending = new Map<string, IndexChange>()
  const looks = new Map<string, Buffer | null>()
  let timer: NodeJS.Timeout | null = null
  const absence = new Absence()
  /** tables that held nothing when they were first asked for or written: all that is in them went through here */
  const begun = new Map<string, boolean>()

  function beganEmpty(table: string): boolean {
    let empty = begun.get(table)
    if (empty === undefined) {
      empty = index.scan(table, { prefix: Buffer.alloc(0), limit: 1 }).length === 0
      begun.set(table, empty)
    }
    return empty
  }

  const surelyAbsent = (table: string, name: string): boolean => beganEmpty(table) && absence.certain(name)

  function flush(): void {
    if (timer !== null) clearTimeout(timer)
    timer = null
    if (pending.size === 0) return
    // neighbours share pages
    index.write([...pending].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, change]) => change))
    pending = new Map()
  }

  return {
    get(table, key) {
      const name = nameOf(table, key)
      const found = pending.get(name)
      if (found !== undefined) return found.value === null ? null : asBuffer(found.value)
      if (surelyAbsent(table, name)) return null
      const known = looks.get(name)
      if (known !== undefined) return known
      const value = index.get(table, key)
      if (looks.size >= LOOKS_KEPT) looks.clear()
      looks.set(name, value)
      return value
    },
    expect(table, keys) {
      const sorted = keys.filter(key => !surelyAbsent(table, nameOf(table, key))).sort(Buffer.compare)
      const first = sorted[0]
      const last = sorted[sorted.length - 1]
      if (first === undefined || last === undefined) return
      const found = new Map<string, Buffer>()
      const own = index.get(table, first)
      if (own !== null) found.set(nameOf(table, first), own)
      const limit = sorted.length * EXPECTED_AMONG
      const rows = index.scan(table, { prefix: sharedStart(first, last), after: first, limit })
      for (const { key, value } of rows) found.set(nameOf(table, key), value)
      const end = rows[rows.length - 1]?.key
      // more than were looked at: what lies beyond is looked for one by one
      const seen = rows.length < limit || end === undefined ? last : end
      if (looks.size + sorted.length > LOOKS_KEPT) looks.clear()
      for (const key of sorted) {
        if (Buffer.compare(key, seen) > 0) break
        const name = nameOf(table, key)
        if (!pending.has(name)) looks.set(name, found.get(name) ?? null)
      }
    },
    scan(table: string, query: IndexScan): IndexEntry[] {
      flush()
      return index.scan(table, query)
    },
    write(changes) {
      for (const change of changes) {
        const name = nameOf(change.table, change.key)
        if (change.value !== null && beganEmpty(change.table)) absence.add(name)
        pending.set(name, change)
        looks.delete(name)
      }
      if (pending.size >= MOST_ROWS) return flush()
      timer ??= setTimeout(() => {
        timer = null
        try {
          flush()
        } catch {
          // what could not be written is still held: the next write or look tries again, and is told
        }
      }, LONGEST_MS).unref()
    },
    close() {
      try {
        flush()
      } finally {
        index.close()
      }
    },
  }
}

function sharedStart(a: Uint8Array, b: Uint8Array): Uint8Array {
  let length = 0
  while (length < a.length && length < b.length && a[length] === b[length]) length++
  return a.subarray(0, length)
}

function nameOf(table: string, key: Uint8Array): string {
  return `${table}\0${asBuffer(key).toString('latin1')}`
}
