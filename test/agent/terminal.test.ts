import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { bytesInWords } from '../../agent/terminal.ts'

const test = suite('how the device speaks')

for (const [bytes, words] of [
  [0, '0 B'],
  [140.925_950_670_6, '141 B'],
  [999, '999 B'],
  [1000, '1.00 kB'],
  [12_340, '12.3 kB'],
  [999_000_000, '999 MB'],
] as const)
  test(`${bytes} bytes are ${words}`, () => assert.is(bytesInWords(bytes), words))

test.run()
