// timeout: 90s, test 45s
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type DeviceId, type JobId, newId } from '../../../format/bytes.ts'
import { COMPOSITE, OBJECT, PART, parseEnvelope } from '../../../format/envelope.ts'
import { verifyExportJob } from '../../../format/export-job.ts'
import { peekKeyRecord, verifyKeyRecord } from '../../../format/key-record.ts'
import { DEVICE_KEYS } from '../../../hsm/device-token.ts'
import { openMemoryToken } from '../../../hsm/memory-token.ts'
import { deviceRequest, faultOf, jobRequest, proofOf, takeIn, testDevice } from '../keystore/authority-fixture.ts'
import { epochOf, openExported, plainOf } from './opened.ts'
import { openScene, type Scene, storedIn } from './scene.ts'

const test = suite('an export')
let scene: Scene
test.before(async () => {
  scene = await openScene()
})
test.after(() => scene.remove())

const MIB = 1 << 20

async function putParts(key: string, bodies: string[]): Promise<void> {
  const { world, bucket } = scene
  const begun = await world.good(world.carl, `POST /${bucket}/${key}?uploads`)
  const id = /<UploadId>([^<]*)</.exec(begun.text)?.[1] ?? ''
  const tags: string[] = []
  for (const [at, body] of bodies.entries()) {
    const put = await world.good(world.carl, `PUT /${bucket}/${key}?partNumber=${at + 1}&uploadId=${id}`, {}, body)
    tags.push(put.headers.get('etag') ?? '')
  }
  const list = tags.map((tag, at) => `<Part><PartNumber>${at + 1}</PartNumber><ETag>${tag}</ETag></Part>`)
  const complete = `<CompleteMultipartUpload>${list.join('')}</CompleteMultipartUpload>`
  await world.good(world.carl, `POST /${bucket}/${key}?uploadId=${id}`, {}, complete)
}

test('the device’s token opens the epoch, and the new envelope opens the body as it lies in the store', async () => {
  const { world, bucket, device } = scene
  const content = 'frames of a film '.repeat(40_000)
  const headers = { 'content-type': 'video/mp4', 'x-amz-meta-reel': '7' }
  await world.good(world.carl, `PUT /${bucket}/film/reel`, headers, content)
  const { item, bodies } = storedIn(scene, 'film/reel')
  const order = await scene.order(world.carl, 'film/')
  const epoch = await scene.key()
  const [done] = await scene.ask(order, [item], { epoch })
  assert.is(done?.outcome, 'exported')
  const keys = await epochOf(device, epoch.keyRecord)
  const [envelope = Buffer.alloc(0), ...more] = done?.envelopes ?? []
  assert.is(more.length, 0)
  const opened = openExported(device, keys, envelope, { bucket, key: 'film/reel' }, item.object.coreHeader)
  assert.is(opened.kind, OBJECT)
  const body = bodies.get(parseEnvelope(envelope).objectId) ?? Buffer.alloc(0)
  assert.is(plainOf(opened, body).toString(), content)
  const { metadata } = opened
  assert.equal([metadata.bucket, metadata.key, metadata.contentType], [bucket, 'film/reel', 'video/mp4'])
  assert.is(metadata.user.reel, '7')
  assert.is((await world.good(world.carl, `GET /${bucket}/film/reel`)).text, content, 'it is read as before')
  for (const place of [
    { bucket, key: 'film/reel2' },
    { bucket: 'another-bucket', key: 'film/reel' },
  ])
    assert.throws(
      () => openExported(device, keys, envelope, place, item.object.coreHeader),
      /does not open in this context/,
    )
})

test('a composite comes with the parts that are asked for, each opens its own body, and the list is the same', async () => {
  const { world, device } = scene
  const bodies = ['a'.repeat(5 * MIB), 'b'.repeat(5 * MIB), 'the end']
  await putParts('film/whole', bodies)
  const { item, bodies: lying } = storedIn(scene, 'film/whole')
  const order = await scene.order(world.carl, 'film/')
  const epoch = await scene.key()
  const [some, all] = await scene.ask(order, [{ ...item, parts: item.parts.slice(1, 2) }, item], { epoch })
  assert.equal([some?.outcome, some?.envelopes.length], ['exported', 2])
  const keys = await epochOf(device, epoch.keyRecord)
  const opened = (all?.envelopes ?? []).map((envelope, at) => {
    const part = item.parts[at - 1]
    return openExported(device, keys, envelope, (part ?? item.object).place, part?.coreHeader ?? Buffer.alloc(0))
  })
  assert.equal(
    opened.map(each => each.kind),
    [COMPOSITE, PART, PART, PART],
  )
  const ids = (all?.envelopes ?? []).slice(1).map(envelope => parseEnvelope(envelope).objectId)
  assert.equal(opened[0]?.parts, ids)
  const plain = ids.map((id, at) => {
    const part = opened[at + 1]
    if (part === undefined) throw new Error('a part less')
    assert.is(part.metadata.part?.number, at + 1)
    return plainOf(part, lying.get(id) ?? Buffer.alloc(0))
  })
  assert.is(Buffer.concat(plain).toString(), bodies.join(''))
})

