import { randomFillSync } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { doneWith, OwnBody } from '../../../store/own-body.ts'
import type { PackStore } from '../../../store/pack/pack-store.ts'
import { makeDevice, PLAIN } from './device.ts'

const test = suite('buffers of what streams')

const PIECE_BYTES = 1 << 16
const LARGE_BYTES = 192 << 20
const SMALL = { objects: 400, bytes: 200_000 }
/** V8 looks for dead buffers after some 64 MB of them: who waits for that goes beyond this, whatever the store holds on purpose. */
const MOST_BYTES = 32 << 20

/** Pieces of memory of their own, as a connection brings them. `look` is called before each. */
function body(bytes: number, look: () => void): OwnBody {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let left = bytes; left > 0; left -= PIECE_BYTES) {
      look()
      yield randomFillSync(Buffer.allocUnsafeSlow(Math.min(left, PIECE_BYTES)))
    }
  }
  return new OwnBody(pieces())
}

async function onDevice(work: (store: PackStore, look: () => void) => Promise<void>): Promise<number> {
  // one thread for all, so that one look sees every buffer
  const device = await makeDevice({ readBack: 'all' })
  const store = await device.open({ sealingThreads: 0 })
  try {
    const before = process.memoryUsage().arrayBuffers
    let most = 0
    await work(store, () => {
      most = Math.max(most, process.memoryUsage().arrayBuffers - before)
    })
    return most
  } finally {
    await store.close()
    device.remove()
  }
}

const options = { attributes: PLAIN, finish: () => ({ etag: 'e' }) }

test('of 192 MiB that are put, read back, checked and got no more than 32 are held at once', async () => {
  const most = await onDevice(async (store, look) => {
    await store.put('b', 'large', body(LARGE_BYTES, look), options)
    look()
    const read = await store.get('b', 'large')
    if (read === null) throw new Error('not there')
    let got = 0
    for await (const piece of read.body) {
      got += piece.length
      look()
      doneWith(read.body, piece)
    }
    assert.is(got, LARGE_BYTES)
  })
  assert.ok(most < MOST_BYTES, `${most} bytes`)
})

test('nor of 80 MB in small objects', async () => {
  const most = await onDevice(async (store, look) => {
    for (let at = 0; at < SMALL.objects; at++) await store.put('b', `small/${at}`, body(SMALL.bytes, look), options)
  })
  assert.ok(most < MOST_BYTES, `${most} bytes`)
})

test.run()
