import { createHash, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BodySealer, bodyLength, sealBody } from '../../format/body.ts'
import { checkBody, openBody, openHeldBody } from '../../format/body-opening.ts'
import { newId, type ObjectId } from '../../format/bytes.ts'
import { BLAKE3_256, digestOf, SHA_256, selfTestDigests, startDigest } from '../../format/digest.ts'
import { faultOf, faultOfAsync } from './faults.ts'
import { seeded } from './stranger.ts'
import { readAtOf } from './vector-readers.ts'

const body = suite('body')
const SEGMENT = 65_536
const ROOM = SEGMENT - 32
const key = randomBytes(32)

function seal(plain: Buffer, cuts: number[] = [], digest: 'fast' | 'sha-256' = 'fast') {
  const sealer = new BodySealer(newId<ObjectId>(), key, digest, SEGMENT)
  const out: Buffer[] = []
  let at = 0
  for (const cut of [...cuts, plain.length]) {
    out.push(...sealer.push(plain.subarray(at, cut)))
    at = Math.max(at, cut)
  }
  const { sealed, summary } = sealer.finish()
  return { bytes: Buffer.concat([...out, ...sealed]), summary, header: sealer.coreHeader }
}

async function open(bytes: Buffer, length: number, range?: { first: number; last: number }): Promise<Buffer> {
  const out: Buffer[] = []
  for await (const piece of openBody(readAtOf(bytes), key, bytes.subarray(0, 102), length, range)) out.push(piece)
  return Buffer.concat(out)
}

for (const length of [0, 1, ROOM - 1, ROOM, ROOM + 1, 2 * ROOM - 1, 2 * ROOM, 2 * ROOM + 1, 5 * ROOM + 7])
  body(`${length} bytes come back, with length and digest as summed up`, async () => {
    const plain = seeded('body', length)
    const { bytes, summary } = seal(plain)
    assert.is(summary.plaintextLength, length)
    assert.is(summary.bodyLength, bytes.length)
    assert.is(bytes.length, bodyLength(length, SEGMENT))
    assert.is(summary.digestId, bytes.length <= 16_384 ? SHA_256 : BLAKE3_256)
    assert.equal(digestOf(summary.digestId, bytes), summary.digest)
    assert.ok((await open(bytes, length)).equals(plain))
    assert.ok(openHeldBody(bytes, key, bytes.subarray(0, 102), length).equals(plain))
    for (const first of [0, 1, ROOM - 1, ROOM, length - 1])
      for (const last of [0, ROOM - 1, ROOM, length - 1])
        if (first <= last && first >= 0 && last < length)
          assert.ok(
            openHeldBody(bytes, key, bytes.subarray(0, 102), length, { first, last }).equals(
              plain.subarray(first, last + 1),
            ),
          )
    await checkBody(readAtOf(bytes), key, bytes.subarray(0, 102), length)
  })

for (const length of [0, 1, ROOM, ROOM + 1, 3 * ROOM])
  for (const digest of ['fast', 'sha-256'] as const)
    body(`${length} bytes sealed whole (${digest}) are summed up and come back as from a stream`, async () => {
      const plain = seeded('body', length)
      const { body: bytes, coreHeader, summary } = sealBody(newId<ObjectId>(), key, plain, digest, SEGMENT)
      const streamed = seal(plain, [], digest).summary
      assert.equal({ ...summary, objectId: '', digest: '' }, { ...streamed, objectId: '', digest: '' })
      assert.equal(digestOf(summary.digestId, bytes), summary.digest)
      assert.equal(coreHeader, bytes.subarray(0, 102))
      assert.ok((await open(bytes, length)).equals(plain))
    })

body('however the plaintext is cut, the same segments come out', async () => {
  const plain = seeded('chunks', 2 * ROOM + 100)
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: plain.length }), { maxLength: 12 }), async cuts => {
      const { bytes, summary } = seal(
        plain,
        cuts.sort((a, b) => a - b),
      )
      assert.is(bytes.length, bodyLength(plain.length, SEGMENT))
      assert.ok(digestOf(summary.digestId, bytes).equals(summary.digest))
      assert.ok((await open(bytes, plain.length)).equals(plain))
    }),
    { numRuns: 25 },
  )
})

body('byte by byte across a border gives the same', async () => {
  const plain = seeded('bytes', ROOM + 3)
  const { bytes } = seal(plain, [1, 2, 3, ROOM - 1, ROOM, ROOM + 1, ROOM + 2])
  assert.ok((await open(bytes, plain.length)).equals(plain))
})

body('every range around the borders of segments is the plaintext there', async () => {
  const length = 3 * ROOM + 5
  const plain = seeded('ranges', length)
  const { bytes } = seal(plain)
  const edges = [
    0,
    1,
    ROOM - 1,
    ROOM,
    ROOM + 1,
    2 * ROOM - 1,
    2 * ROOM,
    2 * ROOM + 1,
    3 * ROOM - 1,
    3 * ROOM,
    length - 1,
  ]
  for (const first of edges)
    for (const last of edges.filter(each => each >= first))
      assert.ok(
        (await open(bytes, length, { first, last })).equals(plain.subarray(first, last + 1)),
        `${first}..${last}`,
      )
  assert.ok((await open(bytes, length, { first: length - 2, last: length + 999 })).equals(plain.subarray(length - 2)))
  assert.is((await open(bytes, length, { first: length, last: length + 9 })).length, 0)
})

body('a digest that the grant asks for is SHA-256 at any length', () => {
  for (const length of [0, 20_000, ROOM + 1]) {
    const { bytes, summary } = seal(seeded('sha', length), [], 'sha-256')
    assert.is(summary.digestId, SHA_256)
    assert.equal(createHash('sha256').update(bytes).digest(), summary.digest)
  }
})

body('a length that is not the sealed one opens nothing', async () => {
  const { bytes } = seal(seeded('length', ROOM + 10))
  for (const length of [0, 1, ROOM - 1, ROOM, ROOM + 9, ROOM + 11, 2 * ROOM, 3 * ROOM])
    assert.match(await faultOfAsync(() => open(bytes, length)), /^(tampered|truncated)$/, String(length))
})

body('a body that is cut anywhere is refused', async () => {
  const { bytes } = seal(seeded('cut', ROOM + 10))
  for (const end of [102, 103, 105, 106, 134, 102 + SEGMENT, bytes.length - 1])
    assert.match(await faultOfAsync(() => open(bytes.subarray(0, end), ROOM + 10)), /^(tampered|truncated)$/)
})

body('digests in pieces are digests in one piece, and unknown ones are refused', () => {
  selfTestDigests()
  const bytes = seeded('digest', 100_000)
  for (const id of [BLAKE3_256, SHA_256] as const) {
    const hasher = startDigest(id)
    hasher.update(bytes.subarray(0, 1))
    hasher.update(bytes.subarray(1))
    assert.equal(hasher.digest(), digestOf(id, bytes))
  }
})

body('an object key of another length is refused', () => {
  for (const length of [0, 31, 33])
    assert.is(
      faultOf(() => new BodySealer(newId(), Buffer.alloc(length))),
      'malformed',
    )
})

body.run()
