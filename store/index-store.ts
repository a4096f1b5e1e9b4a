/**
 * An ordered map of names to small records: what an engine needs to find and list objects.
 * Keys are byte strings in memcmp order. Synchronous on purpose: an embedded engine answers in microseconds.
 */
export interface Index {
  get(table: string, key: Uint8Array): Buffer | null
  /** Ascending from `after` (exclusive) or the prefix's start, at most `limit` entries. */
  scan(table: string, query: IndexScan): IndexEntry[]
  /** All or nothing. */
  write(changes: IndexChange[]): void
  close(): void
}

export type IndexScan = { prefix: Uint8Array; after?: Uint8Array; limit: number }
export type IndexEntry = { key: Buffer; value: Buffer }
export type IndexChange = { table: string; key: Uint8Array; value: Uint8Array | null }
