import { join } from 'node:path'
import Database from 'better-sqlite3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseProof } from '../../../access/proof.ts'
import { presignQuery, signRequest } from '../../../access/sign.ts'
import { newId } from '../../../format/bytes.ts'
import { encodeProof } from '../../../format/request-proof.ts'
import { exportVerbs } from '../../../provision/keystore/exports/export-verbs.ts'
import { requestTarget } from '../../../provision/keystore/proofs/coverage.ts'
import { faultOf, jobRequest } from '../keystore/authority-fixture.ts'
import { decodeSignedProof } from '../signed-proof.ts'
import { openScene, orderProof, type Scene } from './scene.ts'

const test = suite('orders of exports')
let scene: Scene
test.before(async () => {
  scene = await openScene()
})
test.after(() => scene.remove())

const JOB = 'x-storage-export-job'
const PREFIX = 'x-storage-export-prefix'
const wanted = (prefix = '') => ({ [JOB]: scene.job, [PREFIX]: prefix })
const release = () => scene.world.fixture.authority.release
const put = (proof: Buffer, bucket = scene.bucket) => faultOf(release().orderExport({ proof, bucket }))
const list = async () =>
  (await scene.world.administration.listExportOrders(scene.job)).map(each => [each.user, each.prefix])

test('an order is a POST that signs bucket, job and prefix; it is listed, and taken back by a DELETE that signs the same', async () => {
  const { world, bucket, job } = scene
  const { carl } = world
  const { text } = await world.good(carl, `POST /${bucket}?export`, wanted('gr%C3%BCn/'))
  assert.match(text, `<Job>${job}</Job><Bucket>${bucket}</Bucket><Prefix>grün/</Prefix>`)
  assert.match(text, '<Withdrawn>false</Withdrawn>')
  const mine = await world.good(carl, `GET /${bucket}?export`)
  assert.match(mine.text, '<Prefix>grün/</Prefix>')
  assert.not.match((await world.good(world.anna, `GET /${bucket}?export`)).text, 'ExportOrder>')
  assert.equal(await list(), [[carl.id, 'grün/']])
  assert.is((await world.good(carl, `DELETE /${bucket}?export`, wanted('gr%C3%BCn/'))).status, 204)
  assert.not.match((await world.good(carl, `GET /${bucket}?export`)).text, 'ExportOrder>')
  const [order] = await world.administration.listExportOrders(job)
  assert.ok(order !== undefined && order.withdrawnAt !== null)
})

test('Google’s signature orders as Amazon’s does', async () => {
  const { world, bucket, job } = scene
  const headers = [['host', 'localhost'], ...Object.entries(wanted('goog/'))] as [string, string][]
  const head = { method: 'POST', rawPath: `/${bucket}`, rawQuery: 'export', headers }
  const time = new Date(world.fixture.clock.now)
  const options = { region: 'auto', time, payload: 'UNSIGNED-PAYLOAD', scheme: 'GOOG4' } as const
  async function* nothing() {}
  const answer = await world.hosted.face({ ...signRequest(head, world.carl, options), body: nothing() })
  assert.is(answer.status, 200)
  const orders = await world.administration.listExportOrders(job)
  assert.ok(orders.some(each => each.prefix === 'goog/' && each.user === world.carl.id))
})

test('the same order again changes nothing', async () => {
  const { world } = scene
  const { clock } = world.fixture
  const first = await scene.order(world.carl, 'again/')
  clock.now += 1000
  assert.equal(await scene.order(world.carl, 'again/'), first)
  assert.is((await list()).filter(([, prefix]) => prefix === 'again/').length, 1)
  clock.now -= 1000
})

