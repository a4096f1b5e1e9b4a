import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { newId } from '../../../format/bytes.ts'
import { FRAME } from '../../../format/frame.ts'
import { encodeLeavesFrame } from '../../../format/pack-walk.ts'
import { type HeldPack, PackSet } from '../../../store/pack/pack-set.ts'
import { type Device, makeDevice } from './device.ts'

const test = suite('packs that are full')
/** what a pack grows to */
const FULL = 1 << 30

type Packs = { packs: PackSet; lane: PackSet['lanes'][number]; device: Device }

/** @param room - asked each time: how much the drive has left */
async function openPacks(room: () => Promise<number> = async () => 2 ** 40): Promise<Packs> {
  const device = await makeDevice()
  let [sequence, now] = [1, 0]
  const options = { threads: 0, ticks: () => (now += 1000), freeBytes: room }
  const packs = new PackSet(device.drives, device.owner, [], () => 0, () => sequence++, options) // biome-ignore format: a call
  const [lane] = packs.lanes
  if (lane === undefined) throw new Error('no lane')
  return { packs, lane, device }
}

const append = ({ pack }: HeldPack) =>
  pack.append(FRAME.leaves, encodeLeavesFrame({ epoch: newId(), firstIndex: 0, leaves: [] }), null)

async function ended({ packs, device }: Packs): Promise<void> {
  await packs.close()
  device.remove()
}

test('one that is in hand takes what it was taken for, and is closed when it is let go', async () => {
  const on = await openPacks()
  try {
    const first = await on.packs.shared(on.lane)
    const leaves = await on.packs.packOn(first.pack.drive)
    assert.is(leaves.pack, first.pack)
    first.pack.length = FULL
    let next: HeldPack | null = null
    const coming = on.packs.shared(on.lane).then(held => {
      next = held
    })
    await append(first)
    await first.done()
    await append(leaves)
    assert.is(next, null, 'the next waits for the leaves')
    await leaves.done()
    await leaves.done()
    await coming
    const opened = next as HeldPack | null
    assert.ok(opened !== null && opened.pack !== first.pack)
    await opened.done()
    assert.is(first.pack.hold(), null, 'nobody gets the full one any more')
  } finally {
    await ended(on)
  }
})

test('one that fills up while whoever asked for it hears of the drive’s room is open when he has heard', async () => {
  let answer: Promise<number> = Promise.resolve(2 ** 40)
  const on = await openPacks(() => answer)
  try {
    const first = await on.packs.shared(on.lane)
    const { promise, resolve } = Promise.withResolvers<number>()
    answer = promise
    const waiting = on.packs.shared(on.lane)
    await new Promise(setImmediate)
    first.pack.length = FULL
    answer = Promise.resolve(2 ** 40)
    const next = on.packs.shared(on.lane)
    await first.done()
    await new Promise(setImmediate)
    resolve(2 ** 40)
    const heard = await waiting
    assert.is(heard.pack, first.pack)
    await append(heard)
    await heard.done()
    assert.is.not((await next).pack, first.pack)
    await (await next).done()
  } finally {
    await ended(on)
  }
})

test('one that failed is closed at once, whoever has it in hand', async () => {
  const on = await openPacks()
  try {
    const first = await on.packs.shared(on.lane)
    await first.pack.fail()
    const next = await on.packs.shared(on.lane)
    assert.is.not(next.pack, first.pack)
    await first.done()
    await next.done()
  } finally {
    await ended(on)
  }
})

test.run()
