import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openBlobs } from '../../../provision/hosted/open-blobs.ts'
import type { Blobs } from '../../../store/blobs.ts'

const test = suite('blobs that stay open')

/** Counts what is open; a name that begins with "no" is not there. */
function counted() {
  const log: string[] = []
  let fail = false
  const blobs: Blobs = {
    write: async () => ({ blob: '', size: 0 }),
    keep: async () => undefined,
    unkept: async function* () {},
    async open(blob) {
      if (fail) throw new Error('too many open files')
      if (blob.startsWith('no')) return null
      log.push(`open ${blob}`)
      return {
        read: async (at, length) => Buffer.from(`${blob}:${at}:${length}`),
        close: async () => void log.push(`close ${blob}`),
      }
    },
    remove: async blob => void log.push(`remove ${blob}`),
  }
  const failing = (value: boolean): void => {
    fail = value
  }
  return { blobs, log, failing }
}

test('readers of one blob share it, also one after another', async () => {
  const { blobs, log } = counted()
  const shared = openBlobs(blobs, 2)
  const [one, two] = await Promise.all([shared.open('a'), shared.open('a')])
  assert.is(String(await one?.read(1, 2)), 'a:1:2')
  await one?.close()
  await one?.close()
  assert.is(String(await two?.read(3, 4)), 'a:3:4')
  await two?.close()
  await (await shared.open('a'))?.close()
  assert.equal(log, ['open a'])
  await shared.closeAll()
  assert.equal(log, ['open a', 'close a'])
})

test('the one read longest ago is closed first, and none that is read', async () => {
  const { blobs, log } = counted()
  const shared = openBlobs(blobs, 2)
  const held = await shared.open('a')
  for (const blob of ['b', 'c', 'd']) await (await shared.open(blob))?.close()
  assert.equal(log, ['open a', 'open b', 'open c', 'close b', 'open d', 'close c'])
  await held?.close()
  await (await shared.open('e'))?.close()
  assert.equal(log.slice(-2), ['open e', 'close a'])
})

test('a blob that is removed is closed with its last reader, and is gone for the next', async () => {
  const { blobs, log } = counted()
  const shared = openBlobs(blobs, 2)
  const held = await shared.open('a')
  await shared.remove('a')
  assert.is(String(await held?.read(0, 1)), 'a:0:1')
  assert.equal(log, ['open a', 'remove a'])
  await held?.close()
  assert.equal(log, ['open a', 'remove a', 'close a'])
  await (await shared.open('a'))?.close()
  assert.is(log.at(-1), 'open a')
})

test('what is not there, or could not be opened, is looked for again', async () => {
  const { blobs, log, failing } = counted()
  const shared = openBlobs(blobs, 2)
  assert.is(await shared.open('no'), null)
  failing(true)
  const errors = await Promise.all([0, 1].map(() => shared.open('a').catch(error => error.message)))
  assert.equal(errors, ['too many open files', 'too many open files'])
  failing(false)
  assert.ok(await shared.open('a'))
  assert.equal(log, ['open a'])
})

test.run()
