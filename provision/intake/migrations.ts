import { type CreateTableBuilder, type Kysely, sql } from 'kysely'
import type { DatabaseKind } from '../database/dialect.ts'
import type { Migrations } from '../database/open.ts'

export const workMigrations: Migrations = kind => ({
  '0001-first': { up: (database: Kysely<unknown>) => first(database, kind) },
  '0002-further-runs-of-a-seal': { up: furtherRuns },
  '0003-rows-by-the-hundred': { up: (database: Kysely<unknown>) => byTheHundred(database, kind) },
  '0004-what-is-used-of-an-item': { up: (database: Kysely<unknown>) => whatIsUsed(database, kind) },
})

async function furtherRuns(database: Kysely<unknown>): Promise<void> {
  for (const column of ['seal', 'earlier'])
    await database.schema
      .alterTable('runs')
      .addColumn(column, 'text', each => each.notNull().defaultTo(''))
      .execute()
  // until now a run's id was its seal
  await sql`update runs set seal = id`.execute(database)
  await database.schema.createIndex('runs_of_seal').on('runs').columns(['seal', 'number']).execute()
}

type Column = 'text' | 'bytes' | 'number' | 'maybe-text' | 'maybe-bytes'

/** A table by its columns; `key` null: rows are only put one behind the other, and found by an index that is made when they are all there. */
function tables(database: Kysely<unknown>, { bytes, wholeNumber, tableEnd }: DatabaseKind) {
  const types = { text: 'text', bytes, number: wholeNumber } as const
  return async (name: string, key: string[] | null, columns: Record<string, Column>) => {
    let made: CreateTableBuilder<string, string> = database.schema.createTable(name).modifyEnd(tableEnd)
    for (const [column, type] of Object.entries(columns)) {
      if (type === 'maybe-text') made = made.addColumn(column, 'text')
      else if (type === 'maybe-bytes') made = made.addColumn(column, bytes)
      else made = made.addColumn(column, types[type], each => each.notNull())
    }
    if (key !== null) made = made.addPrimaryKeyConstraint(`${name}_key`, key)
    await made.execute()
  }
}

const text = 'text'
const number = 'number'
const ITEM: Record<string, Column> = {
  ...{ idx: number, kind: number, sequence: number, committed_at: number, object_id: text, epoch: text },
  ...{ size: number, body_length: number, digest_id: number, digest: 'bytes', envelope_hash: 'bytes', sealed: 'bytes' },
  ...{ metadata: 'maybe-bytes', bucket: text, key: 'bytes', upload: text, number, composite: text },
  ...{ state: text, reason: text, proved: number },
}

async function first(database: Kysely<unknown>, kind: DatabaseKind): Promise<void> {
  const table = tables(database, kind)
  await table('runs', ['id'], {
    ...{ id: text, job: text, device: text, number, phase: text, started_at: number, report: 'maybe-text' },
  })
  await table('packs', ['run', 'pack'], {
    ...{ run: text, pack: text, path: text, length: number, head: 'bytes', walked: number },
  })
  await table('epochs', ['run', 'epoch'], { run: text, epoch: text, record: 'bytes', reason: text })
  await table('leaves', ['run', 'source', 'idx'], { run: text, source: text, idx: number, encoded: 'bytes' })
  await table('commits', ['run', 'object_id'], {
    ...{ run: text, object_id: text, pack: text, body_offset: number },
    ...{ envelope: 'bytes', core_header: 'bytes', fault: text },
  })
  await table('items', ['run', 'idx'], { run: text, ...ITEM })
  await table('findings', ['run', 'code', 'message'], { run: text, code: text, message: text })
  for (const [name, on, columns] of [
    ['items_by_name', 'items', ['run', 'bucket', 'key', 'sequence']],
    ['items_by_object', 'items', ['run', 'object_id']],
    ['items_by_state', 'items', ['run', 'state', 'idx']],
    ['runs_of_job', 'runs', ['job', 'number']],
  ] as const)
    await database.schema
      .createIndex(name)
      .on(on)
      .columns([...columns])
      .execute()
}

/**
 * Rows bear a number instead of the run's id, leaves lie many to a row, and what is found by a name or an id is found by indexes that the
 * phases make when their rows are there. Finished runs keep what went in; one that was under way begins again: its packs stay adopted.
 */
