// timeout: 240s, test 200s
import { randomInt } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seeded } from '../checks/faults/random.ts'
import { killRounds } from './killing.ts'

const test = suite('killing the agent')
const ROUNDS = 50

test(`${ROUNDS} times kill -9 during concurrent PUTs: what was acknowledged is there and right, nothing is half there`, async () => {
  const found = await killRounds({ rounds: ROUNDS, random: seeded(randomInt(2 ** 31), 'kill') })
  assert.equal(found.lost, [])
  assert.equal(found.wrong, [])
  assert.ok(found.acknowledged > 2 * ROUNDS, `only ${found.acknowledged} objects were acknowledged`)
})

test.run()
