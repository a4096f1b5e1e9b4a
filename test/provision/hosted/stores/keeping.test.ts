// timeout: 240s, test 60s
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { pattern } from '../../../store/contract/bodies.ts'
import { bytesOf, PLAIN, readAll } from '../../../store/pack/device.ts'
import { cut, type FarSide, PART_BYTES, said } from '../../../store/remote/far-side.ts'
import {
  authority,
  away,
  begin,
  directory,
  end,
  errors,
  far,
  faultOf,
  get,
  hosted,
  line,
  mine,
  put,
  restart,
  until,
} from './elsewhere.ts'

const test = suite('what lies elsewhere is kept, moved and swept')
test.before.each(begin)
test.after.each(end)

test('what a crash left elsewhere is swept when it is old, and nothing that a row or a write under way knows', async () => {
  await put('k', 'kept')
  const stray = `from/us/${'5'.repeat(32)}`
  await far.store.put('far', stray, bytesOf('x'), { attributes: PLAIN, finish: () => ({ etag: 'e' }) })
  await far.store.put('far', 'from/us/a-note', bytesOf('x'), { attributes: PLAIN, finish: () => ({ etag: 'e' }) })
  assert.equal(await hosted.dataStores.sweep('away'), { removed: 0, uploadsEnded: 0 })
  far.fault = tomorrow
  assert.equal(await hosted.dataStores.sweep('away'), { removed: 1, uploadsEnded: 0 })
  assert.is((await away()).length, 2)
  assert.is(String(await get('k')), 'kept')
  await far.store.delete('far', 'from/us/sealift-store')
  assert.is(await faultOf(hosted.dataStores.sweep('away')), 'damaged')
})

test('a removal that did not reach it is made up for by the sweep', async () => {
  await put('k', 'text')
  far.fault = async (what, go) => (what === 'DELETE object' ? said(503) : go())
  await mine().delete('b', 'k')
  assert.is((await away()).length, 1)
  far.fault = null
  await restart()
  await until(async () => (await away()).length === 0)
  await until(async () => (await line('away'))?.blobs === 0)
})

/** A day later, as the far side's clock says it. */
const tomorrow: FarSide['fault'] = async (what, go) => {
  const answer = await go()
  const date = new Date(Date.now() + 2 * 86_400_000).toUTCString()
  return what === 'GET list' ? { ...answer, headers: [...answer.headers, ['date', date]] } : answer
}

test('who deletes or replaces does not wait for a store elsewhere that says nothing', async () => {
  await put('k', 'text')
  await put('l', 'text')
  far.fault = async () => new Promise(() => undefined)
  const began = performance.now()
  await hosted.dataStores.place('b', { store: 'files', inlineMax: 0 })
  await put('k', 'another')
  await mine().delete('b', 'l')
  assert.ok(performance.now() - began < 10_000)
  assert.is(String(await get('k')), 'another')
  assert.is((await away()).length, 2)
  far.fault = null
  await restart()
  await until(async () => (await away()).length === 0)
})

test('an upload that died between the endpoint’s answer and its transaction leaves no row, and goes when it is old', async () => {
  authority.down = true
  // dead at once: it takes nothing back
  far.fault = async (what, go) => (what === 'DELETE object' ? cut() : go())
  assert.is(await faultOf(put('k', 'text')), 'away')
  authority.down = false
  far.fault = null
  await restart()
  assert.is((await away()).length, 1)
  assert.equal([await mine().head('b', 'k'), (await line('away'))?.blobs], [null, 0])
  far.fault = tomorrow
  // the store's own look at its start may come first
  assert.ok((await hosted.dataStores.sweep('away')).removed <= 1)
  await until(async () => (await away()).length === 0)
})

test('what an endpoint that was away did not take back goes with the next look, and nothing that lives', async () => {
  await put('k', 'text')
  await put('l', 'other')
  far.fault = async (what, go) => (what === 'DELETE object' ? said(503) : go())
  await mine().delete('b', 'k')
  assert.is((await away()).length, 2)
  far.fault = null
  await hosted.dataStores.moveBucket('b')
  await until(async () => (await away()).length === 1)
  assert.is(String(await get('l')), 'other')
  assert.is((await line('away'))?.blobs, 1)
})

test('the dead are found by an index of their own', async () => {
  const database = new Database(join(directory, 'hosted.sqlite'), { readonly: true })
  const plan = database.prepare(
    "explain query plan select id from blobs where state = 'dead' and id > 'a:' order by id",
  )
  assert.match(JSON.stringify(plan.all()), /dead_blobs/)
  database.close()
})

