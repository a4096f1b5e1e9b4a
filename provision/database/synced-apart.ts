import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { DatabaseConnection, Dialect, Driver } from 'kysely'

/** Statements that leave nothing to be synced. */
const WRITES_NOTHING = /^\s*(?:select|pragma|begin|commit|rollback|savepoint|release)\b/i

/**
 * For a file of one process that has other things to do while the medium takes a commit: SQLite writes the log and does not wait, and
 * here the log is synced in the thread pool. A commit resolves as before when it is on the medium, and nothing else of this process comes to
 * the file meanwhile.
 *
 * @param inner - commits survive a kill, not a power cut (`synchronous = NORMAL`)
 * @param path - of the file; its log lies beside it for as long as it is open
 */
export function syncedApart(inner: Dialect, path: string): Dialect {
  return {
    createAdapter: () => inner.createAdapter(),
    createQueryCompiler: () => inner.createQueryCompiler(),
    createIntrospector: database => inner.createIntrospector(database),
    createDriver: () => syncedDriver(inner.createDriver(), logOf(path)),
  }
}

function syncedDriver(driver: Driver, log: Log): Driver {
  const known = new WeakMap<DatabaseConnection, DatabaseConnection>()
  // one connection: whoever has begun has it for himself
  let inTransaction = false
  const synced = (connection: DatabaseConnection): DatabaseConnection => ({
    async executeQuery(query, options) {
      const result = await connection.executeQuery<never>(query, options)
      if (!inTransaction && !WRITES_NOTHING.test(query.sql)) await log.sync()
      return result
    },
    streamQuery: (query, size, options) => connection.streamQuery(query, size, options),
  })
  return {
    init: options => driver.init(options),
    async acquireConnection(options) {
      const connection = await driver.acquireConnection(options)
      const made = known.get(connection) ?? synced(connection)
      known.set(connection, made)
      return made
    },
    async beginTransaction(connection, settings) {
      await driver.beginTransaction(connection, settings)
      inTransaction = true
    },
    async commitTransaction(connection) {
      await driver.commitTransaction(connection)
      inTransaction = false
      await log.sync() // commit point: from here on a power cut does not take it back
    },
    async rollbackTransaction(connection) {
      // one that was committed and not synced is none any more
      if (!inTransaction) return
      inTransaction = false
      await driver.rollbackTransaction(connection)
    },
    releaseConnection: async () => undefined,
    async destroy() {
      await log.close()
      await driver.destroy()
    },
  }
}

type Log = { sync(): Promise<void>; close(): Promise<void> }

function logOf(path: string): Log {
  let file: FileHandle | null = null
  let lost: { cause: unknown } | null = null
  return {
    async sync() {
      // after a sync that failed the next says that all is well, and it is not (fsync(2), "errors"): nothing more is promised
      if (lost !== null) throw new Error(`${path}: the medium did not take a commit; start again`, lost)
      try {
        if (file === null) {
          file = await open(`${path}-wal`, 'r')
          await syncNames(dirname(path))
        }
        await file.datasync()
      } catch (cause) {
        lost = { cause }
        throw cause
      }
    },
    async close() {
      await file?.close()
      file = null
    },
  }
}

/** fsync(dir): the log's name. */
async function syncNames(directory: string): Promise<void> {
  const opened = await open(directory, 'r')
  try {
    await opened.sync()
  } finally {
    await opened.close()
  }
}
