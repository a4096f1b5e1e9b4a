import { setTimeout as delay } from 'node:timers/promises'
import type BetterSqlite3 from 'better-sqlite3'
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type Kysely,
  type Transaction,
} from 'kysely'

/** Longer than any transaction of ours holds the file. */
export const WAIT_MS_MAX = 60_000
export const POLL_MS = 1

/**
 * For a file that several processes write: who waits for another waits without holding up its own event loop. A transaction that may write
 * takes the file at its beginning: one that had read first could not write any more once another process did. Before the file it takes its
 * turn, an otherwise empty file: whoever has just written stands behind those who wait.
 */
export function sharedDialect(inner: Dialect, turn: BetterSqlite3.Database): Dialect {
  // nothing was written: to commit it would need the file for itself
  const [take, give] = [turn.prepare('BEGIN IMMEDIATE'), turn.prepare('ROLLBACK')]
  return {
    createAdapter: () => inner.createAdapter(),
    createQueryCompiler: () => inner.createQueryCompiler(),
    createIntrospector: database => inner.createIntrospector(database),
    createDriver: () => sharedDriver(inner.createDriver(), { take, give, close: () => void turn.close() }),
  }
}

type Turn = { take: BetterSqlite3.Statement; give: BetterSqlite3.Statement; close: () => void }

function sharedDriver(driver: Driver, turn: Turn): Driver {
  const patient = new WeakMap<DatabaseConnection, DatabaseConnection>()
  return {
    init: options => driver.init(options),
    async acquireConnection(options) {
      const connection = await driver.acquireConnection(options)
      const known = patient.get(connection) ?? patientConnection(connection)
      patient.set(connection, known)
      return known
    },
    async beginTransaction(connection, { accessMode }) {
      if (accessMode === 'read only') return void (await connection.executeQuery(CompiledQuery.raw('begin')))
      await patiently(async () => turn.take.run())
      try {
        await connection.executeQuery(CompiledQuery.raw('begin immediate'))
      } finally {
        turn.give.run()
      }
    },
    commitTransaction: connection => driver.commitTransaction(connection),
    rollbackTransaction: connection => driver.rollbackTransaction(connection),
    releaseConnection: async () => undefined,
    async destroy() {
      await driver.destroy()
      turn.close()
    },
  }
}

function patientConnection(connection: DatabaseConnection): DatabaseConnection {
  return {
    executeQuery: (query, options) => patiently(() => connection.executeQuery(query, options)),
    streamQuery: (query, size, options) => connection.streamQuery(query, size, options),
  }
}

/** A statement that another process kept out has done nothing. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (const since = performance.now(); ; await delay(POLL_MS)) {
    try {
      return await work()
    } catch (error) {
      if (!isBusy(error) || performance.now() - since > WAIT_MS_MAX) throw error
    }
  }
}

/** Another process keeps this one out. */
export function isBusy(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'SQLITE_BUSY' || code === 'SQLITE_BUSY_RECOVERY'
}

/** All that `work` reads is of one moment, whoever writes meanwhile. Within a transaction it is that one's. */
export function inOneMoment<Schema, T>(
  database: Kysely<Schema> | Transaction<Schema>,
  work: (at: Transaction<Schema>) => Promise<T>,
): Promise<T> {
  if (isTransaction(database)) return work(database)
  return database.transaction().setAccessMode('read only').execute(work)
}

function isTransaction<Schema>(database: Kysely<Schema> | Transaction<Schema>): database is Transaction<Schema> {
  return database.isTransaction
}
