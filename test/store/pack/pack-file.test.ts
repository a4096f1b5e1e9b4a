import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BLOCK_BYTES, makeWritingRooms, type WritingRooms } from '../../../store/pack/sealing/aligned-rooms.ts'
import { PackFile } from '../../../store/pack/sealing/pack-file.ts'
import { pattern } from '../contract/bodies.ts'

const test = suite('pack file')

const LEAST_DIRECT = 512 << 10
const POSITIONS = [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 17]
const LENGTHS = [0, 1, BLOCK_BYTES, LEAST_DIRECT - 1, LEAST_DIRECT, LEAST_DIRECT + 2 * BLOCK_BYTES, (2 << 20) + 5_000]

async function onFile(work: (file: PackFile, rooms: WritingRooms, path: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'sealift-pack-file-'))
  try {
    const rooms = makeWritingRooms()
    const path = join(directory, 'pack')
    const file = await PackFile.create(path, rooms)
    try {
      await work(file, rooms, path)
    } finally {
      await file.close()
      await file.close()
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** As their makers leave them: one, odd pieces, where a run is laid, and a run that did not fit its room. */
function layouts(bytes: Buffer, position: number, rooms: WritingRooms): Map<string, Buffer[]> {
  const pieces: Buffer[] = []
  for (let at = 0, length = 1; at < bytes.length; at += length, length = Math.min(length * 7, 100_003))
    pieces.push(Buffer.from(bytes.subarray(at, at + length)))
  const room = rooms.runs.take()
  if (room === null) throw new Error('no room')
  rooms.runs.give(room)
  const skip = position % BLOCK_BYTES
  const placed = room.subarray(skip, skip + Math.min(bytes.length, room.length - skip))
  bytes.copy(placed)
  const cut = Math.floor(placed.length / 2)
  return new Map([
    ['one', [bytes]],
    ['pieces', pieces],
    ['placed', placed.length === bytes.length ? [placed] : [placed, bytes.subarray(placed.length)]],
    ['half placed', [placed.subarray(0, cut), Buffer.from(bytes.subarray(cut))]],
    [
      'placed where it does not fit',
      [room.subarray(skip + 1, skip + placed.length), bytes.subarray(placed.length - 1)],
    ],
  ])
}

for (const position of POSITIONS)
  test(`what is written at ${position} lies there, whatever its length and layout, and all beside it stays`, () =>
    onFile(async (file, rooms, path) => {
      for (const length of LENGTHS) {
        const bytes = pattern(length)
        for (const [name, buffers] of layouts(bytes, position, rooms)) {
          const wanted = name.endsWith('fit') ? Buffer.concat(buffers) : bytes
          const before = Buffer.alloc(position + wanted.length + 9_000, 0xee)
          await file.truncate(0)
          await file.write([before], 0)
          await file.write(buffers, position)
          await file.datasync()
          wanted.copy(before, position)
          assert.ok(readFileSync(path).equals(before), `${length} ${name}`)
        }
      }
    }))

test('runs appended one behind the other are the whole file', () =>
  onFile(async (file, rooms, path) => {
    const whole = pattern(3_000_000)
    let at = 0
    for (const length of [68, 700_000, 1, 4_095, 262_144, 1_500_000, 533_692]) {
      const room = rooms.runs.take()
      if (room === null) throw new Error('no room')
      const run = room.subarray(at % BLOCK_BYTES, (at % BLOCK_BYTES) + length)
      whole.copy(run, 0, at)
      await file.write([run], at)
      rooms.runs.give(room)
      at += length
    }
    assert.is(at, whole.length)
    assert.ok(readFileSync(path).equals(whole))
    const back = Buffer.alloc(100)
    await file.read(back, 0, 100, 700_000)
    assert.ok(back.equals(whole.subarray(700_000, 700_100)))
  }))

test('more writes at once than there are rooms wait for each other', () =>
  onFile(async (file, _, path) => {
    const each = 600_000
    const whole = pattern(10 * each)
    const writes = Array.from({ length: 10 }, (_, at) =>
      file.write([whole.subarray(at * each, (at + 1) * each)], at * each),
    )
    await Promise.all(writes)
    assert.ok(readFileSync(path).equals(whole))
  }))

test('rooms lie at whole blocks, apart from each other, and are lent once', () => {
  const { runs, pieces } = makeWritingRooms()
  const lent: Buffer[] = []
  for (const rooms of [runs, pieces])
    for (let room = rooms.take(); room !== null; room = rooms.take()) {
      assert.is(room.byteOffset % BLOCK_BYTES, 0)
      assert.ok(lent.every(other => Math.abs(other.byteOffset - (room?.byteOffset ?? 0)) >= 2 << 20))
      lent.push(room)
    }
  assert.is(lent.length, 4)
})

test.run()
