import type { Index, IndexChange, IndexEntry, IndexScan } from './index-store.ts'

/** Rows held before they are written at once. */
const MOST = 1024

/**
 * Gathers the writes of one turn of the loop into one transaction of the index below. Reads see them at once. For caches of something
 * durable only: what a crash takes with it is what had not been gathered yet, always the newest.
 */
export function batchIndex(index: Index): Index {
  let pending = new Map<string, IndexChange>()
  let due = false

  function flush(): void {
    if (pending.size === 0) return
    index.write([...pending.values()])
    pending = new Map()
  }

  return {
    get(table, key) {
      const found = pending.get(nameOf(table, key))
      if (found === undefined) return index.get(table, key)
      return found.value === null ? null : asBuffer(found.value)
    },
    scan(table: string, query: IndexScan): IndexEntry[] {
      flush()
      return index.scan(table, query)
    },
    write(changes) {
      for (const change of changes) pending.set(nameOf(change.table, change.key), change)
      if (pending.size >= MOST) return flush()
      if (due) return
      due = true
      setImmediate(() => {
        due = false
        try {
          flush()
        } catch {
          // what could not be written is still held: the next write or look tries again, and is told
        }
      })
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

function nameOf(table: string, key: Uint8Array): string {
  return `${table}\0${asBuffer(key).toString('latin1')}`
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
