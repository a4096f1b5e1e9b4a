import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Target } from '../../bench/measure.ts'
import { openPlace } from '../../bench/place.ts'
import { type Contender, contend, type Run } from '../../bench/rounds.ts'

const test = suite('rounds')
const parent = mkdtempSync(join(tmpdir(), 'sealift-rounds-'))
const place = openPlace(parent)
const target: Target = { text: '>= 1 x cp', ratios: { cp: 1 } }
const run: Run = { place, rounds: 3, patienceMs: 60_000, say: () => undefined, deadline: Number.POSITIVE_INFINITY }

/** two contenders, four rounds of each */
const PASS = 8

type Taken = { name: string; directory: string }

/** Answers with the values one after another; the last one again and again. */
function contender(name: string, values: number[], taken: Taken[]): Contender {
  let at = 0
  return {
    name,
    async round(directory) {
      assert.ok(existsSync(directory))
      const pass = taken.slice(taken.length - (taken.length % PASS))
      for (const each of pass) assert.ok(existsSync(each.directory), 'nothing is deleted between rounds')
      taken.push({ name, directory })
      return values[Math.min(at++, values.length - 1)] ?? 0
    },
  }
}

test.after(() => {
  place.remove()
  rmSync(parent, { recursive: true })
})

test('contenders take turns, the first round of each does not count, each has a new directory, and all go in the end', async () => {
  const taken: Taken[] = []
  const found = await contend(run, 'm', target, [
    contender('ours', [9, 1, 2, 3], taken),
    contender('cp', [9, 10], taken),
  ])
  assert.equal(found, { ours: [1, 2, 3], peers: { cp: [10, 10, 10] } })
  assert.equal(taken.map(each => each.name).join(' '), 'ours cp ours cp ours cp ours cp')
  assert.is(new Set(taken.map(each => each.directory)).size, 8)
  assert.not.ok(taken.some(each => existsSync(each.directory)))
})

test('a noisy peer has it all done again, until it is quiet', async () => {
  const taken: Taken[] = []
  const found = await contend(run, 'n', target, [
    contender('ours', [5], taken),
    contender('cp', [9, 1, 9, 9, 8], taken),
  ])
  assert.equal(found.peers.cp, [8, 8, 8])
  assert.is(taken.length, 16)
})

test('three times at most, and not at all when time is up', async () => {
  const noisy = Array.from({ length: 100 }, (_, at) => 1 + (at % 2))
  const [taken, late]: [Taken[], Taken[]] = [[], []]
  await contend(run, 'o', target, [contender('ours', [5], taken), contender('cp', noisy, taken)])
  assert.is(taken.length, 4 * 8)
  await contend({ ...run, deadline: 0 }, 'p', target, [contender('ours', [5], late), contender('cp', noisy, late)])
  assert.is(late.length, 8)
})

test('out of patience, three rounds are enough; fewer are not', async () => {
  const taken: Taken[] = []
  const hasty = { ...run, rounds: 5, patienceMs: 0 }
  const found = await contend(hasty, 'q', target, [contender('ours', [5], taken), contender('cp', [6], taken)])
  assert.is(found.ours.length, 3)
})

test('what does not fit is refused before it begins, with what it needs', () => {
  assert.throws(() => place.needRoom(1e18, 'copy-large'), /copy-large needs 1000000000\.0 GB free/)
  assert.throws(() => place.roundsThatFit(5, 1e18, 'copy-large'), /needs 4000000000\.0 GB/)
  assert.is(place.roundsThatFit(5, 1, 'copy-large'), 5)
})

test.run()
