import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { isoTimes } from '../../../store/s3/iso-times.ts'

const test = suite('ISO times')

test('one after another they are what toISOString writes', () => {
  const edges = [0, 1, 999, 1000, 59_999, 60_000, 59_999, -1, -60_000, -60_001, 253_402_300_800_000, 8.64e15, -8.64e15]
  const near = fc.integer({ min: 1_780_000_000_000, max: 1_780_000_180_000 })
  const far = fc.date({ noInvalidDate: true }).map(date => date.getTime())
  fc.assert(
    fc.property(fc.array(fc.oneof(near, far, fc.constantFrom(...edges)), { maxLength: 100 }), times => {
      const write = isoTimes()
      for (const time of [...times, ...edges]) assert.is(write(new Date(time)), new Date(time).toISOString())
    }),
  )
})

test.run()
