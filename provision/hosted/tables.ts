import { lockDirectory } from '../../store/lock.ts'
import { StoreError } from '../../store/object-store.ts'
import { sharedSqliteFile, sqliteFile } from '../database/dialect.ts'
import { type Database, type HostedSchema, hostedMigrations } from '../database/hosted-schema.ts'
import { joinDatabase, openDatabase } from '../database/open.ts'

/** Brings the tables up to date where no other process has them; who comes in between finds them done. */
export async function updateTables(directory: string, path: string): Promise<void> {
  let alone: ReturnType<typeof lockDirectory>
  try {
    alone = lockDirectory(directory)
  } catch (error) {
    if (error instanceof StoreError && error.fault === 'busy') return
    throw error
  }
  try {
    await (await openDatabase<HostedSchema>(sqliteFile(path), hostedMigrations)).destroy()
  } finally {
    alone.close()
  }
}

/** Call it while the directory is shared. @throws StoreError "busy" - the processes that have it are of another version */
export async function joinTables(directory: string, path: string): Promise<Database> {
  const database = await joinDatabase<HostedSchema>(sharedSqliteFile(path), hostedMigrations)
  if (database !== null) return database
  throw new StoreError('busy', `${directory} is in use by processes of another version; stop them first`)
}