test('what came by drive is exported like any other object', async () => {
  const { world, device } = scene
  const { administration, fixture } = world
  const bucket = 'another-bucket'
  const { job } = await administration.createJob(jobRequest('anna', { buckets: [bucket] }))
  const bringer = await testDevice(administration, job)
  await takeIn(fixture.authority.release, administration, bringer)
  const part = bringer.seal(bucket, 'k', Buffer.from('part'), { upload: 'u', number: 1 })
  const cases = [
    { whole: bringer.seal(bucket, 'k', Buffer.from('content')), parts: [] },
    { whole: bringer.composite(bucket, 'k', [part]), parts: [part] },
  ]
  const asked = { job: scene.job, bucket }
  const { release } = fixture.authority
  const order = await release.orderExport({ proof: proofFor(asked), bucket })
  const epoch = await scene.key()
  const objects = cases.map(({ whole, parts }) => ({ object: whole.stored, parts: parts.map(each => each.stored) }))
  const done = await scene.ask(order, objects, { epoch })
  const keys = await epochOf(device, epoch.keyRecord)
  for (const [at, { whole, parts }] of cases.entries())
    for (const [which, each] of [whole, ...parts].entries()) {
      const envelope = done[at]?.envelopes[which] ?? Buffer.alloc(0)
      const { place, coreHeader } = each.stored
      assert.equal(openExported(device, keys, envelope, place, coreHeader).objectKey, each.objectKey, `${at} ${which}`)
    }
})

function proofFor({ job, bucket }: { job: string; bucket: string }): Buffer {
  const headers: [string, string][] = [
    ['x-storage-export-job', job],
    ['x-storage-export-prefix', ''],
  ]
  const at = scene.world.fixture.clock.now
  return proofOf(scene.world.anna, 'POST', { bucket, key: '' }, { query: 'export', headers, at })
}

test('the token of another device opens neither the epoch nor what is under it', async () => {
  const { world, device } = scene
  const { keyRecord } = await scene.key()
  const record = verifyKeyRecord(keyRecord, device.signer)
  assert.is(record.recipients.length, 1)
  const other = openMemoryToken({ label: 'other' })
  await deviceRequest(other, newId<DeviceId>())
  const stolen = {
    ...device,
    token: { ...other, publicKey: () => other.publicKey('transport') } as typeof device.token,
  }
  assert.match(await messageOf(epochOf(stolen, keyRecord)), /names no key of ours/)
  const [stanza] = record.recipients
  if (stanza === undefined) throw new Error('no stanza')
  const context = { info: 'sealift/v1 epoch', aad: Buffer.alloc(32) }
  assert.is(await faultOf(other.open('transport', stanza, context)), 'refused')
  assert.is(await faultOf(device.token.open(DEVICE_KEYS.transport, stanza, context)), 'refused', 'in another record')
  // nor is another device prepared for the job
  const request = await deviceRequest(openMemoryToken({ label: 'third' }), newId<DeviceId>())
  await world.administration.endExport(scene.job)
  const asked = { job: scene.job, request, returnAddress: '', grantDays: 1 }
  assert.is(await faultOf(world.administration.prepareDevice(asked)), 'state')
  await world.administration.beginExport(scene.job)
  await other.close()
})

test('a device believes no record that the signer of its grant did not sign, nor one of another grant', async () => {
  const { device } = scene
  const { keyRecord } = await scene.key()
  const identity = await device.token.publicKey(DEVICE_KEYS.identity)
  assert.throws(() => verifyKeyRecord(keyRecord, identity?.spki ?? Buffer.alloc(0)), /signature does not fit/)
  assert.match(await messageOf(epochOf({ ...device, hash: randomBytes(32) }, keyRecord)), /not for this grant/)
  assert.match(
    await messageOf(epochOf({ ...device, signer: identity?.spki ?? Buffer.alloc(0) }, keyRecord)),
    /signature/,
  )
})

test('the grant of an export names the device’s own key alone, and says what it is', () => {
  const { grant } = scene.device
  assert.is(grant.mode, 'export')
  assert.is(grant.recipients.length, 1)
  assert.equal(grant.floor, [grant.recipients[0]?.suite])
})

