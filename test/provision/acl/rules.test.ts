import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { RULES } from './rules.ts'
import { SENTENCES } from './sentences.ts'
import { openWorld, type World } from './world.ts'

const test = suite('ACL rules')
let world: World
test.before(async () => {
  world = await openWorld()
})
test.after(() => world.remove())

for (const { number, show } of RULES) test(`${number}. ${SENTENCES[number - 1]}`, () => show(world))

test('no rule is shown twice', () => {
  assert.is(new Set(RULES.map(each => each.number)).size, RULES.length)
})

test.run()
