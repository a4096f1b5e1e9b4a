import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Kysely } from 'kysely'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sharedSqliteFile } from '../../../provision/database/dialect.ts'
import { type Look, type Looking, openLooking } from '../../../provision/database/looking.ts'
import { connectDatabase } from '../../../provision/database/open.ts'
import { seeker } from '../../../provision/database/rows.ts'

type Row = { name: string; value: number }
type Tables = { numbers: Row }
const test = suite('looks beside the connection that writes')
const byName = seeker<Row>('numbers', ['name', 'value'], ['name'])
let directory: string
let database: Kysely<Tables>
let looking: Looking
const set = (on: Pick<Kysely<Tables>, 'updateTable'>, value: number) =>
  on.updateTable('numbers').set({ value }).where('name', '=', 'a').execute()
const valueIn = (look: Look): number | undefined => byName.now(look, 'a')?.value

test.before.each(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sealift-looking-'))
  const path = join(directory, 'numbers.sqlite')
  database = connectDatabase<Tables>(sharedSqliteFile(path))
  await database.schema.createTable('numbers').addColumn('name', 'text').addColumn('value', 'integer').execute()
  await database.insertInto('numbers').values({ name: 'a', value: 0 }).execute()
  looking = openLooking(path)
})
test.after.each(async () => {
  looking.close()
  looking.close()
  await database.destroy()
  rmSync(directory, { recursive: true })
})

test('a look sees what is committed, at once, and nothing that is not', async () => {
  await database.transaction().execute(async change => {
    await set(change, 1)
    assert.is(await looking.atOnce(valueIn), 0, 'and it does not wait for the transaction')
  })
  assert.is(await looking.atOnce(valueIn), 1)
  assert.is(await looking.atOnce(look => byName.now(look, 'none')), undefined)
})

test('it is answered in the turn that asks', async () => {
  let seen: number | undefined
  const asked = looking.atOnce(look => {
    seen = valueIn(look)
  })
  assert.is(seen, 0)
  await asked
})

test('what a look throws is thrown, and the next is of its own moment', async () => {
  const broken = new Error('broken')
  const fail = (look: Look) => {
    valueIn(look)
    throw broken
  }
  assert.is(await looking.atOnce(fail).catch((error: unknown) => error), broken)
  await set(database, 2)
  assert.equal(await looking.atOnce(look => look.all('select value from numbers', [])), [{ value: 2 }])
})

test('nothing is written by a look', async () => {
  const write = (look: Look) => look.all("update numbers set value = 3 where name = 'a' returning value", [])
  const error = await looking.atOnce(write).catch((cause: unknown) => cause)
  assert.match(String(error), /readonly/)
  assert.is(await looking.atOnce(valueIn), 0)
})

test.run()
