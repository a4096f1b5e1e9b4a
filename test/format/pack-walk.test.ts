import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type EpochId, newId } from '../../format/bytes.ts'
import { checkDigest, committedBody } from '../../format/committed-body.ts'
import { BLAKE3_256, digestOf } from '../../format/digest.ts'
import { parseEnvelope } from '../../format/envelope.ts'
import {
  encodeFrame,
  encodePackHeader,
  FRAME,
  PACK_HEADER_BYTES,
  PAYLOAD_LIMIT,
  parseCommit,
  parsePackHeader,
} from '../../format/frame.ts'
import { encodeLeavesFrame, parseEpochFrame, parseLeavesFrame, walkPack } from '../../format/pack-walk.ts'
import { readEntries } from '../../format/read-at.ts'
import { encodeSealFile, encodeVolume, parseSealFile, parseVolume } from '../../format/volume.ts'
import { faultOf, faultOfAsync } from './faults.ts'
import { makeSmallDrive } from './small-drive.ts'
import { readAtOf } from './vector-readers.ts'

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = []
  for await (const item of items) out.push(item)
  return out
}

const packs = suite('packs and files of a drive')
const drive = await makeSmallDrive()
const bytes = drive.pack.bytes()
const read = readAtOf(bytes)
const frames = await collected(walkPack(read))

packs('a walk gives every frame, end to end', () => {
  assert.is(frames[0]?.offset, PACK_HEADER_BYTES)
  for (const [at, frame] of frames.entries()) assert.is(frame.end, frames[at + 1]?.offset ?? bytes.length)
  const count = (type: number) => frames.filter(each => each.type === type).length
  assert.equal([FRAME.epoch, FRAME.body, FRAME.commit, FRAME.tombstone, FRAME.leaves].map(count), [2, 8, 8, 1, 2])
})

packs('a walk goes on from any frame whose checksum is known', async () => {
  for (const [at, frame] of frames.entries()) {
    if (frame.type === FRAME.body) continue
    const rest = await collected(walkPack(read, { offset: frame.end, previous: frame.checksum }))
    assert.is(rest.length, frames.length - at - 1)
  }
})

packs('frames that changed places, were left out or doubled are refused where it happens', async () => {
  const one = encodeFrame(FRAME.leaves, Buffer.alloc(32), Buffer.from('1'))
  const two = encodeFrame(FRAME.leaves, one.checksum, Buffer.from('2'))
  const three = encodeFrame(FRAME.leaves, two.checksum, Buffer.from('3'))
  const header = encodePackHeader({ ...drive.ids, pack: newId(), firstSequence: 0, createdAt: 0 })
  for (const [order, sound] of [
    [[one, two, three], 3],
    [[two, one, three], 0],
    [[one, three], 1],
    [[one, one], 1],
    [[one, two, two], 2],
  ] as const) {
    const all = readAtOf(Buffer.concat([header, ...order.map(each => each.frame)]))
    let seen = 0
    const found = await faultOfAsync(async () => {
      for await (const _ of walkPack(all)) seen++
    })
    assert.is(found, sound === 3 ? 'nothing' : 'tampered')
    assert.is(seen, sound)
  }
})

packs('a pack that is cut anywhere says so, and the frames before the cut stand', async () => {
  for (let end = PACK_HEADER_BYTES + 1; end < 8000; end += 37) {
    const whole = frames.filter(each => each.end <= end).length
    const onBorder = frames.some(each => each.end === end)
    let seen = 0
    const found = await faultOfAsync(async () => {
      for await (const _ of walkPack(readAtOf(bytes.subarray(0, end)))) seen++
    })
    assert.is(found, onBorder ? 'nothing' : 'truncated', `${end}`)
    assert.is(seen, whole)
  }
})

packs('every commit speaks of the body that lies where it says; a moved one is refused', async () => {
  let bodies = 0
  for (const frame of frames) {
    if (frame.type !== FRAME.commit) continue
    const commit = parseCommit(frame.payload)
    const envelope = parseEnvelope(commit.envelope)
    const core = await committedBody(read, commit, envelope, frame.offset)
    if (core === null) continue
    bodies++
    assert.is(core.objectId, envelope.objectId)
    const digest = { id: envelope.digestId, bytes: envelope.digest }
    await checkDigest(read, commit.bodyOffset + 16, envelope.bodyLength, digest, 'it')
    for (const [change, fault] of [
      [{ bodyOffset: commit.bodyOffset + 1 }, 'mismatch'],
      [{ bodyOffset: commit.bodyOffset - 1 }, 'malformed'],
      [{ bodyOffset: PACK_HEADER_BYTES }, 'mismatch'],
      [{ bodyOffset: 2 ** 52 }, 'mismatch'],
      [{ durableOffset: frame.offset + 1 }, 'malformed'],
    ] as const)
      assert.is(await faultOfAsync(() => committedBody(read, { ...commit, ...change }, envelope, frame.offset)), fault)
    const longer = { ...envelope, plaintextLength: envelope.plaintextLength + 1 }
    assert.is(await faultOfAsync(() => committedBody(read, commit, longer, frame.offset)), 'malformed')
  }
  assert.is(bodies, 7)
})