test('one that was taken back is in force again by a new signature, and not by an old one, used or held back', async () => {
  const { world, bucket } = scene
  const { carl, fixture } = world
  const { clock } = fixture
  const used = orderProof(scene, carl, { prefix: 'x' })
  const order = await release().orderExport({ proof: used, bucket })
  const heldBack = orderProof(scene, carl, { prefix: 'x', at: clock.now - 1000 })
  clock.now += 2000
  const takenBack = orderProof(scene, carl, { prefix: 'x', method: 'DELETE' })
  await release().withdrawExport({ proof: takenBack, bucket })
  assert.is.not((await release().orderExport({ proof: used, bucket })).withdrawnAt, null, 'handed over again')
  assert.is(await put(heldBack), 'denied')
  clock.now += 2000
  // an older withdrawal that comes late does not make the newest forgotten
  const late = orderProof(scene, carl, { prefix: 'x', method: 'DELETE', at: clock.now - 60_000 })
  await release().withdrawExport({ proof: late, bucket })
  assert.is(await put(heldBack), 'denied')
  const again = await scene.order(carl, 'x')
  assert.equal([again.id, again.withdrawnAt], [order.id, null])
  await release().withdrawExport({ proof: takenBack, bucket })
  assert.is(
    (await release().exportOrders({ proof: listProof(), bucket })).filter(each => each.id === order.id).length,
    1,
  )
  // an order that came to nobody is taken back all the same
  const never = orderProof(scene, carl, { prefix: 'never' })
  clock.now += 2000
  await scene.withdraw(carl, 'never')
  assert.is(await put(never), 'denied')
})

const listProof = () => orderProof(scene, scene.world.carl, { method: 'GET', headers: [] })

test('an administrator takes an order back by its id', async () => {
  const { world } = scene
  const order = await scene.order(world.carl, 'by-id/')
  await world.administration.withdrawExportOrder(order.id)
  await world.administration.withdrawExportOrder(order.id)
  const found = (await world.administration.listExportOrders(scene.job)).find(each => each.id === order.id)
  assert.is(found?.withdrawnAt, world.fixture.clock.now)
  assert.is(await faultOf(world.administration.withdrawExportOrder('0'.repeat(16))), 'not-found')
})

test('links, tokens, forms and nobody order nothing', async () => {
  const { world, bucket } = scene
  const { carl, fixture } = world
  const headers: [string, string][] = [['host', 'localhost'], ...Object.entries(wanted('link/'))]
  const head = { method: 'POST', rawPath: `/${bucket}`, rawQuery: 'export=', headers }
  const options = { region: 'eu', time: new Date(fixture.clock.now), expiresSeconds: 600 }
  const rawQuery = presignQuery(head, carl, options)
  const link = parseProof({ ...head, rawQuery })
  if (link === null) throw new Error('no proof')
  assert.is(await put(encodeProof(link)), 'denied')
  const answer = await world.ask(null, `POST /${bucket}?${rawQuery}`, Object.fromEntries(headers))
  assert.equal([answer.status, answer.code], [403, 'AccessDenied'])
  assert.match(answer.text, 'signed in its Authorization header')
  const { payload, rawPath } = decodeSignedProof(orderProof(scene, carl, { prefix: 'token/' }))
  const request = { method: 'POST', rawPath, rawQuery: 'export=', headers, payload }
  const bearer = encodeProof({ kind: 'bearer', ...request, token: 'a.b.c', dpop: null, requestId: '' })
  assert.is(await put(bearer), 'bad-token')
  assert.is(await put(encodeProof({ kind: 'session', ...request, ticket: 'AAAA' })), 'bad-token')
  const form = encodeProof({ kind: 'policy', bucket, fields: [['key', 'k'], ...Object.entries(wanted('form/'))] })
  assert.is.not(await put(form), 'none')
  assert.is((await world.ask(null, `POST /${bucket}?export`, wanted('nobody/'))).status, 403)
  assert.equal(
    (await list()).filter(([, prefix]) => /^(?:link|token|form|nobody)/.test(prefix ?? '')),
    [],
  )
})

