import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ChunkClaim } from '../../../access/chunk-claim.ts'
import { AccessError } from '../../../access/fault.ts'
import { type ChunkedOptions, decodeChunked } from '../../../store/s3/aws-chunked.ts'
import { combineCrcs, startChecksum } from '../../../store/s3/checksum.ts'
import { answerOf, S3Error } from '../../../store/s3/fault.ts'
import { readXml } from '../../../store/s3/xml-in.ts'
import { collect } from '../contract/bodies.ts'

const test = suite('S3 wire parsers')
const hex = 'a'.repeat(64)

async function* cut(bytes: Buffer, sizes: readonly number[]) {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes.length === 0 ? bytes.length : (sizes[turn % sizes.length] ?? 1)
    yield bytes.subarray(at, at + size)
    at += size
  }
}

type Decoded = { bytes: string; trailers: string[]; claims: ChunkClaim[]; fault?: string }

async function decode(
  text: string | Buffer,
  changed: Partial<ChunkedOptions> = {},
  sizes: readonly number[] = [],
): Promise<Decoded> {
  const decoded: Decoded = { bytes: '', trailers: [], claims: [] }
  const options: ChunkedOptions = {
    mode: { signed: false, trailer: true },
    length: 5,
    trailers: ['x-amz-checksum-crc32'],
    onTrailer: (name, value) => void decoded.trailers.push(`${name}=${value}`),
    chunks: {
      seed: { time: 't', date: 'd', region: 'r', signature: 'seed' },
      judge: async claims => void decoded.claims.push(...claims),
    },
    ...changed,
  }
  try {
    decoded.bytes = (await collect(decodeChunked(cut(Buffer.from(text), sizes), options))).toString('latin1')
  } catch (error) {
    if (error instanceof S3Error) decoded.fault = error.code
    else if (error instanceof AccessError) decoded.fault = error.fault
    else throw error
  }
  return decoded
}

const good = '3\r\nabc\r\n2\r\nde\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n'

test('an unsigned body with trailer is decoded, whatever the pieces it comes in', async () => {
  for (const size of [1, 2, 3, 7, 1000]) {
    assert.equal(await decode(good, {}, [size]), {
      bytes: 'abcde',
      trailers: ['x-amz-checksum-crc32=AAAAAA=='],
      claims: [],
    })
  }
})

for (const [name, text, wanted] of [
  ['an empty body', '', 'IncompleteBody'],
  ['cut in the data', '5\r\nabc', 'IncompleteBody'],
  ['cut before the trailer', '5\r\nabcde\r\n0\r\n', 'IncompleteBody'],
  ['too few bytes', '3\r\nabc\r\n0\r\nx-amz-checksum-crc32:A\r\n\r\n', 'IncompleteBody'],
  ['too many bytes', '6\r\nabcdef\r\n0\r\n\r\n', 'InvalidRequest'],
  ['no CR LF after data', '5\r\nabcdeXX0\r\n\r\n', 'InvalidRequest'],
  ['a line feed alone', '5\nabcde\n0\n\n', 'IncompleteBody'],
  ['a size that is no hex', 'g\r\n', 'InvalidRequest'],
  ['a negative size', '-1\r\n', 'InvalidRequest'],
  ['a size of 14 digits', '10000000000000\r\n', 'InvalidRequest'],
  ['a chunk extension', '5;x=y\r\nabcde\r\n0\r\n\r\n', 'InvalidRequest'],
  ['a line without end', '0'.repeat(3000), 'InvalidRequest'],
  ['a trailer not announced', '5\r\nabcde\r\n0\r\nx-amz-meta-a:1\r\n\r\n', 'MalformedTrailerError'],
  [
    'a trailer twice',
    '5\r\nabcde\r\n0\r\nx-amz-checksum-crc32:A\r\nx-amz-checksum-crc32:A\r\n\r\n',
    'MalformedTrailerError',
  ],
  ['no trailer', '5\r\nabcde\r\n0\r\n\r\n', 'MalformedTrailerError'],
  ['bytes after the end', `${good}x`, 'InvalidRequest'],
] as const) {
  test(`${name} is ${wanted}`, async () => {
    for (const sizes of [[], [1], [5]]) assert.is((await decode(text, {}, sizes)).fault, wanted)
  })
}

