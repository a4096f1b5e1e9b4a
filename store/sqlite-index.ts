import { chmodSync } from 'node:fs'
import Database from 'better-sqlite3-multiple-ciphers'
import type { Index, IndexChange, IndexScan } from './index-store.ts'
import { StoreError } from './object-store.ts'

export type SqliteIndexOptions = {
  path: string
  /** 32 raw bytes: pages are encrypted and authenticated (AEGIS-256). Without it the file is plain. */
  key?: Uint8Array
  /** FULL: a write that returned survives a power cut. OFF and NORMAL: for caches that can be rebuilt. */
  synchronous: 'FULL' | 'NORMAL' | 'OFF'
}

/**
 * One process opens it at a time (see lock.ts). BLOB keys compare by memcmp in SQLite, which is the order an index promises.
 * @throws StoreError "damaged" - not a database, or the key is not the one it was made with
 */
export function openSqliteIndex(options: SqliteIndexOptions): Index {
  if (options.key && options.key.length !== 32)
    throw new RangeError(`index key: want 32 bytes, got ${options.key.length}`)
  const database = new Database(options.path)
  try {
    if (options.key) {
      // the cipher before the key, the key before any page is read
      database.pragma("cipher = 'aegis'")
      // `raw:` takes the bytes as they are: no password derivation
      database.key(Buffer.concat([Buffer.from('raw:', 'ascii'), options.key]))
    }
    // the one process that has it open need not ask the file at every look whether another has written: a third of a look
    database.pragma('locking_mode = EXCLUSIVE')
    database.pragma('journal_mode = WAL')
    database.pragma(`synchronous = ${options.synchronous}`)
    database.exec(
      'CREATE TABLE IF NOT EXISTS entry (tab TEXT NOT NULL, k BLOB NOT NULL, v BLOB NOT NULL, PRIMARY KEY (tab, k)) STRICT, WITHOUT ROWID',
    )
    chmodSync(options.path, 0o600)
  } catch (error) {
    database.close()
    if (!(error instanceof Error && 'code' in error && error.code === 'SQLITE_NOTADB')) throw error
    throw new StoreError('damaged', `${options.path} is no index, or its key is another`, { cause: error })
  }

  // in hex: the binding gives each blob memory of its own, which costs three times as much as the digits and a piece of the pool
  const get = database.prepare<[string, Uint8Array], string>('SELECT hex(v) FROM entry WHERE tab = ? AND k = ?').pluck()
  const columns = 'SELECT hex(k) AS key, hex(v) AS value FROM entry WHERE tab = ?'
  type Row = { key: string; value: string }
  const from = database.prepare<[string, Uint8Array, number], Row>(`${columns} AND k >= ? ORDER BY k LIMIT ?`)
  const between = database.prepare<[string, Uint8Array, Uint8Array, number], Row>(
    `${columns} AND k >= ? AND k < ? ORDER BY k LIMIT ?`,
  )
  const beyond = database.prepare<[string, Uint8Array, number], Row>(`${columns} AND k > ? ORDER BY k LIMIT ?`)
  const beyondBetween = database.prepare<[string, Uint8Array, Uint8Array, number], Row>(
    `${columns} AND k > ? AND k < ? ORDER BY k LIMIT ?`,
  )
  const set = database.prepare<[string, Uint8Array, Uint8Array]>(
    'INSERT INTO entry (tab, k, v) VALUES (?, ?, ?) ON CONFLICT (tab, k) DO UPDATE SET v = excluded.v',
  )
  const remove = database.prepare<[string, Uint8Array]>('DELETE FROM entry WHERE tab = ? AND k = ?')
  const write = database.transaction((changes: IndexChange[]) => {
    for (const { table, key, value } of changes) {
      if (value) set.run(table, key, value)
      else remove.run(table, key)
    }
  })

  const rowsOf = (table: string, prefix: Uint8Array, after: Uint8Array | undefined, limit: number): Row[] => {
    const end = successor(prefix)
    if (after && Buffer.compare(after, prefix) >= 0) {
      if (end && Buffer.compare(after, end) >= 0) return []
      return end ? beyondBetween.all(table, after, end, limit) : beyond.all(table, after, limit)
    }
    return end ? between.all(table, prefix, end, limit) : from.all(table, prefix, limit)
  }

  return {
    get(table, key) {
      const found = get.get(table, key)
      return found === undefined ? null : Buffer.from(found, 'hex')
    },
    scan(table, { prefix, after, limit }: IndexScan) {
      return rowsOf(table, prefix, after, limit).map(({ key, value }) => ({
        key: Buffer.from(key, 'hex'),
        value: Buffer.from(value, 'hex'),
      }))
    },
    write(changes) {
      try {
        write(changes)
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? String(error.code) : ''
        if (code === 'SQLITE_FULL')
          throw new StoreError(
            'full',
            `${options.path}: its file system is full. What was acknowledged stays; make room there and try again.`,
            { cause: error },
          )
        if (!code.startsWith('SQLITE_IOERR')) throw error
        throw new StoreError('damaged', `${options.path}: its medium does not take writes`, { cause: error })
      }
    },
    close() {
      if (database.open) database.close()
    },
  }
}

/** Least byte string above all that start with `prefix`; `null` when there is none (empty, or all ff). */
function successor(prefix: Uint8Array): Buffer | null {
  const end = Buffer.from(prefix)
  for (let at = end.length - 1; at >= 0; at--) {
    const byte = end[at]
    if (byte === undefined || byte === 0xff) continue
    end[at] = byte + 1
    return end.subarray(0, at + 1)
  }
  return null
}