test('a token or a session that is believed orders nothing either', async () => {
  const { carl } = scene.world
  const { rawPath, payload } = decodeSignedProof(orderProof(scene, carl))
  const headers = Object.entries(wanted()).map(([name, value]) => [name, value] as const)
  const request = { method: 'POST', rawPath, rawQuery: 'export=', headers, payload }
  const principal = {
    account: scene.world.anna.id,
    user: carl.id,
    name: 'carl',
    accessKey: '',
    groups: [],
    domains: [],
  }
  const who = { kind: 'known', id: carl.id, groups: new Set<string>(), domains: new Set<string>() } as const
  for (const proof of [
    { kind: 'bearer', ...request, token: 'sound', dpop: 'sound', requestId: '' },
    { kind: 'session', ...request, ticket: 'sound' },
  ] as const) {
    const target = requestTarget(proof, null)
    // until: as of a DPoP proof, which grows too old as a signature does
    const judged = { principal, who, proof, target, until: Date.now(), aclWrites: 'unsigned' } as const
    const never = async (): Promise<never> => {
      throw new Error('it was believed')
    }
    const calls = exportVerbs({
      proofs: { judge: async () => judged, judgeCreation: never, judgeWrite: never, hold: never, verifyChunks: never },
      jobs: { known: never },
      orders: { put: never, withdrawSigned: never, withdraw: never, list: never, ofUser: never, inForce: never },
      clock: Date.now,
    })
    const asked = { proof: encodeProof(proof), bucket: scene.bucket }
    assert.is(await faultOf(calls.orderExport(asked)), 'denied', proof.kind)
  }
})

test('what decides must be signed: a header added, changed, split or left out on the way orders nothing', async () => {
  const { world, bucket, job } = scene
  const { carl } = world
  const good = decodeSignedProof(orderProof(scene, carl, { prefix: 'signed/a' }))
  const other = good.headers.map(([name, value]) => [name, name === PREFIX ? 'signed/' : value] as const)
  const without = good.headers.filter(([name]) => name !== PREFIX)
  assert.is(await put(encodeProof({ ...good, headers: other })), 'bad-proof')
  assert.is(await put(encodeProof({ ...good, headers: without })), 'bad-proof')
  assert.is(await put(encodeProof({ ...good, method: 'DELETE' })), 'bad-proof')
  assert.is(await put(orderProof(scene, carl, { headers: [[JOB, job]] })), 'denied', 'a prefix that nobody signed')
  assert.is(await put(orderProof(scene, carl, { headers: [[PREFIX, 'signed/']] })), 'denied', 'no job')
  // two headers sign as one with a comma between them
  for (const value of ['signed/,a', 'signed/ a'])
    assert.is(await put(orderProof(scene, carl, { prefix: value })), 'denied', value)
  const twice: [string, string][] = [
    [JOB, job],
    [PREFIX, 'signed/'],
    [PREFIX, 'a'],
  ]
  assert.is(await put(orderProof(scene, carl, { headers: twice })), 'denied')
  // over the wire: a header that is sent and not signed
  const head = {
    method: 'POST',
    rawPath: `/${bucket}`,
    rawQuery: 'export=',
    headers: [['host', 'localhost']] as [string, string][],
  }
  const options = { region: 'eu', time: new Date(world.fixture.clock.now), payload: 'UNSIGNED-PAYLOAD' }
  const sent = signRequest(head, carl, options)
  const more = Object.entries(wanted('signed/')) as [string, string][]
  async function* nothing() {}
  const answer = await world.hosted.face({ ...sent, headers: [...sent.headers, ...more], body: nothing() })
  assert.is(answer.status, 403)
  assert.equal(
    (await list()).filter(([, prefix]) => prefix?.startsWith('signed')),
    [],
  )
})

