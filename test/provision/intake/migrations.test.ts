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
      { id: 'other-2', phase: 'adopt' },
      { id: 'seal-1', phase: 'receipt' },
    ],
  )
  assert.is(new Set(runs.map(each => each.row)).size, 2)
  const items = await database.selectFrom('items').selectAll().execute()
  assert.is(items.length, 1)
  assert.is(items[0]?.run, runs.find(each => each.id === 'seal-1')?.row)
  assert.equal(items[0]?.key, Buffer.from('k'))
  assert.equal([items[0]?.object_id, items[0]?.state, items[0]?.proved], ['aa', 'stored', 1])
  assert.equal(await database.selectFrom('leaves').selectAll().execute(), [])
  await database.destroy()
})

test.run()
