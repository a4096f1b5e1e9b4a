import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Kysely, sql } from 'kysely'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sqliteFile } from '../../../provision/database/dialect.ts'
import { openDatabase } from '../../../provision/database/open.ts'
import { workMigrations } from '../../../provision/intake/migrations.ts'
import type { WorkSchema } from '../../../provision/intake/schema.ts'

const test = suite("the station's file of an older version")
const directory = mkdtempSync(join(tmpdir(), 'sealift-migrations-'))
test.after(() => rmSync(directory, { recursive: true, force: true }))

test('keeps what finished runs stored; one that was under way begins again', async () => {
  const path = join(directory, 'intake.sqlite')
  const older = await openDatabase<unknown>(sqliteFile(path), kind => {
    const { '0001-first': first, '0002-further-runs-of-a-seal': second } = workMigrations(kind)
    return { ...(first && { '0001-first': first }), ...(second && { '0002-further-runs-of-a-seal': second }) }
  })
  await older.transaction().execute(async change => {
    for (const [id, phase, report] of [
      ['seal-1', 'receipt', '{"outcome":"with-findings"}'],
      ['other-2', 'judge', null],
    ] as const) {
      await sql`insert into runs (id, job, device, number, phase, started_at, report, seal, earlier)
        values (${id}, 'j', 'd', 1, ${phase}, 5, ${report}, 'seal', '')`.execute(change)
      await sql`insert into items (run, idx, kind, sequence, committed_at, object_id, epoch, size, body_length, digest_id, digest,
        envelope_hash, sealed, metadata, bucket, key, upload, number, composite, state, reason, proved)
        values (${id}, 3, 1, 4, 5, 'aa', 'bb', 6, 7, 2, x'01', x'02', x'03', x'04', 'b', x'6b', '', 0, '', 'stored', '', 1)`.execute(
        change,
      )
      await sql`insert into leaves (run, source, idx, encoded) values (${id}, 'drive', 3, x'05')`.execute(change)
    }
  })
  await older.destroy()
  const database: Kysely<WorkSchema> = await openDatabase(sqliteFile(path), workMigrations)
  const runs = await database.selectFrom('runs').select(['id', 'row', 'phase']).orderBy('id').execute()
  assert.equal(
    runs.map(({ id, phase }) => ({ id, phase })),
    [
      { id: 'other-2+', phase: 'adopt' },
      { id: 'seal-1', phase: 'receipt' },
    ],
  )
  assert.is(new Set(runs.map(each => each.row)).size, 2)
  const items = await database.selectFrom('items').selectAll().execute()
  assert.is(items.length, 1)
  assert.is(items[0]?.run, runs.find(each => each.id === 'seal-1')?.row)
  assert.equal([items[0]?.object_id, items[0]?.state, items[0]?.proved], ['aa', 'stored', 1])
  assert.equal(await database.selectFrom('leaves').selectAll().execute(), [])
  await database.destroy()
})

test('of the version before: the same, and packs that were adopted are walked again', async () => {
  const path = join(directory, 'before.sqlite')
  const older = await openDatabase<unknown>(sqliteFile(path), kind => {
    const { '0004-what-is-used-of-an-item': _, ...before } = workMigrations(kind)
    return before
  })
  await older.transaction().execute(async change => {
    for (const [row, id, report] of [
      [1, 'done-1', '{"outcome":"with-findings"}'],
      [2, 'under-way-1', null],
    ] as const) {
      await sql`insert into runs (id, row, job, device, number, phase, started_at, report, seal, earlier)
        values (${id}, ${row}, 'j', 'd', 1, 'register', 5, ${report}, 'seal', '')`.execute(change)
      await sql`insert into items (run, idx, kind, sequence, committed_at, object_id, epoch, size, body_length, digest_id, digest,
        envelope_hash, sealed, metadata, bucket, key, upload, number, composite, state, reason, proved)
        values (${row}, 3, 1, 4, 5, 'aa', 'bb', 6, 7, 2, x'01', x'02', x'', x'04', 'b', x'6b', '', 0, '', 'stored', '', 1)`.execute(
        change,
      )
      await sql`insert into packs (run, pack, path, length, head, walked) values (${row}, 'p', '/p', 9, x'01', 1)`.execute(
        change,
      )
      await sql`insert into findings (run, code, message) values (${row}, 'pack-missing', 'p')`.execute(change)
    }
  })
  await older.destroy()
  const database: Kysely<WorkSchema> = await openDatabase(sqliteFile(path), workMigrations)
  const runs = await database.selectFrom('runs').select(['id', 'row', 'phase']).orderBy('row').execute()
  assert.equal(runs, [
    { id: 'done-1', row: 1, phase: 'register' },
    // its batches are others than those that the target knows of it
    { id: 'under-way-1+', row: 2, phase: 'adopt' },
  ])
  const items = await database.selectFrom('items').select(['run', 'object_id', 'size', 'state', 'proved']).execute()
  assert.equal(items, [{ run: 1, object_id: 'aa', size: 6, state: 'stored', proved: 1 }])
  const packs = await database.selectFrom('packs').select(['run', 'walked']).orderBy('run').execute()
  assert.equal(packs, [
    { run: 1, walked: 0 },
    { run: 2, walked: 0 },
  ])
  assert.equal(await database.selectFrom('findings').select('run').execute(), [{ run: 1 }])
  await database.destroy()
})

test.run()
