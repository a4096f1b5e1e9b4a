import { chmodSync, closeSync, openSync } from 'node:fs'
import Database from 'better-sqlite3'
import { type Dialect, type QueryExecutorProvider, type RawBuilder, SqliteDialect, sql } from 'kysely'
import { sharedDialect } from './shared-file.ts'
import { syncedApart } from './synced-apart.ts'

/** What differs between the databases that we run on, all of it: queries and migrations use nothing else of their own. */
export type DatabaseKind = {
  dialect: Dialect
  /** column types */
  bytes: RawBuilder<unknown>
  wholeNumber: RawBuilder<unknown>
  /** of 64 bits */
  fraction: RawBuilder<unknown>
  /** what ends a CREATE TABLE */
  tableEnd: RawBuilder<unknown>
}

const STATEMENTS_MAX = 200
const IS_PRAGMA = /^pragma\b/i
const CHECKPOINT_PAGES = 4096
/** Another thread's connection may wait for a disk that syncs gigabytes, and hold the file meanwhile. */
const LOCKED_MS_MAX = 60_000

/**
 * What a commit that returned survives. 'power-cut': that, too. 'kill': the end of the process; a power cut may take the last commits back,
 * never one of them without those after it. What must not be taken back is then said with `makeDurable`.
 */
export type Survives = 'power-cut' | 'kill'

/** A file of this process alone, 0600. */
export function sqliteFile(path: string, survives: Survives = 'power-cut'): DatabaseKind {
  const database = openFile(path, survives)
  return { dialect: dialectOf(database), ...SQLITE }
}

/** The same for a process that has other things to do while the medium takes a commit; commits survive a power cut. */
export function apartSqliteFile(path: string): DatabaseKind {
  const database = openFile(path, 'kill')
  database.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
  return { dialect: syncedApart(dialectOf(database), path), ...SQLITE }
}

/** A file, 0600, that other processes of this machine open in the same way. On a local file system: the log is in shared memory. */
export function sharedSqliteFile(path: string): DatabaseKind {
  const database = openFile(path, 'power-cut')
  let turn: Database.Database | undefined
  try {
    // from here on it is waited for without holding up this process
    database.pragma('busy_timeout = 0')
    makePrivate(`${path}-turn`)
    turn = new Database(`${path}-turn`, { timeout: 0 })
    return { dialect: sharedDialect(dialectOf(database), turn), ...SQLITE }
  } catch (error) {
    turn?.close()
    database.close()
    throw error
  }
}

/** Made here, so that it is never readable by others, not even for a moment. */
function makePrivate(path: string): void {
  closeSync(openSync(path, 'a', 0o600))
  chmodSync(path, 0o600)
}

function openFile(path: string, survives: Survives): Database.Database {
  makePrivate(path)
  const database = new Database(path, { timeout: LOCKED_MS_MAX })
  try {
    database.pragma('journal_mode = WAL')
    database.pragma(`synchronous = ${survives === 'kill' ? 'NORMAL' : 'FULL'}`)
    database.pragma('foreign_keys = ON')
    database.pragma('secure_delete = ON')
    // KiB: a transaction of some thousand rows stays in memory till it is committed, and is written once
    database.pragma('cache_size = -8192')
    // pages: what many transactions touch is moved from the log into the file once for all of them
    database.pragma(`wal_autocheckpoint = ${survives === 'kill' ? 16_384 : CHECKPOINT_PAGES}`)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

function dialectOf(database: Database.Database): Dialect {
  const statements = new Map<string, Database.Statement>()
  const prepare = (text: string): Database.Statement => {
    const known = statements.get(text)
    if (known !== undefined) return known
    const statement = database.prepare(text)
    // most of them do what they say when they are prepared, and nothing when they are run once more (sqlite.org/pragma.html)
    if (IS_PRAGMA.test(text)) return statement
    // texts come from our own code and are few; lists in IN (...) are what could make them many
    if (statements.size < STATEMENTS_MAX) statements.set(text, statement)
    return statement
  }
  return new SqliteDialect({ database: { prepare, close: () => void database.close() } })
}

const SQLITE: Omit<DatabaseKind, 'dialect'> = {
  bytes: sql`blob`,
  wholeNumber: sql`integer`,
  fraction: sql`real`,
  tableEnd: sql`strict`,
}

/** What is deleted meanwhile keeps its bytes till their place is used again: for what is no secret, to write it over is work for nothing. */
export async function withoutOverwriting(database: QueryExecutorProvider, change: () => Promise<void>): Promise<void> {
  await sql`pragma secure_delete = OFF`.execute(database)
  try {
    await change()
  } finally {
    await sql`pragma secure_delete = ON`.execute(database)
  }
}

/** Everything committed so far survives a power cut from here on: fsync of the log, then of the file that it is moved into. */
export async function makeDurable(database: QueryExecutorProvider): Promise<void> {
  await sql`pragma wal_checkpoint(passive)`.execute(database)
}
