// timeout: 240s, test 60s
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openHosted } from '../../../../provision/hosted/serve.ts'
import { leaveBody } from '../../../../store/object-store.ts'
import { listen } from '../../../../store/s3/listen.ts'
import { collect, pattern } from '../../../store/contract/bodies.ts'
import { bytesOf, PLAIN, readAll } from '../../../store/pack/device.ts'
import { cut, PART_BYTES, said } from '../../../store/remote/far-side.ts'
import { openAuthority } from '../../authority.ts'
import {
  ask,
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

const test = suite('the hosted store over a store elsewhere')
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
test.before.each(begin)
test.after.each(end)

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
  await put('large', pattern(600_000))
  far.fault = async () => said(503)
  for (const [method, path] of [
    ['PUT', '/b/new'],
    ['GET', '/b/k'],
    ['GET', '/b/large'],
  ] as const) {
    errors.length = 0
    const { status, text } = await ask(method, path, method === 'PUT' ? 'new' : '')
    assert.is(status, 503)
    assert.match(text, /SlowDown/)
    // whoever asks from outside learns nothing of where bytes lie
    assert.not.match(text, /data store|attempts|it answers/)
    assert.match(errors.join(), /data store away is away \(.*it answers 503/)
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
      errors.length = 0
      const { status, text } = await ask('GET', `/b/${key}`)
      assert.is(status, 500)
      assert.not.ok(text.includes(String(pattern(50))))
      assert.match(errors.join(), says)
      far.fault = null
    }
  })

test('a PUT that the endpoint breaks off is taken up again', async () => {
  let breaks = 2
  far.fault = async (what, go) => (what === 'PUT object' && breaks-- > 0 ? cut() : go())
  await put('k', 'text')
  assert.is(String(await get('k')), 'text')
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
