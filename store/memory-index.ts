import type { Index, IndexChange, IndexEntry, IndexScan } from './index-store.ts'

type Table = { keys: Buffer[]; values: Map<string, Buffer> }

/** An index that is gone with the process: for tests. Inserting moves what lies above: meant for thousands, not millions. */
export function openMemoryIndex(): Index {
  const tables = new Map<string, Table>()
  const table = (name: string): Table => {
    let found = tables.get(name)
    if (!found) {
      found = { keys: [], values: new Map() }
      tables.set(name, found)
    }
    return found
  }
  return {
    get(name, key) {
      return copy(table(name).values.get(hex(key)))
    },
    scan(name, { prefix, after, limit }: IndexScan): IndexEntry[] {
      const { keys, values } = table(name)
      const entries: IndexEntry[] = []
      let at = lowerBound(keys, Buffer.from(prefix))
      if (after && Buffer.compare(after, prefix) >= 0) {
        const bound = Buffer.from(after)
        at = lowerBound(keys, bound)
        if (keys[at]?.equals(bound)) at++
      }
      for (; at < keys.length && entries.length < limit; at++) {
        const key = keys[at]
        if (!key?.subarray(0, prefix.length).equals(prefix)) break
        entries.push({ key: Buffer.from(key), value: copy(values.get(hex(key))) ?? Buffer.alloc(0) })
      }
      return entries
    },
    write(changes: IndexChange[]) {
      for (const { table: name, key, value } of changes) {
        const { keys, values } = table(name)
        const bytes = Buffer.from(key)
        const at = lowerBound(keys, bytes)
        const there = values.has(hex(key))
        if (value) {
          if (!there) keys.splice(at, 0, bytes)
          values.set(hex(key), Buffer.from(value))
        } else if (there) {
          keys.splice(at, 1)
          values.delete(hex(key))
        }
      }
    },
    close() {
      tables.clear()
    },
  }
}

function lowerBound(keys: Buffer[], wanted: Buffer): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const key = keys[middle]
    if (key && Buffer.compare(key, wanted) < 0) low = middle + 1
    else high = middle
  }
  return low
}

function hex(key: Uint8Array): string {
  return Buffer.from(key).toString('hex')
}

function copy(value: Buffer | undefined): Buffer | null {
  return value ? Buffer.from(value) : null
}