test('an order is for a bucket of an export that goes on, of the account of whoever signs it', async () => {
  const { world, bucket, job } = scene
  const { anna, bert, carl, administration, fixture } = world
  assert.is(await put(orderProof(scene, bert)), 'denied', 'another account’s')
  assert.is(await put(orderProof(scene, carl, { job: newId() })), 'denied', 'no job at all')
  const { job: bringing } = await administration.createJob(jobRequest('anna', { buckets: [bucket] }))
  assert.is(await put(orderProof(scene, carl, { job: bringing })), 'denied', 'a job that brings objects in')
  assert.is(await put(orderProof(scene, carl, { bucket: 'third-bucket' }), 'third-bucket'), 'denied')
  assert.is(await put(orderProof(scene, carl), 'another-bucket'), 'denied', 'signed for another bucket')
  assert.is(await put(orderProof(scene, carl, { query: 'acl=' })), 'denied')
  assert.is(await put(orderProof(scene, carl, { query: 'export=&delete=' })), 'denied')
  assert.is(await put(orderProof(scene, carl, { method: 'PUT' })), 'denied')
  const { job: closed } = await scene.begun()
  await administration.closeJob(closed)
  assert.is(await put(orderProof(scene, anna, { job: closed })), 'denied')
  const { now } = fixture.clock
  fixture.clock.now = scene.days(30)
  assert.is(await put(orderProof(scene, anna, { job })), 'denied')
  fixture.clock.now = now
  assert.is((await world.ask(bert, `POST /${bucket}?export`, wanted())).status, 403)
  const body = await world.ask(carl, `POST /${bucket}?export`, wanted(), 'what is this')
  assert.equal([body.status, body.code], [400, 'InvalidRequest'])
})

test('what is wrong with the headers is said to whoever sent them', async () => {
  const { world, bucket } = scene
  const { status, code, text } = await world.ask(world.carl, `POST /${bucket}?export`, { [JOB]: scene.job })
  assert.equal([status, code], [400, 'InvalidArgument'])
  assert.match(text, 'an empty prefix is the whole bucket')
})

test('a job that carries objects out has an end to come, and is closed as such', async () => {
  const { administration, fixture } = scene.world
  const terms = { account: 'anna', buckets: ['b-1'], limits: { objects: 1, bytes: 1, seconds: 1, idleSeconds: 1 } }
  assert.is(await faultOf(administration.createExportJob({ ...terms, endsAt: fixture.clock.now })), 'malformed')
  const made = await administration.createExportJob({ ...terms, endsAt: fixture.clock.now + 1 })
  assert.equal([made.mode, made.acl, made.deletes, made.versions], ['export', null, null, null])
  assert.is(await faultOf(administration.beginExport(made.job)), 'state', 'without a device')
  assert.is(await faultOf(administration.beginIntake(made.job)), 'state')
  assert.is(await faultOf(administration.destroyJobKey(made.job)), 'state')
  await administration.closeJob(made.job)
  const { job } = await administration.createJob(jobRequest('anna'))
  assert.is(await faultOf(administration.closeJob(job)), 'state')
  assert.is(await faultOf(administration.beginExport(job)), 'state')
})

test('one job has at most 1000 orders, withdrawn ones among them', async () => {
  const { job } = await scene.begun()
  await scene.order(scene.world.carl, 'first/', job)
  const database = new Database(join(scene.world.fixture.directory, 'keystore.sqlite'))
  const insert = database.prepare('INSERT INTO export_orders VALUES (?, ?, ?, ?, ?, ?, 1, 1)')
  database.transaction(() => {
    for (let at = 1; at < 999; at++) insert.run(`${at}`, job, scene.world.carl.id, 'AK', scene.bucket, `${at}/`)
  })()
  database.close()
  const one = (prefix: string) => put(orderProof(scene, scene.world.carl, { job, prefix }))
  assert.is(await one('last/'), 'none')
  assert.is(await one('more/'), 'denied')
  assert.is(await one('first/'), 'none')
  assert.is((await scene.world.administration.listExportOrders(job)).length, 1000)
})

test.run()
