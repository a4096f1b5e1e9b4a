import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { HOUR_MS, periodOf, type Quota, whyNot } from '../../../../provision/hosted/usage/dimension.ts'
import { AtOnce, Rates } from '../../../../provision/hosted/usage/rates.ts'
import { csvLine } from '../../../../provision/hosted/usage/report.ts'
import { parseAmount, parseScope, quotaLine } from '../../../../provision/hosted/usage/spoken.ts'
import { byHour } from '../../../../provision/hosted/usage/stored.ts'

const test = suite('quotas and rates, purely')

for (const [text, amount, period] of [
  ['0', 0, 'none'],
  ['1', 1, 'none'],
  ['10TB', 10e12, 'none'],
  ['1.5GiB', 1.5 * 2 ** 30, 'none'],
  ['512mib', 512 * 2 ** 20, 'none'],
  ['1000/day', 1000, 'day'],
  ['50/second', 50, 'second'],
] as const)
  test(`${text} is an amount`, () => assert.equal(parseAmount(text), { amount, period }))

for (const text of ['', '-1', '1x', '1e9', 'TB', '1/week', '1/day/day', '9999999999999999PB', '1 000'])
  test(`"${text}" is none`, () => {
    assert.throws(
      () => parseAmount(text),
      (error: unknown) => error instanceof RangeError,
    )
  })

test('a scope is named with whose it is', () => {
  assert.equal(parseScope('bucket:film'), { scope: 'bucket', whose: 'film' })
  assert.equal(parseScope('user:acme/anna'), { scope: 'user', whose: 'acme/anna' })
  assert.equal(parseScope('everybody'), { scope: 'everybody', whose: '' })
  assert.throws(() => parseScope('world'))
})

const quota = (more: Partial<Quota>): Quota => ({
  ...{ scope: 'bucket', id: 'b', dimension: 'reads', period: 'day', amount: 1 },
  ...more,
})
for (const [name, given, fits] of [
  ['reads of a bucket a day', {}, true],
  ['reads a second', { period: 'second' }, false],
  ['reads without a period', { period: 'none' }, false],
  ['a bucket without its name', { id: '' }, false],
  ['everybody with a name', { scope: 'everybody' }, false],
  ['reads of everybody', { scope: 'everybody', id: '' }, true],
  ['reads of an address', { scope: 'address', id: '' }, false],
  ['requests of an address a second', { scope: 'address', id: '', dimension: 'requests', period: 'second' }, true],
  ['requests of a bucket a second', { dimension: 'requests', period: 'second' }, false],
  ['connections of a user', { scope: 'user', dimension: 'connections', period: 'none' }, true],
  ['connections a day', { scope: 'user', dimension: 'connections' }, false],
  ['stored bytes', { dimension: 'stored-bytes', period: 'none' }, true],
  ['stored bytes a month', { dimension: 'stored-bytes', period: 'month' }, false],
  ['less than nothing', { amount: -1 }, false],
] as const satisfies readonly (readonly [string, Partial<Quota>, boolean])[])
  test(`${name} ${fits ? 'can' : 'cannot'} be limited`, () => assert.is(whyNot(quota(given)) === null, fits))

test('a quota is written as it is typed', () => {
  assert.is(quotaLine(quota({})), 'bucket:b  reads  1/day')
  assert.is(
    quotaLine(quota({ scope: 'everybody', id: '', dimension: 'stored-bytes', period: 'none' })),
    'everybody  stored-bytes  1',
  )
})

test('periods are of UTC, and a month is as long as it is', () => {
  const at = Date.UTC(2028, 1, 29, 23, 59, 59, 999)
  const hours = (from: number, to: number) => ({ from: from / HOUR_MS, to: to / HOUR_MS })
  assert.equal(periodOf('hour', at), hours(Date.UTC(2028, 1, 29, 23), Date.UTC(2028, 2, 1)))
  assert.equal(periodOf('day', at), hours(Date.UTC(2028, 1, 29), Date.UTC(2028, 2, 1)))
  assert.equal(periodOf('month', at), hours(Date.UTC(2028, 1, 1), Date.UTC(2028, 2, 1)))
})

test('a rate gives a second’s worth at once, then one after another', () => {
  const rates = new Rates()
  const taken = Array.from({ length: 5 }, () => rates.take('a', 3, 1000))
  assert.equal(taken, [0, 0, 0, 1, 1])
  assert.is(rates.take('b', 3, 1000), 0)
  assert.is(rates.take('a', 3, 1334), 0)
  assert.is(rates.take('a', 3, 1334), 1)
  // a clock that goes back neither gives nor takes
  assert.is(rates.take('a', 3, 0), 1)
  assert.is(rates.take('c', 0, 0), 0)
  assert.ok(rates.take('c', 0, 1e9) > 0)
})

test('what is under way is counted in and out', () => {
  const under = new AtOnce()
  assert.equal([under.enter('a', 2), under.enter('a', 2), under.enter('a', 2)], [true, true, false])
  under.leave('a')
  assert.ok(under.enter('a', 2))
  assert.not.ok(under.enter('b', 0))
})

test('bytes that lie there fall into the hours that they lay there in', () => {
  const row = { bucket: 'b', owner: 'o', account: 'a', bytes: 100, byte_hours: 7, counted_at: 10.5 * HOUR_MS }
  const hours = byHour(row, 12.25 * HOUR_MS).map(({ hour, byte_hours }) => [hour, byte_hours])
  assert.equal(hours, [
    [10, 50],
    [11, 100],
    [12, 25 + 7],
  ])
  assert.equal(byHour({ ...row, byte_hours: 0 }, row.counted_at), [])
  assert.equal(byHour({ ...row, byte_hours: 0, bytes: 0 }, row.counted_at + HOUR_MS), [])
  // a clock that went back
  assert.equal(
    byHour(row, 9 * HOUR_MS).map(({ byte_hours }) => byte_hours),
    [7],
  )
})

test('a line of CSV quotes what would break it', () => {
  const line = { hour: 'h', account: 'a,b', bucket: 'b"c', user: '', reads: 1, writes: 2, refused: 3 }
  assert.is(csvLine({ ...line, bytesIn: 4, bytesOut: 5, byteHours: 0.5 }), 'h,"a,b","b""c",,1,2,3,4,5,0.5')
})

test.run()
