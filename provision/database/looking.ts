import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { DummyDriver, Kysely, type QueryExecutorProvider, SqliteAdapter, SqliteQueryCompiler } from 'kysely'
import { isBusy, POLL_MS, WAIT_MS_MAX } from './shared-file.ts'

/** Looks of one moment. They are answered within the turn of the event loop that asks. */
export type Look = {
  /** whose dialect the texts are in */
  readonly texts: QueryExecutorProvider
  first<Row>(text: string, values: readonly unknown[]): Row | undefined
  all<Row>(text: string, values: readonly unknown[]): Row[]
}

/**
 * A connection that only reads, to a file that others write: it sees what is committed, and waits for nobody's transaction. What is asked for
 * at each request is asked here: of what a look costs by way of the connection that writes, nine tenths are the way.
 */
export type Looking = {
  /** @param work - all of it is of one moment, and nothing else of this process comes between. Called anew when it was kept out */
  atOnce<T>(work: (look: Look) => T): Promise<T>
  close(): void
}

/** @param path - as `sharedSqliteFile` has opened it */
export function openLooking(path: string): Looking {
  const database = new Database(path, { timeout: 0, fileMustExist: true })
  const statements = new Map<string, Database.Statement>()
  const prepared = (text: string): Database.Statement => {
    const known = statements.get(text)
    if (known !== undefined) return known
    const statement = database.prepare(text)
    // texts are made once for each question that our code asks, and never from values
    statements.set(text, statement)
    return statement
  }
  const texts = new Kysely<unknown>({
    dialect: {
      createAdapter: () => new SqliteAdapter(),
      createDriver: () => new DummyDriver(),
      createQueryCompiler: () => new SqliteQueryCompiler(),
      createIntrospector: () => {
        throw new Error('nothing is asked of the tables here')
      },
    },
  })
  const look: Look = {
    texts,
    // as the rows of any other statement, they are what the statement says
    first: <Row>(text: string, values: readonly unknown[]) => prepared(text).get(values) as Row | undefined,
    all: <Row>(text: string, values: readonly unknown[]) => prepared(text).all(values) as Row[],
  }
  let begin: Database.Statement
  let end: Database.Statement
  try {
    database.pragma('query_only = ON')
    begin = database.prepare('BEGIN')
    end = database.prepare('COMMIT')
  } catch (error) {
    database.close()
    throw error
  }
  const now = <T>(work: (look: Look) => T): T => {
    begin.run()
    try {
      return work(look)
    } finally {
      end.run()
    }
  }
  return {
    async atOnce(work) {
      for (const since = performance.now(); ; await delay(POLL_MS)) {
        try {
          return now(work)
        } catch (error) {
          // only while the log is put in order after a process that died
          if (!isBusy(error) || performance.now() - since > WAIT_MS_MAX) throw error
        }
      }
    },
    close: () => void database.close(),
  }
}