async function byTheHundred(database: Kysely<unknown>, kind: DatabaseKind): Promise<void> {
  const table = tables(database, kind)
  await database.schema
    .alterTable('runs')
    .addColumn('row', kind.wholeNumber, each => each.notNull().defaultTo(0))
    .execute()
  await sql`update runs set row = (select count(*) from runs as before where before.id <= runs.id)`.execute(database)
  for (const name of ['packs', 'epochs', 'leaves', 'commits', 'findings'])
    await database.schema.dropTable(name).execute()
  for (const name of ['items_by_name', 'items_by_object', 'items_by_state'])
    await database.schema.dropIndex(name).execute()
  await database.schema.alterTable('items').renameTo('items_before').execute()
  await table('packs', ['run', 'pack'], {
    ...{ run: number, pack: text, path: text, length: number, head: 'bytes', walked: number },
  })
  await table('epochs', ['run', 'epoch'], { run: number, epoch: text, record: 'bytes', reason: text })
  await table('leaves', ['run', 'source', 'idx'], {
    ...{ run: number, source: text, idx: number, count: number, encoded: 'bytes' },
  })
  await table('commits', null, {
    ...{ run: number, object_id: text, pack: text, frame: number, body_offset: number },
    ...{ envelope: 'bytes', envelope_hash: 'bytes', core_header: 'bytes', fault: text },
  })
  await table('items', ['run', 'idx'], { run: number, ...ITEM })
  await table('findings', ['run', 'code', 'message'], { run: number, code: text, message: text })
  const columns = sql.join(Object.keys(ITEM).map(each => sql.ref(each)))
  await sql`insert into items (run, ${columns}) select runs.row, ${sql.join(
    Object.keys(ITEM).map(each => sql.ref(`items_before.${each}`)),
  )} from items_before join runs on runs.id = items_before.run where runs.report is not null`.execute(database)
  await database.schema.dropTable('items_before').execute()
  await sql`update runs set phase = 'adopt' where report is null`.execute(database)
}

/** What later runs ask of what a finished one stored or deleted. */
const KEPT = ['run', 'idx', 'kind', 'sequence', 'object_id', 'epoch', 'size', 'state', 'reason', 'proved'] as const

/**
 * Items bear what is used of their metadata instead of the metadata, commits one value instead of two, and spans say where things lie.
 * Finished runs keep what is asked of them. One that was under way begins again under another name: its batches are other batches, what
 * the target has of it is met there by its origin and sequence, and its packs stay adopted.
 */
async function whatIsUsed(database: Kysely<unknown>, kind: DatabaseKind): Promise<void> {
  const table = tables(database, kind)
  for (const name of ['commits_by_object', 'items_by_name', 'items_by_object'])
    await database.schema.dropIndex(name).ifExists().execute()
  for (const name of ['commits', 'leaves']) await database.schema.dropTable(name).execute()
  await database.schema.alterTable('items').renameTo('items_before').execute()
  await table('leaves', ['run', 'source', 'idx'], {
    ...{ run: number, source: text, idx: number, count: number, encoded: 'bytes' },
  })
  await table('commits', null, {
    ...{ run: number, object_id: text, pack: text, frame: number, body_offset: number },
    ...{ envelope_hash: 'bytes', header_bytes: number, bytes: 'bytes', fault: text },
  })
  await table('items', ['run', 'idx'], {
    ...{ run: number, idx: number, kind: number, sequence: number, object_id: text, epoch: text, size: number },
    ...{ body_length: number, digest_id: number, digest: 'bytes', envelope_hash: 'bytes', sealed: 'bytes' },
    ...{ named: number, bucket: text, key: text, upload: text, number, etag: text, modified_at: number },
    ...{ attributes: text, checksum: text, line: 'bytes', composite: text, state: text, reason: text, proved: number },
  })
  await table('spans', ['run', 'epoch', 'kind', 'named'], {
    ...{ run: number, epoch: text, kind: number, named: number, first: number, last: number, count: number },
  })
  const kept = sql.join(KEPT.map(each => sql.ref(each)))
  const before = sql.join(KEPT.map(each => sql.ref(`items_before.${each}`)))
  await sql`insert into items (${kept}, body_length, digest_id, digest, envelope_hash, sealed, named, bucket, key, upload, number, etag,
    modified_at, attributes, checksum, line, composite)
    select ${before}, 0, 0, x'', x'', x'', 0, '', '', '', 0, '', 0, '{}', '', x'', ''
    from items_before join runs on runs.row = items_before.run where runs.report is not null`.execute(database)
  await database.schema.dropTable('items_before').execute()
  for (const name of ['findings', 'epochs'])
    await sql`delete from ${sql.table(name)} where run in (select row from runs where report is null)`.execute(database)
  await sql`update packs set walked = 0`.execute(database)
  await sql`update runs set phase = 'adopt', id = id || '+' where report is null`.execute(database)
}
