import { join } from 'node:path'
import Database from 'better-sqlite3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeCbor } from '../../../format/cbor.ts'
import type { ExportOrder } from '../../../format/export.ts'
import { ACL_CONTENT_TYPE } from '../../../provision/hosted/acl/acl-rows.ts'
import type { Someone } from '../acl/world.ts'
import { policy } from '../acl/world.ts'
import { faultOf, jobRequest, stationFor, testDevice } from '../keystore/authority-fixture.ts'
import { type Item, openScene, orderProof, type Scene, storedIn } from './scene.ts'

const test = suite('a lying store or station, and an export')
let scene: Scene
let order: ExportOrder
/** private, and carl's own */
let own: Item
test.before(async () => {
  scene = await openScene()
  const { world, bucket } = scene
  await world.good(world.carl, `PUT /${bucket}/film/own`, {}, 'carl’s')
  await world.good(world.carl, `PUT /${bucket}/film/other`, {}, 'carl’s, too')
  await world.good(world.carl, `PUT /${bucket}/elsewhere`, {}, 'outside')
  await world.good(world.anna, `PUT /${bucket}/film/annas`, {}, 'anna’s')
  order = await scene.order(world.carl, 'film/')
  own = storedIn(scene, 'film/own').item
})
test.after(() => scene.remove())

/** What the audit says of the last object that was asked for. */
function audited(): string {
  const database = new Database(join(scene.world.fixture.directory, 'keystore.sqlite'), { readonly: true })
  try {
    const rows = database.prepare<[], { body: Buffer }>('SELECT body FROM audit ORDER BY seq DESC LIMIT 3').all()
    const entries = rows.flatMap(({ body }) => [decodeCbor(body, 1 << 20, 'row')].flat().toReversed())
    for (const entry of entries)
      if (entry !== null && typeof entry === 'object' && 'a' in entry && entry.a === 'export')
        return `${entry.o}: ${entry.r}`
    return 'nothing'
  } finally {
    database.close()
  }
}
async function refused(item: Item, why: RegExp, by = order): Promise<void> {
  const [done] = await scene.ask(by, [item])
  assert.equal(done, { outcome: 'refused', envelopes: [] })
  assert.match(audited(), why)
}
const exported = async (item: Item, by = order) => assert.is(await scene.outcome(by, item), 'exported')
const object = (changes: Partial<Item['object']>): Item => ({ ...own, object: { ...own.object, ...changes } })

test('an object that was not ordered is refused, by prefix, bucket and name', async () => {
  await exported(own)
  assert.match(audited(), /^bucket-1\/film\/own, 0 parts, to job \w{32} device \w{32} epoch \w{32}: done$/)
  const outside = storedIn(scene, 'elsewhere').item
  await refused(outside, /elsewhere.*: denied: the object is not among what was ordered/)
  const place = { bucket: scene.bucket, key: 'film/elsewhere' }
  await refused({ ...outside, object: { ...outside.object, place } }, /does not open in this context/)
  await refused(object({ place: { ...own.object.place, bucket: 'another-bucket' } }), /not among what was ordered/)
})

test('another object’s envelope, core header, account or binding, and any bit changed, is refused', async () => {
  const other = storedIn(scene, 'film/other').item.object
  await refused(object({ envelope: other.envelope }), /./)
  await refused(object({ coreHeader: other.coreHeader }), /./)
  await refused(object({ account: scene.world.bert.id }), /another account/)
  await refused(object({ job: scene.job }), /another job/)
  const annas = storedIn(scene, 'film/annas').item.object
  await refused(object({ binding: annas.binding }), /./)
  await refused({ ...own, parts: [other] }, /only a composite has parts/)
  for (let at = 0; at < own.object.envelope.length; at += 7) {
    const envelope = Buffer.from(own.object.envelope)
    envelope[at] = (envelope[at] ?? 0) ^ (1 << (at % 8))
    assert.is(await scene.outcome(order, object({ envelope })), 'refused', `byte ${at}`)
  }
})

test('what the principal of the order may not read is refused, whoever else may', async () => {
  const { world } = scene
  const annas = storedIn(scene, 'film/annas').item
  await refused(annas, /film\/annas.*: denied: the binding does not give who ordered it R/)
  const hers = await scene.order(world.anna, 'film/')
  await exported(annas, hers)
  await refused(own, /does not give who ordered it R/, hers)
})

