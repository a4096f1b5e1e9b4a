// timeout: 240s, test 60s
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openShelf } from '../../../../provision/hosted/shelf.ts'
import { bytesOf } from '../../../store/pack/device.ts'
import { KEYS, SHORT } from '../../../store/remote/far-side.ts'
import { begin, directory, end, far, faultOf, hosted, mine, open, put } from './elsewhere.ts'

const test = suite('stores elsewhere are added and removed')
test.before.each(begin)
test.after.each(end)

test('a store that was added after this process began is opened when it is named, once', async () => {
  await hosted.close()
  const shelf = await openShelf({ directory, clock: () => new Date(), patience: SHORT })
  try {
    // as of a process that began before
    shelf.blobs.remote.get('away')?.close()
    shelf.blobs.remote.clear()
    const write = () => shelf.blobs.write(bytesOf('text'), { store: 'away', inlineMax: 0 })
    const [one, two] = await Promise.all([write(), write()])
    assert.is(shelf.blobs.remote.get('away')?.arriving.size, 2)
    for (const { id } of [one, two]) await shelf.blobs.remove(id)
    const strange = shelf.blobs.write(bytesOf('text'), { store: 'nowhere', inlineMax: 0 })
    assert.is(await faultOf(strange), 'damaged')
  } finally {
    await shelf.close()
    await open()
  }
})

test('its keys are in one file for their owner, in no table and no list', async () => {
  const path = join(directory, 'stores', 'away.json')
  assert.is(statSync(path).mode & 0o777, 0o600)
  assert.match(readFileSync(path, 'utf8'), new RegExp(KEYS.secretKey))
  assert.not.match(JSON.stringify(await hosted.dataStores.list()), new RegExp(KEYS.secretKey))
  await hosted.close()
  for (const file of ['hosted.sqlite', 'hosted.sqlite-wal']) {
    const bytes = statSync(join(directory, file), { throwIfNoEntry: false })
    if (bytes) assert.not.ok(readFileSync(join(directory, file)).includes(KEYS.secretKey), file)
  }
  rmSync(path)
  const refused = await open().catch(error => error.message)
  assert.match(refused, /keys of data store away are gone/)
  writeFileSync(path, JSON.stringify({ ...KEYS, mark: 'm' }))
  await open()
})

test('a store in use is not removed; an empty one leaves nothing behind', async () => {
  assert.is(await faultOf(hosted.dataStores.remove('away')), 'in-use')
  await put('k', 'text')
  await hosted.dataStores.place('b', { store: 'files', inlineMax: 0 })
  assert.is(await faultOf(hosted.dataStores.remove('away')), 'in-use')
  await mine().delete('b', 'k')
  assert.ok((await hosted.dataStores.check('away')).ms >= 0)
  await hosted.dataStores.remove('away')
  assert.equal(await far.keys(), [])
  assert.match(await faultOf(hosted.dataStores.check('away')), /there is no data store away/)
  await hosted.dataStores.add('again', far.settings, KEYS)
})

test('a store is not added twice, nor under a prefix of another, nor with a key that is refused', async () => {
  assert.is(await faultOf(hosted.dataStores.add('away', far.settings, KEYS)), 'in-use')
  assert.is(await faultOf(hosted.dataStores.add('second', far.settings, KEYS)), 'in-use')
  const other = { ...far.settings, prefix: 'else/' }
  assert.is(await faultOf(hosted.dataStores.add('second', other, { ...KEYS, secretKey: 'wrong' })), 'damaged')
  assert.match(await faultOf(hosted.dataStores.add('files', other, KEYS)), /RangeError/)
  await hosted.dataStores.add('second', other, KEYS)
})

test.run()
