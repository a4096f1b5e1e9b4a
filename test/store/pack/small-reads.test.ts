import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { HeldBody } from '../../../store/object-store.ts'
import { packPath } from '../../../store/pack/drive.ts'
import type { PackStore } from '../../../store/pack/pack-store.ts'
import { readObject } from '../../../store/pack/rows.ts'
import { SMALL_READ_BYTES } from '../../../store/range-file.ts'
import { collect, pattern } from '../contract/bodies.ts'
import { put } from '../contract/calls.ts'
import { type Device, makeDevice } from './device.ts'
import { flipByte } from './flip.ts'

const reads = suite('small reads')

async function onDevice(work: (store: PackStore, device: Device) => Promise<void>): Promise<void> {
  const device = await makeDevice()
  const store = await device.open()
  try {
    await work(store, device)
  } finally {
    await store.close()
    device.remove()
  }
}

function placeOf(store: PackStore, key: string) {
  const row = readObject(store.engine.index, 'b', key)
  if (row === null) throw new Error(`no row of ${key}`)
  const { commitOffset, commitBytes, bodyOffset } = row.place
  return { ...row.place, length: commitOffset + commitBytes - bodyOffset }
}

reads('an object is read by one look up to the limit, over it by several: the same bytes, whole and in part', () =>
  onDevice(async store => {
    await put(store, 'k0', 'x')
    const room = SMALL_READ_BYTES - placeOf(store, 'k0').length + 1
    // digits of lengths are not all of one width: what really lies there is looked at below
    const seen = new Set<boolean>()
    for (const [at, size] of [0, 1, room - 40, room - 1, room, room + 1, room + 40].entries()) {
      const key = `k${at + 1}`
      const bytes = pattern(size)
      await put(store, key, bytes)
      const held = placeOf(store, key).length <= SMALL_READ_BYTES
      seen.add(held)
      const read = await store.get('b', key)
      assert.is(read?.body instanceof HeldBody, held, String(size))
      assert.ok(read && bytes.equals(await collect(read.body)), String(size))
      for (const [first, last] of [
        [0, 0],
        [0, size - 1],
        [size - 1, size - 1],
        [Math.floor(size / 3), Math.floor(size / 2)],
      ] as const) {
        if (size === 0) continue
        const part = await store.get('b', key, { first, last })
        assert.ok(part && bytes.subarray(first, last + 1).equals(await collect(part.body)), `${size}: ${first}-${last}`)
      }
    }
    assert.is(seen.size, 2)
  }),
)

reads('small objects that are read at once, in any order and number, are each their own', () =>
  onDevice(async store => {
    const sizes = Array.from({ length: 60 }, (_, at) => (at * 37) % 5000)
    await Promise.all(sizes.map((size, at) => put(store, `k${at}`, pattern(size).fill(at, 0, Math.min(size, 8)))))
    for (let round = 0; round < 3; round++) {
      const found = await Promise.all(sizes.map((_, at) => store.get('b', `k${at}`)))
      for (const [at, size] of sizes.entries()) {
        const read = found[at]
        const bytes = pattern(size).fill(at, 0, Math.min(size, 8))
        assert.ok(read && bytes.equals(await collect(read.body)), `k${at}`)
      }
    }
  }),
)

reads('no byte of a small object is given out when one on the medium has changed: a refusal, and no body', () =>
  onDevice(async (store, device) => {
    await put(store, 'k', 'sixteen bytes ok')
    const { pack, bodyOffset, length } = placeOf(store, 'k')
    const [drive] = device.drives
    if (drive === undefined) throw new Error('a device without a drive')
    // behind the bare head of the body's frame, which says nothing that is not known
    for (let at = bodyOffset + 16; at < bodyOffset + length; at += 7) {
      flipByte(packPath(drive, pack), at)
      const found = await store.get('b', 'k').catch((error: unknown) => error)
      assert.instance(found, Error, `byte ${at - bodyOffset}`)
      flipByte(packPath(drive, pack), at)
    }
    const read = await store.get('b', 'k')
    assert.is(read && (await collect(read.body)).toString(), 'sixteen bytes ok')
  }),
)

reads.run()
