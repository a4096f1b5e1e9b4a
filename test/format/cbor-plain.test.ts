import { decode, encode } from 'cborg'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type CborValue, decodePlain, encodePlain } from '../../format/cbor-plain.ts'

const test = suite('plain CBOR, against the library')
const hex = (text: string): Buffer => Buffer.from(text, 'hex')
const same = (a: unknown, b: unknown): boolean => Buffer.from(encode(a)).equals(Buffer.from(encode(b)))

const key = fc.oneof(fc.string({ maxLength: 30 }), fc.constantFrom('a', 'b', 'aa', 'Z', '10', '2', ''))
const whole = fc.oneof(
  fc.maxSafeInteger(),
  fc.constantFrom(0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER, -1, -24, -25),
)
const { value } = fc.letrec<{ value: CborValue }>(tie => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    whole,
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('value'), { maxLength: 30 }),
    fc.dictionary(key, tie('value'), { maxKeys: 30 }),
  ),
}))

/** What the library takes as the one encoding of a value: decoded strictly, and encoded again to the same bytes. */
function judged(bytes: Uint8Array): { value: CborValue } | null {
  try {
    const found = decode(bytes, {
      strict: true,
      allowIndefinite: false,
      allowUndefined: false,
      allowInfinity: false,
      allowNaN: false,
      rejectDuplicateMapKeys: true,
    }) as CborValue
    return Buffer.from(encode(found)).equals(Buffer.from(bytes)) ? { value: found } : null
  } catch {
    return null
  }
}

test('what it writes is what the library writes, and reads as what it was', () => {
  let written = 0
  fc.assert(
    fc.property(value, given => {
      const bytes = encodePlain(given)
      if (bytes === undefined) return
      written++
      assert.is(bytes.toString('hex'), Buffer.from(encode(given)).toString('hex'))
      const again = decodePlain(bytes)
      assert.ok(again !== undefined && same(again, given))
    }),
    { numRuns: 2000 },
  )
  assert.ok(written > 1000, `${written} of 2000`)
})

test('a map may have the key __proto__, and it is a key like others', () => {
  const given = JSON.parse('{"a":{"__proto__":"x"}}') as CborValue
  const bytes = encodePlain(given)
  assert.is(bytes?.toString('hex'), 'a16161a1695f5f70726f746f5f5f6178')
  const again = decodePlain(bytes ?? Buffer.alloc(0))
  assert.is(JSON.stringify(again), '{"a":{"__proto__":"x"}}')
  assert.is(Object.getPrototypeOf((again as { a: object }).a), Object.prototype)
})

test('what it reads the library takes too, as the same value: changed bytes', () => {
  fc.assert(
    fc.property(value, fc.nat(), fc.nat(255), fc.nat(40), (given, place, byte, cut) => {
      const bytes = Buffer.from(encode(given))
      bytes[place % bytes.length] = byte
      for (const changed of [
        bytes,
        bytes.subarray(0, Math.max(0, bytes.length - cut)),
        Buffer.concat([bytes, bytes]),
      ]) {
        const found = decodePlain(changed)
        // the library loses this key, which it assigns
        if (found === undefined || changed.includes('__proto__')) continue
        const library = judged(changed)
        assert.ok(library !== null && same(found, library.value), changed.toString('hex'))
      }
    }),
    { numRuns: 5000 },
  )
})

test('any bytes: it never reads what the library refuses', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), bytes => {
      const found = decodePlain(bytes)
      if (found === undefined) return
      const library = judged(bytes)
      assert.ok(library !== null && same(found, library.value), Buffer.from(bytes).toString('hex'))
    }),
    { numRuns: 20_000 },
  )
})

for (const [bytes, why] of [
  ['', 'nothing'],
  ['1817', 'a long head for a short number'],
  ['190018', 'the same, two bytes'],
  ['1a00000100', 'the same, four bytes'],
  ['1b00000000ffffffff', 'the same, eight bytes'],
  ['1b0020000000000000', 'a number that a double does not hold'],
  ['9f01ff', 'a list without a length'],
  ['5f4101ff', 'bytes in pieces'],
  ['f7', 'undefined'],
  ['fb3ff8000000000000', 'a float'],
  ['c001', 'a tag'],
  ['a2616201616101', 'keys out of order'],
  ['a2616101616101', 'a key twice'],
  ['a26261610161620', 'half a byte'],
  ['a10101', 'a key that is no text'],
  ['61ff', 'text that is no UTF-8'],
  ['63eda080', 'half a surrogate pair'],
  ['9affffffff', 'a list longer than its bytes'],
  ['5affffffff', 'bytes longer than what is there'],
  ['bb001fffffffffffff', 'a map longer than its bytes'],
  ['0000', 'bytes after the value'],
  ['81'.repeat(40), 'nesting'],
] as const)
  test(`it gives up on ${why}`, () => assert.is(decodePlain(hex(bytes)), undefined))

for (const [given, why] of [
  [1.5, 'a float'],
  [-0, 'minus nought'],
  [2 ** 53, 'a number that a double does not hold'],
  [10n, 'a bigint'],
  ['\ud800', 'half a surrogate pair'],
  [{ ü: 1 }, 'a key that is not ASCII'],
] as const)
  test(`it does not write ${why}`, () => assert.is(encodePlain(given), undefined))

test('bytes that are read are copies', () => {
  const bytes = hex('43010203')
  const found = decodePlain(bytes)
  bytes.fill(0)
  assert.ok(found instanceof Uint8Array)
  assert.equal([...found], [1, 2, 3])
})

test.run()
