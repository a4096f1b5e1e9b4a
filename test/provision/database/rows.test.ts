import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Kysely, sql } from 'kysely'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { makeDurable, sqliteFile } from '../../../provision/database/dialect.ts'
import { openLooking } from '../../../provision/database/looking.ts'
import { finder, inserter, joinedLook, replacer, seeker, stretches } from '../../../provision/database/rows.ts'

type Line = { place: string; number: number; bytes: Buffer; maybe: string | null }
const test = suite('rows by the hundred')
const directory = mkdtempSync(join(tmpdir(), 'sealift-rows-'))
let opened = 0

async function open(): Promise<Kysely<{ lines: Line }>> {
  const { dialect } = sqliteFile(join(directory, `${++opened}.sqlite`), 'kill')
  const database = new Kysely<{ lines: Line }>({ dialect })
  await database.schema
    .createTable('lines')
    .addColumn('place', 'text')
    .addColumn('number', 'integer', column => column.primaryKey())
    .addColumn('bytes', 'blob')
    .addColumn('maybe', 'text')
    .execute()
  return database
}
const lines = (count: number): Line[] =>
  Array.from({ length: count }, (_, number) => ({
    place: number % 2 ? 'odd' : 'even',
    number,
    bytes: Buffer.of(number & 255, number >> 8),
    maybe: number % 3 ? null : `n${number}`,
  }))
const insert = inserter<Line>('lines', ['place', 'number', 'bytes', 'maybe'])

test.after(() => rmSync(directory, { recursive: true, force: true }))

for (const count of [0, 1, 2, 3, 4, 5, 16, 63, 85, 255, 256, 257, 512, 1023])
  test(`${count} go in as they are`, async () => {
    const database = await open()
    await database.transaction().execute(change => insert(change, lines(count)))
    await makeDurable(database)
    assert.equal(await database.selectFrom('lines').selectAll().orderBy('number').execute(), lines(count))
    await database.destroy()
  })

test('a row that is refused is an error, and its transaction leaves nothing', async () => {
  const database = await open()
  await insert(database, lines(1))
  const failed = await database
    .transaction()
    .execute(change => insert(change, [...lines(300).slice(1), ...lines(1)]))
    .catch(error => error)
  assert.ok(failed instanceof Error)
  assert.is((await database.selectFrom('lines').selectAll().execute()).length, 1)
  await database.destroy()
})

test('what is there of many is found, within a place or anywhere', async () => {
  const database = await open()
  await insert(database, lines(600))
  const [anywhere, within] = [finder<number>('lines', 'number'), finder<number>('lines', 'number', 'place')]
  const asked = Array.from({ length: 300 }, (_, at) => 450 + at)
  assert.equal((await anywhere(database, asked)).sort(), asked.slice(0, 150))
  const odd = asked.slice(0, 150).filter(number => number % 2)
  assert.equal((await within(database, asked, 'odd')).sort(), odd)
  assert.equal(await within(database, asked, 'elsewhere'), [])
  assert.equal(await anywhere(database, []), [])
  await database.destroy()
})

test('one row is found by its columns', async () => {
  const database = await open()
  await insert(database, lines(10))
  const seek = seeker<Line>('lines', ['number', 'bytes'], ['place', 'number'])
  assert.equal(await seek(database, 'odd', 7), { number: 7, bytes: Buffer.of(7, 0) })
  assert.is(await seek(database, 'even', 7), undefined)
  await database.destroy()
})

test('one row is found with what another table says of it; what is not there is null', async () => {
  const database = await open()
  await insert(database, lines(10))
  await sql`create table notes (number integer primary key, note text)`.execute(database)
  await sql`insert into notes values (7, 'seven')`.execute(database)
  type Note = { number: number; note: string }
  const other = { table: 'notes', columns: ['note'], on: 'number' } as const
  const odd = JSON.stringify({ a: '"\n\u0001ü' })
  await sql`update lines set place = ${odd} where number = 7`.execute(database)
  const one = joinedLook<Line, Note>('lines', ['place', 'number', 'bytes', 'maybe'], ['bytes'], other, ['bytes'])
  const looking = openLooking(join(directory, `${opened}.sqlite`))
  const found = (bytes: Buffer) => looking.atOnce(look => one(look, bytes))
  assert.equal(await found(Buffer.of(7, 0)), {
    ...{ place: odd, number: 7, maybe: null, note: 'seven', bytes: Buffer.of(7, 0) },
  })
  assert.equal(await found(Buffer.of(6, 0)), {
    ...{ place: 'even', number: 6, maybe: 'n6', note: null, bytes: Buffer.of(6, 0) },
  })
  assert.is(await found(Buffer.of(6, 1)), undefined)
  looking.close()
  await database.destroy()
})

test('a row takes the place of the one with its value, and of no other', async () => {
  const database = await open()
  await insert(database, lines(3))
  const replace = replacer<Line>('lines', ['place', 'number', 'bytes', 'maybe'], 'number')
  for (const number of [1, 3]) await replace(database, { place: 'new', number, bytes: Buffer.of(9), maybe: null })
  const rows = await database.selectFrom('lines').select(['number', 'place', 'maybe']).orderBy('number').execute()
  assert.equal(rows, [
    { number: 0, place: 'even', maybe: 'n0' },
    { number: 1, place: 'new', maybe: null },
    { number: 2, place: 'even', maybe: null },
    { number: 3, place: 'new', maybe: null },
  ])
  await database.destroy()
})

for (const [numbers, wanted] of [
  [[], []],
  [[4], [[4, 4]]],
  [[0, 1, 2], [[0, 2]]],
  [
    [0, 2, 3, 7],
    [
      [0, 0],
      [2, 3],
      [7, 7],
    ],
  ],
] as [number[], [number, number][]][])
  test(`stretches of ${JSON.stringify(numbers)}`, () => {
    assert.equal(
      stretches(numbers),
      wanted.map(([first, last]) => ({ first, last })),
    )
  })

test.run()
