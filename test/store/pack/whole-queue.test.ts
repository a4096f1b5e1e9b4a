import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { newId } from '../../../format/bytes.ts'
import { OBJECT } from '../../../format/envelope.ts'
import { StoreError } from '../../../store/object-store.ts'
import type { PackSet } from '../../../store/pack/pack-set.ts'
import { type WaitingObject, WholeQueue } from '../../../store/pack/sealing/whole-queue.ts'
import { PLAIN } from './device.ts'

const test = suite('a batch of whole objects')

const committed = { place: {}, etag: 'e', plaintextLength: 1, bodyLength: 1, leafLength: 2 }
const refused = { fault: 'source-changed', message: 'it changed' }

/** A lane that answers so, and what its pack was told. */
function packsAnswering(answer: () => unknown): { packs: PackSet; failed: () => number } {
  let failed = 0
  const pack = { id: newId(), learn: () => undefined, fail: async () => void failed++ }
  const lane = { batches: 0, news: () => [], call: async () => answer() }
  return {
    packs: { lanes: [lane], shared: async () => ({ pack, done: async () => undefined }) } as unknown as PackSet,
    failed: () => failed,
  }
}

/** What each of `count` objects heard. */
async function heardBy(count: number, queue: WholeQueue, done: (leaf: Buffer) => void): Promise<string[][]> {
  const heard = Array.from({ length: count }, (): string[] => [])
  await new Promise<void>(over => {
    let left = count
    for (const words of heard) {
      const tell = (word: string): void => {
        words.push(word)
        if (--left === 0) setImmediate(over)
      }
      const metadata = { bucket: 'b', key: 'k', modifiedAt: 0, etag: null, headers: PLAIN.headers, user: {} }
      queue.add({
        label: { kind: OBJECT, objectId: newId(), epoch: newId(), sequence: 1, committedAt: 0, metadata },
        epoch: {} as WaitingObject['epoch'],
        body: { buffers: [Buffer.of(1)], from: { async *[Symbol.asyncIterator]() {} } },
        bytes: 1,
        done: (_, leaf) => {
          done(leaf)
          tell(`done ${leaf.toString()}`)
        },
        failed: error => tell(error instanceof StoreError ? error.fault : String(error)),
      })
    }
  })
  return heard
}

const answer = (results: unknown[]) => () => ({
  results: JSON.stringify(results),
  leaves: Buffer.from('aabb'),
  reached: { offset: 1, head: Buffer.alloc(0) },
  report: {},
})

test('each hears its own outcome once, with its own leaf', async () => {
  const { packs, failed } = packsAnswering(answer([committed, refused, committed]))
  const heard = await heardBy(3, new WholeQueue(packs, () => undefined), () => undefined)
  assert.equal(heard, [['done aa'], ['source-changed'], ['done bb']])
  assert.is(failed(), 0)
})

test('rows that cannot be written behind a batch take no outcome back: nobody hears twice, and the pack is sound', async () => {
  const { packs, failed } = packsAnswering(answer([committed, committed]))
  const full = (): never => {
    throw new StoreError('full', 'no room for the index')
  }
  assert.equal(await heardBy(2, new WholeQueue(packs, full), () => undefined), [['done aa'], ['done bb']])
  assert.is(failed(), 0)
})

test('an object whose rows fail is told so alone', async () => {
  const { packs } = packsAnswering(answer([committed, committed]))
  const first = (leaf: Buffer): void => {
    if (leaf.toString() === 'aa') throw new StoreError('full', 'no room for the index')
  }
  assert.equal(await heardBy(2, new WholeQueue(packs, () => undefined), first), [['full'], ['done bb']])
})

test('a batch that a lane cannot commit fails for all, and its pack takes nothing more', async () => {
  const { packs, failed } = packsAnswering(() => {
    throw new StoreError('damaged', 'the drive is gone')
  })
  assert.equal(await heardBy(2, new WholeQueue(packs, () => undefined), () => undefined), [['damaged'], ['damaged']])
  assert.is(failed(), 1)
})

test.run()
