import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { jsonLine, judge, median, noisyPeers, spreadOf, type Target, tableLines } from '../../bench/measure.ts'

const test = suite('measure')

const medians: ReadonlyArray<readonly [readonly number[], number | null]> = [
  [[], null],
  [[3], 3],
  [[4, 2], 3],
  [[9, 1, 2], 2],
  [[1, 100, 3, 2], 2.5],
]
for (const [values, wanted] of medians)
  test(`the median of [${values}] is ${wanted}`, () => assert.is(median(values), wanted))

test('spread is the whole width over the median', () => {
  assert.is(spreadOf([]), 0)
  assert.is(spreadOf([5]), 0)
  assert.is(spreadOf([8, 10, 12]), 0.4)
})

const target: Target = { text: '>= 0.5 x cp', ratios: { cp: 0.5 } }
const steady = [100, 101, 99]

test('a ratio at the target is met, one below it is not', () => {
  assert.is(judge('m', 'MB/s', target, { ours: [50, 50, 50], peers: { cp: [100, 100, 100] } }).met, true)
  assert.is(judge('m', 'MB/s', target, { ours: [49.9, 49.9, 49.9], peers: { cp: [100, 100, 100] } }).met, false)
})

test('a peer that differs by more than 30 % makes the row noisy, never met, with every value', () => {
  const rounds = { ours: [500, 500, 500], peers: { cp: [100, 131, 100] } }
  assert.equal(noisyPeers(target, rounds), ['cp'])
  const row = judge('m', 'MB/s', target, rounds)
  assert.is(row.met, false)
  assert.equal(row.noisy, ['cp'])
  assert.equal(row.values.cp, [100, 131, 100])
  assert.equal(noisyPeers(target, { ours: [1, 9, 1], peers: { cp: [100, 130, 100], tar: [1, 9, 1] } }), [])
})

test('a peer that the target names and that is missing is said, and the row is not met', () => {
  const both: Target = { text: 't', ratios: { cp: 0.5, rclone: 2 } }
  const row = judge('m', 'MB/s', both, { ours: steady, peers: { cp: steady, rclone: [] } })
  assert.equal(row.missing, ['rclone'])
  assert.is(row.met, false)
  assert.equal(Object.keys(row.peers), ['cp'])
})

test('two rounds are no measurement; something counted needs but one', () => {
  const row = judge('m', 'MB/s', target, { ours: [90, 90], peers: { cp: [100, 100] } })
  assert.is(row.met, false)
  assert.match(row.unmet?.[0] ?? '', /2 rounds/)
  assert.is(judge('m', 'ops', { text: '<= 20', atMost: 20, counted: true }, { ours: [20], peers: {} }).met, true)
})

test('a bound on our own figure holds at the bound and not above; no figure is never met', () => {
  const bound: Target = { text: '<= 80', atMost: 80 }
  assert.is(judge('m', 'us', bound, { ours: [80, 80, 80], peers: {} }).met, true)
  assert.is(judge('m', 'us', bound, { ours: [80.1, 80.1, 80.1], peers: {} }).met, false)
  assert.is(judge('m', 'us', bound, { ours: [], peers: {} }).met, false)
  const least: Target = { text: '>= 80', atLeast: 80 }
  assert.is(judge('m', '/s', least, { ours: [80, 80, 80], peers: {} }).met, true)
  assert.is(judge('m', '/s', least, { ours: [79.9, 79.9, 79.9], peers: {} }).met, false)
})

test('what else speaks against it keeps a row from being met', () => {
  const row = judge('m', 'MB/s', target, { ours: steady, peers: { cp: steady } }, { unmet: ['2 objects lost'] })
  assert.is(row.met, false)
  assert.equal(row.unmet, ['2 objects lost'])
})

test('a line of JSON has the agreed fields first and no line end', () => {
  const row = judge('copy-small', 'files/s', target, { ours: steady, peers: { cp: steady } })
  const line = jsonLine(row, { rclone: '1' }, { cores: 2 })
  assert.not.match(line, /\n/)
  const names = 'measure unit ours peers ratio target met spread versions machine'.split(' ')
  assert.equal(Object.keys(JSON.parse(line)).slice(0, 10), names)
  assert.equal(JSON.parse(line).ratio, { cp: 1 })
})

test('a table has one line a row under its head', () => {
  const row = judge('copy-small', 'files/s', target, { ours: steady, peers: {} })
  const lines = tableLines([row])
  assert.is(lines.length, 2)
  assert.match(lines[1] ?? '', /copy-small.*not met: missing cp/)
})

test.run()
