import { Kysely, sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import type { DatabaseKind } from './dialect.ts'

/** Migrations by name; names sort in the order in which they were written, and a released one never changes. */
export type Migrations = (kind: DatabaseKind) => Record<string, Migration>

/** A further connection to a database that was opened already. */
export function connectDatabase<Schema>(kind: DatabaseKind): Kysely<Schema> {
  return new Kysely<Schema>({ dialect: kind.dialect })
}

/**
 * Opens a database and brings its schema up to date.
 * @throws Error - a migration failed: nothing of it is left behind
 */
export async function openDatabase<Schema>(kind: DatabaseKind, migrations: Migrations): Promise<Kysely<Schema>> {
  const database = connectDatabase<Schema>(kind)
  try {
    const migrator = migratorOf(database, kind, migrations)
    const { error, results } = await migrator.migrateToLatest()
    if (error !== undefined) {
      const failed = results?.find(each => each.status === 'Error')?.migrationName ?? 'before the first one'
      throw new Error(`database: migration ${failed} failed`, { cause: error })
    }
    return database
  } catch (error) {
    await database.destroy()
    throw error
  }
}

/**
 * Opens a database that others have open, too: its schema is not touched.
 * @returns null - it is an older one's, or a newer one's
 */
export async function joinDatabase<Schema>(kind: DatabaseKind, migrations: Migrations): Promise<Kysely<Schema> | null> {
  const database = connectDatabase<Schema>(kind)
  try {
    const known = await migratorOf(database, kind, migrations).getMigrations()
    const { count } = await sql<{ count: number }>`select count(*) as count from kysely_migration`
      .execute(database)
      .then(({ rows: [row] }) => row ?? { count: 0 })
    if (count === known.length && known.every(each => each.executedAt !== undefined)) return database
    await database.destroy()
    return null
  } catch (error) {
    await database.destroy()
    throw error
  }
}

function migratorOf<Schema>(db: Kysely<Schema>, kind: DatabaseKind, migrations: Migrations): Migrator {
  return new Migrator({ db, provider: { getMigrations: async () => migrations(kind) } })
}
