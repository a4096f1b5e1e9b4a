import { createHash, randomBytes } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { WrapRequest } from '../../../format/release.ts'
import { collect } from '../../store/contract/bodies.ts'
import { type Answer, grantsIn, openWorld, type Someone, type World } from '../acl/world.ts'
import { faultOf } from '../keystore/authority-fixture.ts'

const test = suite('resumable uploads')
let world: World
test.before(async () => {
  world = await openWorld()
})
test.after(() => world.remove())

const UNIT = 256 << 10
const DAY = 86_400_000
const START = { 'x-goog-resumable': 'start' }
const md5 = (bytes: Buffer) => `"${createHash('md5').update(bytes).digest('hex')}"`

/** @returns path and query of the address */
async function begun(name: string, headers = {}, who: Someone = world.anna): Promise<string> {
  const answer = await world.good(who, `POST /${name}`, { ...START, ...headers })
  assert.is(answer.status, 201)
  const url = new URL(answer.headers.get('location') ?? '')
  return `${url.pathname}${url.search}`
}

/** Sends what nobody signs, to the address alone. @param cut - breaks off after so many bytes */
async function send(address: string, range: string | null, bytes: Buffer, cut = Infinity): Promise<Answer> {
  const [rawPath = '', rawQuery = ''] = address.split('?')
  async function* stream() {
    for (let at = 0; at < bytes.length; at += 100_000) {
      if (at + 100_000 > cut) throw new Error('the connection broke')
      yield bytes.subarray(at, at + 100_000)
    }
  }
  const headers = {
    host: 'localhost',
    'content-length': `${bytes.length}`,
    ...(range !== null && { 'content-range': range }),
  }
  const answer = await world.hosted.face({
    ...{ method: 'PUT', rawPath, rawQuery, headers: Object.entries(headers), body: stream() },
  })
  const body = answer.body === null || answer.body instanceof Uint8Array ? answer.body : await collect(answer.body)
  const text = Buffer.from(body ?? '').toString('utf8')
  return { status: answer.status, code: /<Code>(\w+)</.exec(text)?.[1] ?? '', text, headers: new Map(answer.headers) }
}

const nothing = Buffer.alloc(0)
const whereIs = async (address: string, total = '*') => {
  const { status, headers } = await send(address, `bytes */${total}`, nothing)
  return [status, headers.get('range')]
}
const bytesOf = async (line: string) => {
  const [rawPath = ''] = line.split('?')
  const answer = await world.good(world.anna, `GET ${rawPath}`)
  return [Number(answer.headers.get('content-length') ?? answer.text.length), answer.headers.get('etag')]
}

test('pieces of any number become the object; what was acknowledged is said each time', async () => {
  const { anna, good, bucket } = world
  const name = await bucket()
  const whole = randomBytes(3 * UNIT + 17)
  const text = Buffer.from(whole.toString('base64').slice(0, whole.length))
  const address = await begun(`${name}/k`, { 'content-type': 'text/odd', 'x-goog-meta-colour': 'blue' })
  assert.equal(await whereIs(address), [308, undefined])
  const first = await send(address, `bytes 0-${UNIT - 1}/*`, text.subarray(0, UNIT))
  assert.equal([first.status, first.headers.get('range')], [308, `bytes=0-${UNIT - 1}`])
  // sent twice it is there once
  await send(address, `bytes 0-${2 * UNIT - 1}/*`, text.subarray(0, 2 * UNIT))
  assert.equal(await whereIs(address, `${text.length}`), [308, `bytes=0-${2 * UNIT - 1}`])
  const gap = await send(address, `bytes ${3 * UNIT}-${text.length - 1}/${text.length}`, text.subarray(3 * UNIT))
  assert.equal([gap.status, gap.headers.get('range')], [308, `bytes=0-${2 * UNIT - 1}`], 'a gap is not filled')
  const last = await send(address, `bytes ${2 * UNIT}-${text.length - 1}/${text.length}`, text.subarray(2 * UNIT))
  assert.equal([last.status, last.headers.get('etag')], [200, md5(text)])
  assert.ok(Number(last.headers.get('x-goog-generation')) > 0)
  assert.is((await whereIs(address))[0], 200, 'who did not hear the end asks again')
  const got = await good(anna, `GET /${name}/k`)
  assert.is(got.text, text.toString())
  assert.equal([got.headers.get('content-type'), got.headers.get('x-amz-meta-colour')], ['text/odd', 'blue'])
  for (const [from, to] of [
    [0, 0],
    [UNIT - 1, UNIT],
    [UNIT, 2 * UNIT],
    [5, text.length - 1],
  ] as const) {
    const part = await good(anna, `GET /${name}/k`, { range: `bytes=${from}-${to}` })
    assert.is(part.text, text.subarray(from, to + 1).toString(), `${from}-${to}`)
  }
  await good(anna, `PUT /${name}/copy`, { 'x-amz-copy-source': `/${name}/k` })
  assert.is((await good(anna, `GET /${name}/copy`)).headers.get('etag'), md5(text))
})