test('the station hears the job as it was signed, and the orders in force', async () => {
  const { world, station, job, bucket } = scene
  const { release } = world.fixture.authority
  const gone = await scene.order(world.carl, 'gone/')
  await scene.withdraw(world.carl, 'gone/')
  const answer = await release.exportJob(station)
  const { account, buckets, endsAt } = verifyExportJob(answer.order, answer.orderSpki)
  assert.equal([account, buckets, endsAt > world.fixture.clock.now], [world.anna.id, [bucket, 'another-bucket'], true])
  assert.ok(answer.orders.some(each => each.user === world.carl.id && each.prefix === 'film/' && each.job === job))
  assert.not(answer.orders.some(each => each.id === gone.id))
})

test('an epoch takes two token operations, and ends after so many wraps: what is left over is asked for in the next', async () => {
  const { world } = scene
  const { job, station } = await scene.begun({ objects: 3 })
  await putParts('film/two', ['c'.repeat(5 * MIB), 'd'])
  await world.good(world.carl, `PUT /${scene.bucket}/film/one`, {}, 'one')
  const order = await scene.order(world.carl, 'film/', job)
  const one = storedIn(scene, 'film/one').item
  const three = storedIn(scene, 'film/two').item
  const before = world.fixture.token.operations
  const epoch = await scene.key(station)
  assert.is(peekKeyRecord(epoch.keyRecord).maxObjects, 3)
  assert.equal(await scene.key(station), epoch, 'as long as it lasts it is the same')
  const outcomes = async (items: (typeof one)[], of: typeof epoch) =>
    (await scene.ask(order, items, { station, epoch: of })).map(each => each.outcome)
  assert.equal(await outcomes([one, three, one, one], epoch), ['exported', 'epoch-over', 'epoch-over', 'epoch-over'])
  const next = await scene.key(station)
  assert.is.not(next.epoch, epoch.epoch)
  assert.is(world.fixture.token.operations - before, 4)
  assert.equal(await outcomes([three, one], next), ['exported', 'epoch-over'])
  const third = await scene.key(station)
  assert.equal(await outcomes([one, one, one, one], third), ['exported', 'exported', 'exported', 'epoch-over'])
  assert.equal(await outcomes([one], { ...third, epoch: newId() }), ['epoch-over'], 'an epoch that never was')
  const small = await scene.begun({ objects: 2 })
  const again = await scene.order(world.carl, 'film/', small.job)
  const asked = await scene.ask(again, [three, one], { station: small.station })
  assert.equal(
    asked.map(each => each.outcome),
    ['refused', 'exported'],
    'more parts at once than any epoch takes; the parts can be asked for in turns',
  )
})

test('an epoch ends by bytes, by age, by idleness, by a new grant and with the process', async () => {
  const { world, bucket } = scene
  const { clock } = world.fixture
  await world.good(world.carl, `PUT /${bucket}/film/ten`, {}, '0123456789')
  const ten = storedIn(scene, 'film/ten').item
  const changes = async (
    limits: Parameters<Scene['begun']>[0],
    work: (at: { job: JobId; one(): Promise<string> }) => Promise<void>,
  ) => {
    const { job, station } = await scene.begun(limits)
    const order = await scene.order(world.carl, 'film/', job)
    const epoch = await scene.key(station)
    const one = async () => (await scene.ask(order, [ten], { station, epoch }))[0]?.outcome ?? ''
    assert.is(await one(), 'exported')
    const { now } = clock
    try {
      await work({ job, one })
      assert.is(await one(), 'epoch-over')
      assert.is.not((await scene.key(station)).epoch, epoch.epoch)
    } finally {
      clock.now = now
    }
  }
  await changes({ bytes: 20 }, async ({ one }) => assert.is(await one(), 'exported'))
  await changes({ seconds: 60 }, async ({ one }) => {
    clock.now += 59_999
    assert.is(await one(), 'exported')
    clock.now += 1
  })
  await changes({ idleSeconds: 60 }, async ({ one }) => {
    for (let at = 0; at < 3; at++) {
      clock.now += 59_999
      assert.is(await one(), 'exported')
    }
    clock.now += 60_000
  })
  // by a timer of its own, too: nobody asks, and the key leaves the memory
  await changes({ idleSeconds: 1 }, () => delay(1100))
  await changes({ seconds: 1 }, async () => {
    clock.now -= 3_600_000
    await delay(1100)
  })
  await changes({}, async ({ job }) => {
    await world.administration.endExport(job)
    await world.administration.prepareDevice({ job, request: scene.device.request, returnAddress: '', grantDays: 1 })
    await world.administration.beginExport(job)
  })
  const { station, job } = await scene.begun()
  const order = await scene.order(world.carl, 'film/', job)
  const epoch = await scene.key(station)
  await world.fixture.reopen()
  const [over] = await scene.ask(order, [ten], { station, epoch })
  assert.is(over?.outcome, 'epoch-over', 'it was in memory only')
  assert.is((await scene.ask(order, [ten], { station }))[0]?.outcome, 'exported')
})

async function messageOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'none',
    (error: Error) => error.message,
  )
}

test.run()
