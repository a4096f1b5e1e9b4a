// timeout: 240s, test 60s
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { signRequest } from '../../../../access/sign.ts'
import { type Hosted, openHosted } from '../../../../provision/hosted/serve.ts'
import { leaveBody, StoreError } from '../../../../store/object-store.ts'
import { listen } from '../../../../store/s3/listen.ts'
import { collect, pattern } from '../../../store/contract/bodies.ts'
import { bytesOf, PLAIN, readAll } from '../../../store/pack/device.ts'
import { cut, type FarSide, KEYS, openFarSide, PART_BYTES, SHORT, said } from '../../../store/remote/far-side.ts'
import { openAuthority } from '../../authority.ts'

const test = suite('the hosted store over a store elsewhere')
const authority = openAuthority()
const caller = authority.callerOf('acme')
const keys = authority.addKey('acme', 'Acme')
let directory: string
let far: FarSide
let hosted: Hosted
let errors: string[]
const mine = () => hosted.store(caller)
const open = async () => {
  const onError = (error: unknown) => void errors.push(error instanceof Error ? error.message : String(error))
  const config = { directory, region: 'r1', clock: () => new Date(), onError, patience: SHORT }
  hosted = await openHosted(config, authority)
}
const restart = async () => {
  await hosted.close()
  await open()
}
const put = (key: string, body: string | Buffer, bucket = 'b') =>
  mine().put(bucket, key, bytesOf(body), { attributes: PLAIN, finish: () => ({ etag: 'e' }) })
const get = async (key: string, range?: { first: number; last: number }, bucket = 'b') => {
  const read = await mine().get(bucket, key, range)
  assert.ok(read, key)
  return readAll(read.body)
}
const multipart = async (key: string, bodies: Buffer[], between: (at: number) => Promise<void>) => {
  const finish = () => ({ etag: 'e' })
  const { id } = await mine().createUpload('b', key, PLAIN)
  for (const [at, body] of bodies.entries()) {
    await between(at)
    await mine().putPart(id, at + 1, bytesOf(body), { finish })
  }
  const parts = bodies.map((_, at) => ({ partNumber: at + 1, etag: 'e' }))
  await mine().completeUpload(id, parts, { finish })
}
/** Of the far side, without its mark. */
const away = async () => (await far.keys()).filter(key => !key.endsWith('sealift-store'))
const until = async (done: () => Promise<boolean>) => {
  for (let turn = 0; turn < 200 && !(await done()); turn++) await new Promise(resolve => setTimeout(resolve, 20))
  assert.ok(await done())
}
const line = async (name: string) => (await hosted.dataStores.list()).find(each => each.name === name)
const faultOf = (work: Promise<unknown>) =>
  work.then(
    () => 'none',
    error => (error instanceof StoreError ? error.fault : String(error)),
  )
/** Over the face, as a client has it. */
const ask = async (method: string, rawPath: string, body = '') => {
  const head = { method, rawPath, rawQuery: '', headers: [['host', 'h'], ['content-length', `${body.length}`]] as const } // biome-ignore format: a request
  const signed = signRequest({ ...head, headers: head.headers.map(([name, value]) => [name, value] as const) }, keys, {
    region: 'r1',
    time: new Date(),
    payload: 'UNSIGNED-PAYLOAD',
  })
  const answer = await hosted.face({ ...signed, body: bytesOf(body), remote: '192.0.2.1' })
  const { status } = answer
  if (answer.body === null || answer.body instanceof Uint8Array) return { status, text: String(answer.body ?? '') }
  return { status, text: String(await collect(answer.body).catch(error => `cut: ${error.message}`)) }
}

test.before.each(async () => {
  errors = []
  directory = mkdtempSync(join(tmpdir(), 'sealift-away-'))
  far = await openFarSide()
  await open()
  await hosted.dataStores.add('away', far.settings, KEYS)
  for (const bucket of ['b', 'near']) await mine().createBucket(bucket)
  await hosted.dataStores.place('b', { store: 'away', inlineMax: 0 })
})
test.after.each(async () => {
  await hosted.close()
  await far.close()
  rmSync(directory, { recursive: true, force: true })
})

