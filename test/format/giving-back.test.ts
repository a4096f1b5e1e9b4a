import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { giveBack, giveBackBuffer } from '../../format/bytes.ts'

const test = suite('memory that is given back')

const LEAST = 4096
const bufferOf = (length: number): Buffer => Buffer.allocUnsafeSlow(length)

test('a whole buffer is given back from 4096 bytes on, and may be twice', () => {
  for (const [length, left] of [
    [0, 0],
    [1, 1],
    [LEAST - 1, LEAST - 1],
    [LEAST, 0],
    [LEAST + 1, 0],
    [Buffer.poolSize, 0],
    [1 << 20, 0],
  ] as const) {
    const bytes = bufferOf(length)
    giveBack(bytes)
    assert.is(bytes.length, left, String(length))
    giveBack(bytes)
    assert.is(bytes.length, left, String(length))
  }
})

test('a part of a buffer stays what it is', () => {
  const whole = bufferOf(2 * LEAST).fill(7)
  for (const part of [whole.subarray(1), whole.subarray(0, 2 * LEAST - 1), whole.subarray(LEAST)]) giveBack(part)
  assert.is(whole.length, 2 * LEAST)
  assert.is(whole[LEAST], 7)
})

test('a buffer of which a part was used goes whole', () => {
  const part = bufferOf(2 * LEAST).subarray(5, 9)
  giveBackBuffer(part.buffer)
  assert.is(part.length, 0)
  giveBackBuffer(part.buffer)
  assert.is(part.buffer.byteLength, 0)
})

test('what Node cuts from its pool is never given back', () => {
  const [one, other] = [Buffer.from('one'), Buffer.from('other')]
  const half = Buffer.allocUnsafe((Buffer.poolSize >>> 1) - 8).fill(3)
  for (const each of [one, other, half]) {
    giveBack(each)
    giveBackBuffer(each.buffer)
  }
  assert.is(one.toString(), 'one')
  assert.is(other.toString(), 'other')
  assert.is(half[half.length - 1], 3)
})

test.run()