test('an upload that died after its transaction is there, and no sweep takes it', async () => {
  await put('k', 'text')
  await restart()
  far.fault = tomorrow
  assert.equal(await hosted.dataStores.sweep('away'), { removed: 0, uploadsEnded: 0 })
  assert.is(String(await get('k')), 'text')
})

test('a bucket that is to lie elsewhere moves: what is read meanwhile is read on, copies share, the old bytes go', async () => {
  await hosted.dataStores.place('b', { store: 'files', inlineMax: 500 })
  const bytes = pattern(600_000)
  await put('large', bytes)
  await put('small', 'in the database')
  await mine().copy({ bucket: 'b', key: 'large' }, { bucket: 'near', key: 'copy' }, { sourceEtag: 'e' })
  const reading = await mine().get('b', 'large')
  await hosted.dataStores.place('b', { store: 'away', inlineMax: 500 })
  assert.is(await hosted.dataStores.moveBucket('b'), 1)
  await until(async () => (await line('away'))?.arriving === 0)
  assert.equal(
    (await hosted.dataStores.list()).map(({ name, blobs }) => `${name} ${blobs}`),
    ['files 1', 'inline 1', 'away 1'],
  )
  assert.ok(reading && bytes.equals(await readAll(reading.body)))
  await until(async () => (await line('files'))?.blobs === 0)
  for (const [key, bucket] of [
    ['large', 'b'],
    ['copy', 'near'],
  ] as const)
    assert.ok(bytes.equals(await get(key, undefined, bucket)))
  await hosted.dataStores.place('b', { store: 'away', inlineMax: 0 })
  assert.is(await hosted.dataStores.moveBucket('b'), 1)
  await until(async () => (await line('inline'))?.blobs === 0)
  assert.is(String(await get('small')), 'in the database')
  assert.equal(errors, [])
})

test('a move that is cut off at any step goes on at the next start', async () => {
  await hosted.dataStores.place('b', { store: 'files', inlineMax: 0 })
  const bytes = pattern(PART_BYTES + 10)
  for (const step of ['POST upload', 'PUT part', 'POST complete', 'HEAD object']) {
    await put(step, bytes)
    far.fault = async (what, go) => (what === step ? said(503) : go())
    await hosted.dataStores.drain('files', 'away')
    await until(async () => errors.length > 0)
    far.fault = null
    await restart()
    await until(async () => (await line('files'))?.blobs === 0)
    assert.ok(bytes.equals(await get(step)))
    errors.length = 0
  }
  assert.is(await hosted.dataStores.drain('away', 'files'), 4)
  await until(async () => (await line('away'))?.blobs === 0)
  await until(async () => (await away()).length === 0)
  assert.ok(bytes.equals(await get('PUT part')))
})

test('what is deleted while it moves is gone in both', async () => {
  await hosted.dataStores.place('b', { store: 'files', inlineMax: 0 })
  await put('k', pattern(1000))
  far.fault = async (what, go) => {
    if (what === 'PUT object') await mine().delete('b', 'k')
    return go()
  }
  await hosted.dataStores.drain('files', 'away')
  await until(async () => (await line('away'))?.arriving === 0)
  await until(async () => (await away()).length === 0)
  // the bytes that were being copied go when the copying is over
  await until(async () => (await hosted.dataStores.list()).every(each => each.blobs === 0))
})

test('a pack that came by drive is streamed to where its bucket’s bodies lie, when its intake is over', async () => {
  const pack = join(directory, 'pack')
  writeFileSync(pack, pattern(PART_BYTES + 3))
  const { registration } = hosted
  await registration.adopt('job/pack', pack)
  const nothing = Buffer.alloc(0)
  for (const [at, key] of ['k', 'l'].entries())
    await registration.register('run', at + 1, 'j/d', [
      {
        put: {
          ...{ objectId: `${at}`, pack: 'job/pack', offset: 0, length: 4, coreHeader: nothing, envelope: nothing },
          ...{ bucket: 'b', key, size: 1, etag: 'e', modifiedAt: 1, attributes: PLAIN, checksum: null },
          ...{ account: 'acme', job: 'j', acl: 'private', sequence: at, upload: null, parts: [] },
        },
      },
    ])
  assert.equal(await away(), [])
  await registration.settle(['job/pack'])
  await until(async () => (await line('files'))?.blobs === 0)
  const [key = ''] = await away()
  const held = await far.store.get('far', key)
  assert.ok(pattern(PART_BYTES + 3).equals(await readAll(held?.body ?? bytesOf(''))))
  await mine().delete('b', 'k')
  assert.is((await away()).length, 1)
  await mine().delete('b', 'l')
  assert.equal(await away(), [])
})

test.run()