test('claims of a signed body form a chain over all chunks and the trailer, and are all judged before the end', async () => {
  const sign = (digit: string) => digit.repeat(64)
  const text =
    `5;chunk-signature=${sign('1')}\r\nabcde\r\n0;chunk-signature=${sign('2')}\r\n` +
    `x-amz-checksum-crc32:AAAAAA==\r\nx-amz-trailer-signature:${sign('3')}\r\n\r\n`
  const { claims, bytes } = await decode(text, { mode: { signed: true, trailer: true } }, [3])
  assert.is(bytes, 'abcde')
  const digest = (value: string) => createHash('sha256').update(value).digest('hex')
  assert.equal(
    claims.map(claim => [claim.kind, claim.previous, claim.digest, claim.signature]),
    [
      ['chunk', 'seed', digest('abcde'), sign('1')],
      ['chunk', sign('1'), digest(''), sign('2')],
      ['trailer', sign('2'), digest('x-amz-checksum-crc32:AAAAAA==\n'), sign('3')],
    ],
  )
})

test('a signed body without trailer signature, without chunk signature, or on an unsigned request is refused', async () => {
  const signed = { mode: { signed: true, trailer: true } }
  const start = `5;chunk-signature=${hex}\r\nabcde\r\n0;chunk-signature=${hex}\r\nx-amz-checksum-crc32:A\r\n`
  assert.is((await decode(`${start}\r\n`, signed)).fault, 'MalformedTrailerError')
  assert.is(
    (await decode(`${start}x-amz-trailer-signature:${hex}\r\nx:1\r\n\r\n`, signed)).fault,
    'MalformedTrailerError',
  )
  assert.is((await decode(good, signed)).fault, 'InvalidRequest')
  const { chunks: _, ...none } = { chunks: undefined }
  const options: ChunkedOptions = { ...none, mode: signed.mode, length: 5, trailers: [], onTrailer: () => undefined }
  const refused = await collect(decodeChunked(cut(Buffer.from(start), []), options)).catch(error => error)
  assert.ok(refused instanceof AccessError && refused.fault === 'unsupported')
})

test('a judge that refuses ends the body with its error, also when it is asked only at the end', async () => {
  const judge = async () => {
    throw new AccessError('signature-mismatch', 'no')
  }
  const chunks = { seed: { time: 't', date: 'd', region: 'r', signature: 's' }, judge }
  const one = `1;chunk-signature=${hex}\r\na\r\n`
  for (const count of [1, 31, 32, 33, 100]) {
    const text = `${one.repeat(count)}0;chunk-signature=${hex}\r\n\r\n`
    const { fault } = await decode(text, {
      mode: { signed: true, trailer: false },
      length: count,
      trailers: [],
      chunks,
    })
    assert.is(fault, 'signature-mismatch')
  }
})

test('any bytes, chunked anyhow and cut anyhow, come back', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 5 }),
      async (chunks, sizes) => {
        const framed = chunks.map(chunk =>
          Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n')]),
        )
        const whole = Buffer.concat(chunks)
        const text = Buffer.concat([...framed, Buffer.from('0\r\nx-amz-checksum-crc32:A\r\n\r\n')])
        const found = await decode(text, { length: whole.length }, sizes)
        assert.is(found.fault, undefined)
        assert.is(found.bytes, whole.toString('latin1'))
      },
    ),
    { numRuns: 100 },
  )
})

test('any change of one byte of the framing is refused or changes nothing but the data or the trailer', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length - 1), fc.nat(255), async (at, byte) => {
      const bytes = Buffer.from(good)
      bytes[at] = byte
      const { fault, bytes: found } = await decode(bytes)
      if (fault === undefined) assert.is(found.length, 5)
    }),
    { numRuns: 300 },
  )
})

test('arbitrary bytes never do anything but fault or decode', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), async bytes => {
      const found = await decode(Buffer.from(bytes))
      assert.ok(found.fault !== undefined || found.bytes.length === 5)
    }),
    { numRuns: 300 },
  )
})

test('XML: a document over its bytes is EntityTooLarge, one that is not UTF-8 or not well-formed MalformedXML', async () => {
  const read = (bytes: Buffer) =>
    readXml(cut(bytes, []), { bytes: 10, depth: 16, nodes: 10 }).then(
      () => undefined,
      error => answerOf(error)?.code,
    )
  assert.is(await read(Buffer.from('<a>123</a>')), undefined)
  assert.is(await read(Buffer.from('<a>1234</a>')), 'EntityTooLarge')
  assert.is(await read(Buffer.from('<a>\xff</a>', 'latin1')), 'MalformedXML')
  assert.is(await read(Buffer.from('<a>')), 'MalformedXML')
})

for (const name of ['CRC32', 'CRC32C', 'CRC64NVME'] as const) {
  test(`${name} of parts combined is that of the whole`, async () => {
    const sum = async (bytes: Uint8Array) => {
      const running = await startChecksum(name)
      running.update(bytes)
      return running.digest()
    }
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 5 }), async parts => {
        const runs = await Promise.all(parts.map(async part => ({ crc: await sum(part), size: part.length })))
        assert.ok(combineCrcs(name, runs).equals(await sum(Buffer.concat(parts))))
      }),
      { numRuns: 30 },
    )
  })
}

test.run()