packs('a digest is compared over all bytes, in pieces', async () => {
  const digest = { id: BLAKE3_256, bytes: digestOf(BLAKE3_256, bytes) } as const
  const told: number[] = []
  await checkDigest(read, 0, bytes.length, digest, 'it', each => told.push(each))
  assert.is(
    told.reduce((a, b) => a + b, 0),
    bytes.length,
  )
  assert.is(await faultOfAsync(() => checkDigest(read, 0, bytes.length - 1, digest, 'it')), 'tampered')
  assert.is(await faultOfAsync(() => checkDigest(read, 0, bytes.length + 1, digest, 'it')), 'truncated')
})

packs('payloads above their bound and with bytes behind them are refused', () => {
  assert.is(
    faultOf(() => encodeFrame(FRAME.leaves, Buffer.alloc(32), Buffer.alloc(PAYLOAD_LIMIT + 1))),
    'limit',
  )
  const leaves = encodeLeavesFrame({ epoch: newId<EpochId>(), firstIndex: 3, leaves: drive.leaves })
  assert.equal(parseLeavesFrame(leaves).leaves, drive.leaves)
  assert.is(parseLeavesFrame(leaves).firstIndex, 3)
  assert.is(
    faultOf(() => parseLeavesFrame(Buffer.concat([leaves, Buffer.of(0)]))),
    'malformed',
  )
  const many = Buffer.from(leaves)
  many.writeUInt32BE(65_537, 24)
  assert.is(
    faultOf(() => parseLeavesFrame(many)),
    'limit',
  )
  const epoch = frames[0]
  if (epoch === undefined || epoch.type !== FRAME.epoch) throw new Error('the first frame is an epoch')
  assert.is(parseEpochFrame(epoch.payload).epoch, drive.epochs[0].id)
  assert.is(
    faultOf(() => parseEpochFrame(Buffer.concat([epoch.payload, Buffer.of(0)]))),
    'malformed',
  )
})

packs('a pack header comes back', () => {
  const header = { ...drive.ids, pack: newId<typeof drive.pack.pack>(), firstSequence: 2 ** 53 - 1, createdAt: 7 }
  assert.equal(parsePackHeader(encodePackHeader(header)), header)
})

packs('entries come back across the borders of reads; the last that is not whole is told', async () => {
  const entries = [0, 1, 5, 70_000, 3].map(length => Buffer.alloc(length, length))
  const file = Buffer.concat(
    entries.flatMap(each => [Buffer.of(0, each.length >> 16, (each.length >> 8) & 255, each.length & 255), each]),
  )
  const small = async (offset: number, length: number) => file.subarray(offset, offset + Math.min(length, 999))
  assert.equal(
    (await collected(readEntries(small, 0, 70_000, 'it'))).map(each => Buffer.from(each)),
    entries,
  )
  assert.is(await faultOfAsync(() => collected(readEntries(small, 0, 69_999, 'it'))), 'limit')
  assert.is(
    await faultOfAsync(() => collected(readEntries(readAtOf(file.subarray(0, -1)), 0, 70_000, 'it'))),
    'truncated',
  )
})

packs('volume.json and seal.json come back, and what is missing or wrong is named', () => {
  const volume = { format: 1 as const, ...drive.ids, number: 1, createdAt: 'now' }
  assert.equal(parseVolume(encodeVolume(volume)), volume)
  const seal = {
    format: 1 as const,
    job: drive.ids.job,
    device: drive.ids.device,
    sealNumber: 2,
    code: drive.code,
    objects: 1,
    bytes: 2,
    sealedAt: 'now',
  }
  assert.equal(parseSealFile(encodeSealFile(seal)), seal)
  const json = (value: unknown) => Buffer.from(JSON.stringify(value))
  for (const [value, fault] of [
    [{ ...volume, format: 2 }, 'unsupported'],
    [{ ...volume, number: 0 }, 'malformed'],
    [{ ...volume, job: 'x' }, 'malformed'],
    [[], 'malformed'],
    [{ ...volume, more: 'x'.repeat(4096) }, 'limit'],
  ] as const)
    assert.is(
      faultOf(() => parseVolume(json(value))),
      fault,
    )
  assert.is(
    faultOf(() => parseSealFile(json({ ...seal, objects: -1 }))),
    'malformed',
  )
  assert.is(
    faultOf(() => parseVolume(Buffer.from('{'))),
    'malformed',
  )
})

packs.run()