test('an object of no byte, of one, of a unit and around it, in one request', async () => {
  const name = await world.bucket()
  for (const size of [0, 1, UNIT - 1, UNIT, UNIT + 1]) {
    const text = Buffer.alloc(size, 'x')
    const address = await begun(`${name}/k${size}`)
    const answer = await send(address, size % 2 === 0 ? null : `bytes 0-${size - 1}/${size}`, text)
    assert.equal([answer.status, answer.headers.get('etag')], [200, md5(text)], `${size}`)
    assert.equal(await bytesOf(address), [size, md5(text)])
  }
})

test('what broke off is kept in whole units, and the rest is sent after it', async () => {
  const name = await world.bucket()
  const text = Buffer.alloc(5 * UNIT, 'abc')
  const address = await begun(`${name}/k`)
  assert.ok((await send(address, `bytes 0-${text.length - 1}/${text.length}`, text, 2.5 * UNIT)).status >= 500)
  assert.equal(await whereIs(address, `${text.length}`), [308, `bytes=0-${2 * UNIT - 1}`])
  await world.restart()
  assert.equal(await whereIs(address, `${text.length}`), [308, `bytes=0-${2 * UNIT - 1}`])
  const rest = await send(address, `bytes ${2 * UNIT}-${text.length - 1}/${text.length}`, text.subarray(2 * UNIT))
  assert.equal([rest.status, rest.headers.get('etag')], [200, md5(text)])
  assert.equal(await bytesOf(address), [text.length, md5(text)])
})

test('two that send at once: one goes on, and nothing is there twice', async () => {
  const name = await world.bucket()
  const text = Buffer.alloc(2 * UNIT, 'abc')
  const address = await begun(`${name}/k`)
  const both = await Promise.all([0, 1].map(() => send(address, `bytes 0-${UNIT - 1}/*`, text.subarray(0, UNIT))))
  assert.equal(both.map(each => each.status).sort(), [308, 503])
  const rest = await send(address, `bytes ${UNIT}-${2 * UNIT - 1}/${2 * UNIT}`, text.subarray(UNIT))
  assert.equal([rest.status, rest.headers.get('etag')], [200, md5(text)])
})

test('ACL and conditions are those of the request that began it, in force with the object', async () => {
  const { anna, bert, ask, good, bucket, fixture } = world
  const name = await bucket()
  const address = await begun(`${name}/k`, { 'x-amz-grant-read': `id="${bert.id}"`, 'x-goog-if-generation-match': '0' })
  fixture.clock.now += 6 * DAY
  assert.is((await send(address, null, Buffer.from('x'))).status, 200, 'the age of the signature is forgiven')
  assert.is(grantsIn(await good(anna, `GET /${name}/k?acl`)), `${bert.id}=READ`)
  assert.is((await good(bert, `GET /${name}/k`)).text, 'x')
  assert.is((await ask(anna, `POST /${name}/k`, { ...START, 'x-goog-if-generation-match': '0' })).status, 412)
  const late = await begun(`${name}/late`, { 'x-goog-if-generation-match': '0' })
  await good(anna, `PUT /${name}/late`, {}, 'first')
  assert.is((await send(late, null, Buffer.from('x'))).status, 412)
  assert.is((await good(anna, `GET /${name}/late`)).text, 'first')
  for (const acl of [{ 'x-amz-acl': 'no-such' }, { 'x-amz-grant-read': 'id="0123456789abcdef"' }])
    assert.is((await ask(anna, `POST /${name}/new`, { ...START, ...acl })).status, 400, 'refused before the bytes come')
})