test('after an object moved from ACL X to Y, who was only in X gets nothing by the old envelope', async () => {
  const { world, bucket } = scene
  const { anna, carl } = world
  const mark = { 'content-type': ACL_CONTENT_TYPE }
  await world.good(anna, `PUT /${bucket}/acls/x`, mark, policy([`${carl.id}=READ`]))
  await world.good(anna, `PUT /${bucket}/acls/y`, mark, policy([`${world.bert.id}=READ`]))
  const to = (name: string) => ({ 'x-storage-acl': `${bucket}/acls/${name}`, 'x-storage-acl-mode': 'reference' })
  await world.good(anna, `PUT /${bucket}/film/moved`, to('x'), 'shared')
  const before = storedIn(scene, 'film/moved').item
  await exported(before)
  await world.good(anna, `PUT /${bucket}/film/moved?acl`, to('y'))
  await refused(before, /R/)
  await world.good(anna, `PUT /${bucket}/film/moved?acl`, to('x'))
  await exported(before)
  // one edit of the ACL object does it for all that refer to it
  await world.good(anna, `PUT /${bucket}/acls/x`, mark, policy([]))
  await refused(before, /R/)
})

test('a member who left the group between order and call gets nothing more', async () => {
  const { world, bucket } = scene
  const { anna, carl, administration } = world
  const { id } = await administration.createGroup('anna', 'crew', null)
  await administration.addMember('anna/crew', 'user', 'anna/carl')
  await world.good(anna, `PUT /${bucket}/film/crews`, { 'content-type': 'text/plain' }, 'for the crew')
  const entry = `<Entry><Scope type="GroupById"><ID>${id}</ID></Scope><Permission>READ</Permission></Entry>`
  const google = { 'x-goog-meta-a': 'b' }
  const list = `<AccessControlList><Entries>${entry}</Entries></AccessControlList>`
  await world.good(anna, `PUT /${bucket}/film/crews?acl`, google, list)
  const item = storedIn(scene, 'film/crews').item
  await exported(item)
  await administration.removeMember('anna/crew', 'user', 'anna/carl')
  await refused(item, /film\/crews.*does not give who ordered it R/)
  await exported(own)
  assert.ok(carl.id)
})

test('a named key is used by whoever ordered, or nothing under it goes out', async () => {
  const { world, bucket } = scene
  const { anna, carl, administration } = world
  await administration.createKey('anna', 'film')
  for (const who of ['anna/carl', 'anna']) await administration.grantKey('anna/film', 'user', who)
  const sse = 'x-amz-server-side-encryption'
  const headers = { [sse]: 'aws:kms', [`${sse}-aws-kms-key-id`]: 'anna/film' }
  await world.good(carl, `PUT /${bucket}/film/named`, headers, 'x')
  const item = storedIn(scene, 'film/named').item
  await exported(item)
  await administration.revokeKey('anna/film', 'user', 'anna/carl')
  await refused(item, /R/)
  await administration.grantKey('anna/film', 'user', 'anna/carl')
  await administration.disableKey('anna/film')
  await refused(item, /switched off/)
  assert.ok(anna.id)
})

test('an order that was withdrawn gives nothing, nor does the request that made it, handed over again', async () => {
  const { world, bucket } = scene
  const { carl, fixture } = world
  const { release } = fixture.authority
  const proof = orderProof(scene, carl, { prefix: 'film/o' })
  const made = await release.orderExport({ proof, bucket })
  await exported(own, made)
  await scene.withdraw(carl, 'film/o')
  await refused(own, /film\/own.*: denied: the order was withdrawn/, made)
  const again = await release.orderExport({ proof, bucket })
  await refused(own, /the order was withdrawn/, again)
  const second = await scene.order(world.carl, 'film/ow')
  await world.administration.withdrawExportOrder(second.id)
  await refused(own, /the order was withdrawn/, second)
})

test('whoever is switched off orders nothing any more: the access key, the user, and no other’s', async () => {
  const { world } = scene
  const { administration } = world
  const someone = async (): Promise<Someone> => {
    const { accessKey, secret } = await administration.createAccessKey('anna/carl', '')
    return { id: world.carl.id, accessKey, secretKey: secret }
  }
  const [one, two] = [await someone(), await someone()]
  const [first, second] = [await scene.order(one, 'film/'), await scene.order(two, 'film/')]
  assert.is.not(first.id, second.id)
  await administration.disableAccessKey(one.accessKey)
  await refused(own, /the access key that signed the order is switched off/, first)
  await exported(own, second)
  const { id } = await administration.createUser('anna', 'dora', null)
  const { accessKey, secret } = await administration.createAccessKey('anna/dora', '')
  await world.good(world.carl, `PUT /${scene.bucket}/film/public`, { 'x-amz-acl': 'public-read' }, 'x')
  const shown = storedIn(scene, 'film/public').item
  const doras = await scene.order({ id, accessKey, secretKey: secret }, 'film/')
  await exported(shown, doras)
  await administration.disableUser('anna/dora')
  await refused(shown, /who signed the order is switched off/, doras)
})

