import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3-multiple-ciphers'
import { StoreError } from './object-store.ts'

export type Lock = { close(): void }

/** An open transaction on an SQLite file is a lock of the kernel on a descriptor: it goes with the process, however that dies. */
const HOLDS = {
  alone: ['BEGIN EXCLUSIVE'],
  shared: ['BEGIN', 'SELECT count(*) FROM sqlite_schema'],
} as const
/** Who takes a directory for himself only to bring it up to date has done so by then. */
const SHARE_MS = 5000

/**
 * Holds a directory for this process alone; no stale file can stay behind.
 *
 * @throws StoreError "busy" - another holds it; the message names its process id
 */
export function lockDirectory(directory: string): Lock {
  return holdDirectory(directory, 'alone')
}

/**
 * Holds a directory together with others that share it.
 *
 * @throws StoreError "busy" - another holds it for itself; the message names its process id
 */
export function shareDirectory(directory: string): Lock {
  return holdDirectory(directory, 'shared')
}

function holdDirectory(directory: string, how: keyof typeof HOLDS): Lock {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const holder = join(directory, 'lock.pid')
  const lock = hold(join(directory, 'lock.sqlite'), how, how === 'shared' ? SHARE_MS : 0)
  if (lock === null)
    throw new StoreError('busy', `${directory} is in use by process ${readHolder(holder)}; stop it first`)
  // only says who; what locks is the transaction
  writeFileSync(holder, `${process.pid}\n`, { mode: 0o600 })
  return lock
}

/**
 * Holds a file that is there for nothing else.
 *
 * @returns null - another holds it, after `waitMs` still
 */
export function lockFile(path: string, waitMs = 0): Lock | null {
  return hold(path, 'alone', waitMs)
}

function hold(path: string, how: keyof typeof HOLDS, waitMs: number): Lock | null {
  const database = new Database(path, { timeout: waitMs })
  try {
    // a rollback journal: in WAL mode readers would still get in
    database.pragma('journal_mode = DELETE')
    for (const each of HOLDS[how]) {
      const statement = database.prepare(each)
      if (statement.reader) statement.all()
      else statement.run()
    }
  } catch (error) {
    database.close()
    if (!(error instanceof Error && 'code' in error && String(error.code).startsWith('SQLITE_BUSY'))) throw error
    return null
  }
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
