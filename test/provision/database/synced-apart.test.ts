import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Kysely } from 'kysely'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { apartSqliteFile } from '../../../provision/database/dialect.ts'
import { connectDatabase } from '../../../provision/database/open.ts'

type Tables = { numbers: { name: string; value: number } }
const test = suite('commits that are synced apart')
let directory: string
let path: string
const open = () => connectDatabase<Tables>(apartSqliteFile(path))
const insert = (database: Pick<Kysely<Tables>, 'insertInto'>, name: string) =>
  database.insertInto('numbers').values({ name, value: 1 }).execute()
const names = async (database: Kysely<Tables>) =>
  (await database.selectFrom('numbers').select('name').orderBy('name').execute()).map(each => each.name)
const messageOf = (work: Promise<unknown>) => work.then(() => 'done').catch((error: Error) => error.message)

test.before.each(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sealift-apart-'))
  path = join(directory, 'numbers.sqlite')
  const database = open()
  await database.schema.createTable('numbers').addColumn('name', 'text').addColumn('value', 'integer').execute()
  await database.destroy()
})
test.after.each(() => rmSync(directory, { recursive: true }))

test('what is committed is there, what is rolled back is not, also for the next that opens', async () => {
  const database = open()
  await insert(database, 'alone')
  await database.transaction().execute(change => insert(change, 'together'))
  const broken = database.transaction().execute(async change => {
    await insert(change, 'never')
    throw new Error('broken')
  })
  assert.is(await messageOf(broken), 'broken')
  assert.equal(await names(database), ['alone', 'together'])
  await database.destroy()
  const again = open()
  assert.equal(await names(again), ['alone', 'together'])
  await again.destroy()
})

test('this process goes on while a commit is synced, and nobody else comes to the file', async () => {
  const database = open()
  await insert(database, 'first')
  const order: string[] = []
  const commit = database
    .transaction()
    .execute(change => insert(change, 'second'))
    .then(() => order.push('committed'))
  const look = names(database).then(found => order.push(found.join(' ')))
  await new Promise(resolve => setImmediate(resolve)).then(() => order.push('a turn'))
  await Promise.all([commit, look])
  assert.is(order[0], 'a turn')
  assert.equal(order.toSorted(), ['a turn', 'committed', 'first second'])
  await database.destroy()
})

test('a commit that cannot be synced is not acknowledged, and none after it', async () => {
  for (const write of [
    (database: Kysely<Tables>) => insert(database, 'x'),
    (database: Kysely<Tables>) => database.transaction().execute(change => insert(change, 'x')),
  ]) {
    const database = open()
    await names(database)
    rmSync(`${path}-wal`)
    assert.match(await messageOf(write(database)), /ENOENT/)
    assert.match(await messageOf(write(database)), /the medium did not take a commit/)
    await names(database)
    await database.destroy()
  }
})

test.run()
