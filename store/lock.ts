import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3-multiple-ciphers'
import { StoreError } from './object-store.ts'

export type Lock = { close(): void }

/**
 * Holds a directory for this process alone. The lock is an open exclusive transaction on an SQLite file, that is a lock of the
 * kernel on a descriptor: it goes with the process, however it dies, and no stale file can stay behind.
 *
 * @throws StoreError "busy" - another holds it; the message names its process id
 */
export function lockDirectory(directory: string): Lock {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const holder = join(directory, 'lock.pid')
  const database = new Database(join(directory, 'lock.sqlite'), { timeout: 0 })
  try {
    // a rollback journal: in WAL mode readers would still get in
    database.pragma('journal_mode = DELETE')
    database.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if (!(error instanceof Error && 'code' in error && String(error.code).startsWith('SQLITE_BUSY'))) throw error
    throw new StoreError('busy', `${directory} is in use by process ${readHolder(holder)}; stop it first`, {
      cause: error,
    })
  }
  // only says who; what locks is the transaction
  writeFileSync(holder, `${process.pid}\n`, { mode: 0o600 })
  return {
    close() {
      if (database.open) database.close()
    },
  }
}

function readHolder(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim() || 'unknown'
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 'unknown'
    throw error
  }
}