for (const size of [0, 1, PART_BYTES - 1000, PART_BYTES + 1])
  test(`an object of ${size} bytes lies elsewhere, sealed, and comes back whole and in part`, async () => {
    const bytes = pattern(size)
    await put('a name of its own', bytes)
    const [key = '', ...more] = await away()
    assert.equal(more, [])
    assert.match(key, /^from\/us\/[0-9a-f]{32}$/)
    await restart()
    assert.ok(bytes.equals(await get('a name of its own')))
    if (size > 2) {
      const range = { first: size - 2, last: size - 1 }
      assert.ok(bytes.subarray(size - 2).equals(await get('a name of its own', range)))
      const held = await far.store.get('far', key)
      assert.not.ok((await readAll(held?.body ?? bytesOf(''))).includes(bytes.subarray(0, 500)))
    }
    await mine().delete('b', 'a name of its own')
    assert.equal(await away(), [])
  })

test('parts of one object lie in three stores, are read over their seams, and go together', async () => {
  const bodies = [pattern(PART_BYTES), pattern(PART_BYTES).reverse(), pattern(700)]
  const places = [{ store: 'away', inlineMax: 0 }, { store: 'files', inlineMax: 0 }, { store: 'away', inlineMax: 5000 }] // biome-ignore format: one each
  await multipart('k', bodies, async at => {
    const place = places[at]
    if (place) await hosted.dataStores.place('b', place)
  })
  const counts = (await hosted.dataStores.list()).map(({ name, blobs }) => `${name} ${blobs}`)
  assert.equal(counts, ['files 1', 'inline 1', 'away 1'])
  const whole = Buffer.concat(bodies)
  assert.ok(whole.equals(await get('k')))
  for (const seam of [PART_BYTES, 2 * PART_BYTES]) {
    const range = { first: seam - 5, last: seam + 5 }
    assert.ok(whole.subarray(range.first, range.last + 1).equals(await get('k', range)))
  }
  await mine().copy({ bucket: 'b', key: 'k' }, { bucket: 'near', key: 'copy' }, { sourceEtag: 'e' })
  await mine().delete('b', 'k')
  assert.ok(whole.equals(await get('copy', undefined, 'near')))
  await mine().delete('near', 'copy')
  assert.equal(
    (await hosted.dataStores.list()).map(each => each.blobs + each.bytes),
    [0, 0, 0],
  )
  assert.equal(await away(), [])
})

test('while it is away a PUT and a GET are told to come back, nothing is made, and the log has the reason', async () => {
  await put('k', 'text')
  far.fault = async () => said(503)
  for (const [method, path] of [
    ['PUT', '/b/new'],
    ['GET', '/b/k'],
  ] as const) {
    const { status, text } = await ask(method, path, method === 'PUT' ? 'new' : '')
    assert.is(status, 503)
    assert.match(text, /SlowDown/)
  }
  far.fault = null
  assert.is(await mine().head('b', 'new'), null)
  assert.is(String(await get('k')), 'text')
})

for (const [name, lie, says] of [
  ['gives other bytes', async (body: Buffer) => body.fill(1), /object|body|core header|mismatch|tampered/],
  ['gives less', async (body: Buffer) => body.subarray(0, 10), /gives 10 bytes/],
  ['has it no more', async () => null, /has no blob/],
] as const)
  test(`an endpoint that ${name} is found out: 500, named in the log, and nothing wrong is served`, async () => {
    for (const [key, size] of [
      ['small', 100],
      ['large', 600_000],
    ] as const) {
      await put(key, pattern(size))
      far.fault = async (what, go) => {
        const answer = await go()
        if (what !== 'GET object' || answer.body === null) return answer
        const body = answer.body instanceof Uint8Array ? Buffer.from(answer.body) : await collect(answer.body)
        const changed = await lie(body)
        if (changed === null) return said(404, '<Error><Code>NoSuchKey</Code></Error>')
        const headers = answer.headers.filter(([header]) => header.toLowerCase() !== 'content-length')
        return { ...answer, headers, body: changed }
      }
      errors = []
      const { status, text } = await ask('GET', `/b/${key}`)
      if (size < 1000) assert.is(status, 500)
      else assert.match(text, /^cut/)
      assert.not.ok(text.includes(String(pattern(50))))
      if (size < 1000) assert.match(errors.join(), says)
      else assert.match(text, says)
      far.fault = null
    }
  })

