import { existsSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { StoreError, type StoreFault } from '../../../store/object-store.ts'
import { mediumFault } from '../../../store/pack/write-fault.ts'
import { getText, makeDevice, putText } from './device.ts'

const test = suite('a drive that fails')

async function faultOf(work: () => unknown): Promise<StoreFault | null> {
  try {
    await work()
    return null
  } catch (error) {
    if (error instanceof StoreError) return error.fault
    throw error
  }
}

test('an epoch whose end met a fault is ended later, and its objects are under the seal', async () => {
  const device = await makeDevice({ readBack: 'none' })
  try {
    const store = await device.open()
    const checkpoints = join(device.root, 'drive1', 'checkpoints')
    await putText(store, 'before', 'before')
    // a file where a directory must be: no checkpoint can be written
    renameSync(checkpoints, `${checkpoints}.away`)
    writeFileSync(checkpoints, '')
    assert.is(await faultOf(() => store.endEpoch()), 'damaged')
    assert.is(await faultOf(() => putText(store, 'refused', 'refused')), 'damaged')
    renameSync(`${checkpoints}.away`, `${checkpoints}.back`)
    renameSync(checkpoints, `${checkpoints}.file`)
    renameSync(`${checkpoints}.back`, checkpoints)
    await delay(1100)
    await putText(store, 'after', 'after')
    const sealed = await store.seal()
    assert.is(sealed.checkpoint.objects, 2)
    assert.is(sealed.checkpoint.treeSize, 2)
    assert.is(await getText(store, 'refused'), null)
    await store.close()
  } finally {
    device.remove()
  }
})

test('a drive that is full takes no object, and is sealed all the same, in the room that was kept', async () => {
  const device = await makeDevice({ readBack: 'none', limits: { objects: 3 } })
  let free = 100 << 20
  try {
    const store = await device.open({ freeBytes: async () => free })
    for (let at = 0; at < 5; at++) await putText(store, `k${at}`, `text ${at}`)
    free = 8 << 20
    assert.is(await faultOf(() => putText(store, 'refused', 'x')), 'full')
    const sealed = await store.seal()
    assert.is(sealed.checkpoint.objects, 5)
    assert.is(await faultOf(() => store.reopen()), null)
    assert.is(await faultOf(() => putText(store, 'refused again', 'x')), 'full')
    free++
    await putText(store, 'with room again', 'x')
    assert.is((await store.seal()).checkpoint.objects, 6)
    assert.is(await getText(store, 'k4'), 'text 4')
    await store.close()
  } finally {
    device.remove()
  }
})

test('what a crash left half written beside the packs is gone when the drive is opened', async () => {
  const device = await makeDevice()
  try {
    const path = join(device.root, 'drive1')
    const left = ['.seal.json', 'checkpoints/.00000001', 'keys/.a', 'manifest/.00000001.slm'].map(name =>
      join(path, `${name}.0123456789ab`),
    )
    const others = ['checkpoints/.hidden', 'notes.0123456789ab'].map(name => join(path, name))
    for (const file of [...left, ...others]) writeFileSync(file, 'half')
    const store = await device.open()
    assert.equal(left.filter(existsSync), [])
    assert.equal(others.filter(existsSync), others)
    await store.close()
  } finally {
    device.remove()
  }
})

const table: [string, string][] = [
  ['ENOSPC', 'full'],
  ['EDQUOT', 'full'],
  ['EIO', 'damaged'],
  ['EROFS', 'damaged'],
  ['ENODEV', 'damaged'],
]
for (const [code, fault] of table)
  test(`${code} from a medium is fault ${fault}`, () => {
    const told = mediumFault(Object.assign(new Error(code), { code }), 'p')
    assert.ok(told instanceof StoreError)
    assert.is(told.fault, fault)
  })

test('a fault that no medium gave stays as it is', () => {
  for (const error of [new TypeError('x'), Object.assign(new Error('x'), { code: 'ERR_INVALID_STATE' }), 'text'])
    assert.is(mediumFault(error, 'p'), error)
})

test.run()
