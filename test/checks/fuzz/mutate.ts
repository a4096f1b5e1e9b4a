import fc from 'fast-check'
import { type CborValue, decodeCbor, encodeCbor } from '../../../format/cbor.ts'
import type { Random } from '../faults/random.ts'

const INPUT_BYTES = 256 << 10
const NUMBERS = [
  0n,
  1n,
  0x7fn,
  0x80n,
  0xffn,
  0xffffn,
  0x1_0000n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 64n - 1n,
]
const WORDS = [
  ...[
    '\r\n',
    '\n',
    '\0',
    ' ',
    ';',
    ',',
    '=',
    ':',
    '/',
    '?',
    '&',
    '%',
    '%00',
    '%zz',
    '%ff',
    '"',
    "'",
    '<',
    '>',
    '</',
    '<![CDATA[',
    ']]>',
    '<!DOCTYPE a>',
  ],
  ...[
    '&#x10FFFF;',
    '&#0;',
    '&lt;',
    'bytes=',
    '-',
    '+',
    '..',
    '//',
    '\u{1F600}',
    '\uFEFF',
    '99999999999999999999',
    '1e309',
    '-1',
    '0x10',
    'NaN',
    '__proto__',
    'constructor',
    '[',
    ']',
    '{',
    '}',
    'null',
  ],
]

/** An input that has something of what the parser takes: a sample changed a little, a value of the right kind, or noise. */
export function mutated(random: Random, samples: readonly Buffer[], values: readonly Buffer[]): Buffer {
  const sample = random.pick(samples)
  const kind = random.between(0, 20)
  if (kind === 0) return random.pick(values)
  if (kind === 1) return noise(random, random.between(0, 600))
  if (kind < 6) return structured(random, sample) ?? changedSome(random, sample, samples)
  return changedSome(random, sample, samples)
}

function changedSome(random: Random, sample: Buffer, samples: readonly Buffer[]): Buffer {
  let bytes = sample
  for (let times = random.between(1, 5); times > 0; times--) bytes = changed(random, bytes, random.pick(samples))
  return bytes.subarray(0, INPUT_BYTES)
}

function changed(random: Random, from: Buffer, other: Buffer): Buffer {
  const at = random.between(0, from.length + 1)
  const end = Math.min(from.length, at + random.between(0, 64))
  const put = (piece: Uint8Array, until = at): Buffer =>
    Buffer.concat([from.subarray(0, at), piece, from.subarray(until)])
  switch (random.between(0, 10)) {
    case 0:
      return from.subarray(0, at)
    case 1:
      return put(Buffer.alloc(0), end)
    case 2:
      return put(noise(random, random.between(1, 16)), end)
    case 3: {
      const start = random.between(0, other.length + 1)
      return put(other.subarray(start, start + random.between(0, 300)), random.oneIn(2) ? at : end)
    }
    case 4: {
      const piece = from.subarray(at, end)
      const times = Math.min(random.pick([1, 2, 10, 1000]), Math.floor(INPUT_BYTES / (piece.length + 1)))
      return put(Buffer.concat(Array.from({ length: times }, () => piece)))
    }
    case 5:
      return put(Buffer.from(random.pick(WORDS)), random.oneIn(2) ? at : Math.min(from.length, at + 1))
    case 6: {
      // a length field, of any width, anywhere
      const width = random.pick([1, 2, 4, 8])
      const number = Buffer.alloc(8)
      number.writeBigUInt64BE(BigInt.asUintN(64, random.pick(NUMBERS) - (random.oneIn(3) ? 1n : 0n)))
      return put(number.subarray(8 - width), Math.min(from.length, at + width))
    }
    case 7: {
      // a number in text
      const text = from.toString('latin1')
      const digits = [...text.matchAll(/\d+/g)]
      if (digits.length === 0) return changed(random, from, other)
      const found = random.pick(digits)
      const value = random.pick(NUMBERS).toString()
      return Buffer.from(text.slice(0, found.index) + value + text.slice(found.index + found[0].length), 'latin1')
    }
    default: {
      const out = Buffer.from(from)
      for (let times = random.between(1, 4); times > 0 && out.length > 0; times--) {
        const place = random.between(0, out.length)
        out[place] = (out[place] ?? 0) ^ (1 << random.between(0, 8))
      }
      return out
    }
  }
}

function noise(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.between(0, 256)))
}

/** A sample of CBOR with one of its values replaced, a field left out or another put in; null when it is no CBOR. */
function structured(random: Random, sample: Buffer): Buffer | null {
  let value: CborValue
  try {
    value = decodeCbor(sample, INPUT_BYTES, 'sample')
  } catch {
    return null
  }
  return encodeCbor(replaced(random, value))
}

function replaced(random: Random, value: CborValue): CborValue {
  const deeper = !random.oneIn(4)
  if (Array.isArray(value) && value.length > 0 && deeper) {
    const at = random.between(0, value.length)
    return random.oneIn(5)
      ? [...value, ...value]
      : value.map((each, index) => (index === at ? replaced(random, each) : each))
  }
  if (
    value !== null &&
    typeof value === 'object' &&
    !(value instanceof Uint8Array) &&
    !Array.isArray(value) &&
    deeper
  ) {
    const names = Object.keys(value)
    if (names.length === 0) return scalar(random)
    const name = random.pick(names)
    const rest = Object.fromEntries(Object.entries(value).filter(([each]) => each !== name || !random.oneIn(8)))
    const old = Object.entries(value).find(([each]) => each === name)?.[1] ?? null
    return random.oneIn(8)
      ? { ...rest, [random.pick(WORDS)]: scalar(random) }
      : { ...rest, [name]: replaced(random, old) }
  }
  return scalar(random)
}

function scalar(random: Random): CborValue {
  const number = Number(BigInt.asUintN(53, random.pick(NUMBERS)))
  return random.pick<CborValue>([
    null,
    true,
    false,
    number,
    -1,
    '',
    random.pick(WORDS),
    noise(random, random.pick([0, 1, 12, 16, 31, 32, 33, 64, 65])),
    [],
    {},
  ])
}

/** Values of the kinds that fast-check makes: CBOR of any shape, and strings of any characters. */
export function valuesOf(seed: number): Buffer[] {
  const value: fc.Arbitrary<CborValue> = fc.letrec<{ value: CborValue }>(tie => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.nat(),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.string({ maxLength: 20 }),
      fc.uint8Array({ maxLength: 40 }),
      fc.array(tie('value'), { maxLength: 5 }),
      fc.dictionary(fc.string({ maxLength: 8 }), tie('value'), { maxKeys: 6 }),
    ),
  })).value
  return [
    ...fc.sample(value, { numRuns: 300, seed }).map(each => encodeCbor(each)),
    ...fc.sample(fc.string({ unit: 'binary', maxLength: 200 }), { numRuns: 150, seed }).map(each => Buffer.from(each)),
    ...fc.sample(fc.json(), { numRuns: 100, seed }).map(each => Buffer.from(each)),
    ...fc.sample(fc.uint8Array({ maxLength: 600 }), { numRuns: 100, seed }).map(each => Buffer.from(each)),
  ]
}