test('a PUT that the endpoint breaks off is taken up again', async () => {
  let breaks = 2
  far.fault = async (what, go) => (what === 'PUT object' && breaks-- > 0 ? cut() : go())
  await put('k', 'text')
  assert.is(String(await get('k')), 'text')
})

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
  assert.is((await line('away'))?.blobs, 0)
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
  assert.is(await faultOf(put('k', 'text')), 'busy')
  authority.down = false
  far.fault = null
  await restart()
  assert.is((await away()).length, 1)
  assert.equal([await mine().head('b', 'k'), (await line('away'))?.blobs], [null, 0])
  far.fault = tomorrow
  assert.equal(await hosted.dataStores.sweep('away'), { removed: 1, uploadsEnded: 0 })
  assert.equal(await away(), [])
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
    errors = []
  }
  assert.is(await hosted.dataStores.drain('away', 'files'), 4)
  await until(async () => (await line('away'))?.blobs === 0)
  assert.equal(await away(), [])
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

test('usage counts what is stored, wherever it lies', async () => {
  await hosted.usage.quotas.set({ scope: 'bucket', id: 'b', dimension: 'stored-bytes', period: 'none', amount: 1000 })
  await put('k', pattern(900))
  assert.is(await faultOf(put('l', pattern(200))), 'over-quota')
  assert.is((await away()).length, 1)
  await hosted.dataStores.place('b', { store: 'files', inlineMax: 1000 })
  assert.is(await faultOf(put('l', pattern(200))), 'over-quota')
  await mine().delete('b', 'k')
  await put('l', pattern(200))
})

test('another hosted store of ours is such an endpoint', async () => {
  const beyond = join(directory, 'beyond')
  const other = openAuthority()
  const config = { directory: beyond, region: 'r1', clock: () => new Date(), onError: (error: unknown) => void errors.push(`${error}`) } // biome-ignore format: a config
  const second = await openHosted(config, other)
  const listener = await listen({ face: second.face, host: '127.0.0.1', port: 0 })
  try {
    await second.store(other.callerOf('acme')).createBucket('far')
    await hosted.dataStores.add('ours', { ...far.settings, url: listener.url }, other.addKey('acme', 'Acme'))
    await hosted.dataStores.place('b', { store: 'ours', inlineMax: 0 })
    for (const size of [0, 10, PART_BYTES + 1]) {
      const bytes = pattern(size)
      await put(`k${size}`, bytes)
      assert.ok(bytes.equals(await get(`k${size}`)), `${size}`)
    }
    assert.equal(await hosted.dataStores.sweep('ours'), { removed: 0, uploadsEnded: 0 })
    for (const size of [0, 10, PART_BYTES + 1]) await mine().delete('b', `k${size}`)
    assert.is((await line('ours'))?.blobs, 0)
    assert.equal(errors, [])
  } finally {
    await listener.close({ graceSeconds: 0 })
    await second.close()
  }
})

test('a body that is left early frees its blob', async () => {
  await put('k', pattern(600_000))
  const read = await mine().get('b', 'k')
  await mine().delete('b', 'k')
  assert.is((await away()).length, 1)
  if (read) await leaveBody(read.body)
  await until(async () => (await away()).length === 0)
})

test.run()
