import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Kysely } from 'kysely'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sharedSqliteFile } from '../../../provision/database/dialect.ts'
import { connectDatabase, joinDatabase, openDatabase } from '../../../provision/database/open.ts'
import { inOneMoment } from '../../../provision/database/shared-file.ts'

type Tables = { numbers: { name: string; value: number } }
const test = suite('a file that several processes write')
let directory: string
let one: Kysely<Tables>
let two: Kysely<Tables>
const migrations = (names: string[]) => () =>
  Object.fromEntries(
    names.map(name => [
      name,
      {
        up: (database: Kysely<unknown>) =>
          database.schema.createTable(name).addColumn('name', 'text').addColumn('value', 'integer').execute(),
      },
    ]),
  )
const file = () => sharedSqliteFile(join(directory, 'numbers.sqlite'))
const numberOf = async (database: Kysely<Tables>, name: string) =>
  (await database.selectFrom('numbers').select('value').where('name', '=', name).executeTakeFirst())?.value
const set = (database: Kysely<Tables>, name: string, value: number) =>
  database.updateTable('numbers').set({ value }).where('name', '=', name).execute()

test.before.each(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sealift-shared-'))
  one = await openDatabase<Tables>(file(), migrations(['numbers']))
  two = connectDatabase<Tables>(file())
  await one
    .insertInto('numbers')
    .values(['a', 'b'].map(name => ({ name, value: 0 })))
    .execute()
})
test.after.each(async () => {
  await one.destroy()
  await two.destroy()
  rmSync(directory, { recursive: true })
})

test('what is read in one moment is of it, whatever another writes between two looks', async () => {
  const seen = await inOneMoment(one, async at => {
    const a = await numberOf(at, 'a')
    await set(two, 'a', 1)
    await set(two, 'b', 1)
    return [a, await numberOf(at, 'b')]
  })
  assert.equal(seen, [0, 0])
  assert.is(await numberOf(one, 'b'), 1, 'and the next moment sees it')
})

test('two that add in transactions of several looks lose nothing, and neither waits for all of the other', async () => {
  const order: number[] = []
  const add = (database: Kysely<Tables>, who: number) =>
    database.transaction().execute(async change => {
      const value = (await numberOf(change, 'a')) ?? 0
      await new Promise(resolve => setTimeout(resolve, 1))
      await set(change, 'a', value + 1)
      order.push(who)
    })
  await Promise.all(Array.from({ length: 40 }, (_, at) => add(at % 2 === 0 ? one : two, at % 2)))
  assert.is(await numberOf(one, 'a'), 40)
  // they take turns: who has just written stands behind who waits
  assert.ok(order.slice(0, 20).filter(who => who === 1).length > 5, order.join(''))
})

test('a transaction that fails leaves nothing and holds nobody up', async () => {
  const failed = await one
    .transaction()
    .execute(async change => {
      await set(change, 'a', 9)
      throw new Error('broken')
    })
    .catch((error: Error) => error.message)
  assert.is(failed, 'broken')
  await set(two, 'b', 2)
  assert.equal([await numberOf(two, 'a'), await numberOf(one, 'b')], [0, 2])
})

test('tables of another version are not joined', async () => {
  assert.is(await joinDatabase(file(), migrations(['numbers', 'newer'])), null)
  assert.is(await joinDatabase(file(), migrations([])), null)
  const same = await joinDatabase(file(), migrations(['numbers']))
  assert.ok(same)
  await same.destroy()
})

test.run()
