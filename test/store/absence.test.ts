import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Absence } from '../../store/absence.ts'

const test = suite('absence')

test('nothing is there at first, and what was added is never said to be absent', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' }), { maxLength: 60 }), names => {
      const absence = new Absence()
      for (const name of names) assert.ok(absence.certain(name))
      for (const name of names) absence.add(name)
      for (const name of names) assert.not.ok(absence.certain(name))
    }),
    { numRuns: 20 },
  )
})

test('among a hundred thousand names that were added, absent ones are told almost always', () => {
  const absence = new Absence()
  for (let at = 0; at < 100_000; at++) absence.add(`object\0photos/${at}`)
  let unsure = 0
  for (let at = 0; at < 100_000; at++) if (!absence.certain(`object\0photos/${at}.jpg`)) unsure++
  assert.ok(unsure < 100, `${unsure} of 100,000`)
})

test.run()
