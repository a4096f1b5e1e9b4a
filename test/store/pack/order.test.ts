import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openFrame } from '../../../format/frame.ts'
import { parseLeaf } from '../../../format/leaf.ts'
import { parseLeavesFrame } from '../../../format/pack-walk.ts'
import { readLeavesRows } from '../../../store/pack/pack-rows.ts'
import type { PackStore } from '../../../store/pack/pack-store.ts'
import { bytesOf, makeDevice, PLAIN, putText } from './device.ts'

const test = suite('order')

/** Sequences of the tree's leaves, from the first. */
async function treeOrder(store: PackStore): Promise<number[]> {
  const { engine } = store
  const [drive] = engine.packs.drives
  if (drive === undefined) throw new Error('no drive')
  const out: number[] = []
  for (const { pack, offset, end } of readLeavesRows(engine.index, drive.volume.drive)) {
    const { payload } = openFrame(await engine.packs.read(pack, offset, end - offset))
    for (const leaf of parseLeavesFrame(payload).leaves) out.push(parseLeaf(leaf).sequence)
  }
  return out
}

for (const sealingThreads of [0, 2])
  test(`whatever goes on side by side, the tree is in order of the sequences (${sealingThreads} threads)`, async () => {
    // a checkpoint's last sequence stands for all before it: recovery would pass over an object of the next epoch with a lower one
    const device = await makeDevice({ readBack: 'none', limits: { objects: 7 } })
    try {
      const store = await device.open({ sealingThreads })
      const large = Buffer.alloc((1 << 20) + 1, 7)
      const puts: Promise<unknown>[] = []
      const work: Promise<unknown>[] = []
      for (let at = 0; at < 150; at++) {
        const put =
          at % 10 === 3
            ? store.put('b', `large${at}`, bytesOf(large), { attributes: PLAIN, finish: () => ({ etag: 'e' }) })
            : putText(store, `small${at}`, `${at}`)
        puts.push(put)
        work.push(put)
        if (at % 10 === 9) {
          await puts[at - 9]
          work.push(store.delete('b', `small${at - 9}`))
        }
        if (at % 25 === 24) await Promise.all(work)
      }
      await Promise.all(work)
      await store.endEpoch()
      const order = await treeOrder(store)
      assert.is(order.length, 165)
      assert.equal(
        order,
        [...order].sort((a, b) => a - b),
      )
      await store.close()
    } finally {
      device.remove()
    }
  })

test.run()