test('an order of one export gives nothing to another', async () => {
  const { station } = await scene.begun()
  const [done] = await scene.ask(order, [own], { station })
  assert.is(done?.outcome, 'refused')
  assert.match(audited(), /no such order of this job/)
  assert.is(await scene.outcome({ ...order, id: '0'.repeat(16) }, own), 'refused')
})

test('parts that are not listed, and parts alone, are refused', async () => {
  const { world, bucket } = scene
  const begun = await world.good(world.carl, `POST /${bucket}/film/whole?uploads`)
  const id = /<UploadId>([^<]*)</.exec(begun.text)?.[1] ?? ''
  const put = await world.good(world.carl, `PUT /${bucket}/film/whole?partNumber=1&uploadId=${id}`, {}, 'part')
  const tag = put.headers.get('etag') ?? ''
  const list = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${tag}</ETag></Part></CompleteMultipartUpload>`
  await world.good(world.carl, `POST /${bucket}/film/whole?uploadId=${id}`, {}, list)
  const whole = storedIn(scene, 'film/whole').item
  await exported(whole)
  const [part] = whole.parts
  if (part === undefined) throw new Error('no part')
  await refused({ object: part, parts: [] }, /a part is exported with its composite only/)
  await refused({ ...whole, parts: [own.object] }, /not a part of this object/)
  await refused({ ...whole, parts: [{ ...part, place: { ...part.place, part: { upload: id, number: 2 } } }] }, /./)
})

test('one that is refused refuses no other of the call', async () => {
  const bad = object({ coreHeader: Buffer.alloc(102) })
  const outcomes = (await scene.ask(order, [own, bad, own])).map(each => each.outcome)
  assert.equal(outcomes, ['exported', 'refused', 'exported'])
})

test('a station without its secret, of another device or job, or outside its time, hears nothing', async () => {
  const { world, station } = scene
  const { administration, fixture } = world
  const { release } = fixture.authority
  const epoch = await scene.key()
  const request = { order: order.id, epoch: epoch.epoch, objects: [own] }
  const all = async (proof: typeof station) => [
    await faultOf(release.exportJob(proof)),
    await faultOf(release.exportKey(proof)),
    await faultOf(release.exportObjects(proof, request)),
  ]
  const never = ['denied', 'denied', 'denied']
  assert.equal(await all(station), ['none', 'none', 'none'])
  assert.equal(await all({ ...station, secret: Buffer.alloc(32) }), never)
  assert.equal(await all({ ...station, station: 'none' }), never)
  const { job: bringing } = await administration.createJob(jobRequest('bert'))
  const { device } = await testDevice(administration, bringing)
  assert.equal(await all({ ...station, device }), never, 'a device of another job')
  await administration.beginIntake(bringing)
  assert.equal(await all(await stationFor(administration, bringing, device)), never, 'a job that brings objects in')
  // nor do the calls of an intake serve an export
  assert.is(await faultOf(release.job(station)), 'denied')
  assert.is(await faultOf(release.metadataKey(station, epoch.keyRecord)), 'denied')
  assert.is(await faultOf(release.reseal(station, epoch.keyRecord)), 'denied')
  assert.is(await faultOf(release.prove(station, [])), 'denied')
  await administration.endExport(scene.job)
  assert.equal(await all(station), never, 'ended')
  await administration.beginExport(scene.job)
  assert.equal(await all(station), ['none', 'none', 'none'])
  const { now } = fixture.clock
  fixture.clock.now = scene.days(30) - 1
  assert.is(await faultOf(release.exportKey(station)), 'none')
  fixture.clock.now++
  assert.equal(await all(station), never, 'past its end')
  assert.is(await faultOf(administration.beginExport(scene.job)), 'state')
  fixture.clock.now = now
  await administration.closeJob(scene.job)
  assert.equal(await all(station), never, 'closed')
})

test('what was exported once does not open at the store again: its epoch is none of ours', async () => {
  const { world } = scene
  const { job, station } = await scene.begun()
  const fresh = await scene.order(world.carl, 'film/', job)
  const [done] = await scene.ask(fresh, [own], { station })
  const [envelope = Buffer.alloc(0)] = done?.envelopes ?? []
  const stored = { ...own.object, envelope, job, binding: Buffer.alloc(0) }
  const [again] = await scene.ask(fresh, [{ object: stored, parts: [] }], { station })
  assert.is(again?.outcome, 'refused')
  assert.match(audited(), /its epoch was never taken over/)
  await world.administration.disableAccount('anna')
  const [last] = await scene.ask(fresh, [own], { station })
  assert.is(last?.outcome, 'refused')
})

test.run()