test('a key that is switched off, and a right that is lost, end it: in both decisions', async () => {
  const { administration, anna, bert, good, ask, bucket, fixture } = world
  const name = await bucket()
  const rights = (grant: object) => {
    fixture.clock.now += 1000
    return good(anna, `PUT /${name}?acl`, { ...grant })
  }
  const { release } = fixture.authority
  const { wrap } = release
  const seen: WrapRequest[] = []
  release.wrap = request => {
    seen.push({ ...request, objectKey: Buffer.from(request.objectKey) })
    return wrap(request)
  }
  await rights({ 'x-amz-grant-write': `id="${bert.id}"` })
  const lost = await begun(`${name}/k`, {}, bert)
  await send(lost, `bytes 0-${UNIT - 1}/*`, Buffer.alloc(UNIT))
  await rights({ 'x-amz-acl': 'private' })
  assert.is((await send(lost, `bytes ${UNIT}-${UNIT}/${UNIT + 1}`, Buffer.from('x'))).status, 403)
  assert.is((await ask(anna, `GET /${name}/k`)).status, 404)
  release.wrap = wrap
  // what a store that lies has in hand: the ticket, and what it asked for with it
  const [asked] = seen
  if (asked === undefined) throw new Error('nothing was asked for')
  const refused = (request: WrapRequest) => faultOf(release.wrap(request))
  assert.is(await refused(asked), 'denied', 'the right is lost')
  await rights({ 'x-amz-grant-write': `id="${bert.id}"` })
  assert.is(await refused(asked), 'none')
  for (const place of [
    { ...asked.place, key: 'other' },
    { ...asked.place, bucket: 'other' },
    { ...asked.place, part: { upload: 'other', number: 1 } },
  ])
    assert.is(await refused({ ...asked, place }), 'denied')
  const proof = Buffer.from(asked.proof ?? '')
  proof[40] = (proof[40] ?? 0) ^ 1
  assert.is(await refused({ ...asked, proof }), 'bad-proof', 'another ticket')
  const { accessKey, secret } = await administration.createAccessKey('bert', '')
  const off = await begun(`${name}/off`, {}, { ...bert, accessKey, secretKey: secret })
  await administration.disableAccessKey(accessKey)
  assert.is((await send(off, null, Buffer.from('x'))).status, 403)
  assert.is((await ask(anna, `GET /${name}/off`)).status, 404)
})

test('after a week it is over, and its bytes are gone; a week later nobody knows of it', async () => {
  const { fixture, bucket, restart } = world
  const name = await bucket()
  const address = await begun(`${name}/k`)
  await send(address, `bytes 0-${UNIT - 1}/*`, Buffer.alloc(UNIT))
  fixture.clock.now += 7 * DAY
  const over = await send(address, `bytes */*`, nothing)
  assert.equal([over.status, over.code], [410, 'UploadExpired'])
  await restart()
  assert.is((await whereIs(address))[0], 410)
  fixture.clock.now += 8 * DAY
  await restart()
  assert.is((await whereIs(address))[0], 404)
})

test('who drops it ends it', async () => {
  const { ask, bucket } = world
  const name = await bucket()
  const address = await begun(`${name}/k`)
  await send(address, `bytes 0-${UNIT - 1}/*`, Buffer.alloc(UNIT))
  assert.is((await ask(null, `DELETE ${address}`)).status, 499)
  assert.is((await whereIs(address))[0], 404)
  assert.is((await ask(null, `DELETE ${address}`)).status, 404)
})

test('what is no such request is refused, and changes nothing', async () => {
  const { anna, bert, ask, bucket } = world
  const name = await bucket()
  const address = await begun(`${name}/k`)
  for (const [range, size, status] of [
    ['bytes 0-9/*', 10, 400],
    ['bytes 0-9/10', 9, 400],
    ['bytes 5-4/10', 0, 400],
    ['bytes 0-9/5', 10, 400],
    ['bytes */x', 0, 400],
    ['0-9/10', 10, 400],
    ['bytes 0-9', 10, 400],
    ['bytes */10', 10, 400],
    ['bytes 0-9999999999999999/*', 10, 400],
  ] as const)
    assert.is((await send(address, range, Buffer.alloc(size))).status, status, range)
  assert.equal(await whereIs(address), [308, undefined])
  await send(address, `bytes 0-${UNIT - 1}/${UNIT + 9}`, Buffer.alloc(UNIT))
  assert.is((await send(address, `bytes ${UNIT}-${UNIT}/${UNIT + 1}`, nothing.subarray())).status, 400)
  assert.is((await send(address, `bytes ${UNIT}-${UNIT}/${UNIT + 1}`, Buffer.from('x'))).status, 400, 'another total')
  assert.is((await send(address.replace('/k', '/other'), null, nothing)).status, 404, 'of another object')
  assert.is((await send(`/${name}/k?upload_id=${'A'.repeat(43)}`, null, nothing)).status, 404)
  for (const headers of [{ 'x-goog-resumable': 'stop' }, { ...START, 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' }])
    assert.ok((await ask(anna, `POST /${name}/k`, headers)).status >= 400)
  assert.is((await ask(anna, `POST /${name}/k`, START, 'body')).status, 400)
  for (const who of [bert, null]) assert.is((await ask(who, `POST /${name}/k`, START)).status, 403)
})

test('a bucket that is deleted takes its uploads along', async () => {
  const { anna, good, bucket } = world
  const name = await bucket()
  const address = await begun(`${name}/k`)
  await send(address, `bytes 0-${UNIT - 1}/*`, Buffer.alloc(UNIT))
  await good(anna, `DELETE /${name}`)
  assert.is((await whereIs(address))[0], 404)
})

test.run()
