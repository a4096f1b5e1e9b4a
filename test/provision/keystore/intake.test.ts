import { createSecretKey, randomBytes, X509Certificate } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type DeviceId, type EpochId, newId } from '../../../format/bytes.ts'
import { parseEnvelope } from '../../../format/envelope.ts'
import { openGrantFile, parseGrantFile, verifyGrant } from '../../../format/grant.ts'
import { verifyJobOrder } from '../../../format/job-order.ts'
import { openMetadata } from '../../../format/metadata.ts'
import { type Receipt, verifyReceipt } from '../../../format/receipt.ts'
import type { ProveObject, StationProof } from '../../../format/release.ts'
import { readUnlockCode } from '../../../format/unlock-code.ts'
import { verifyCertificate } from '../../../hsm/certificate.ts'
import { openMemoryToken } from '../../../hsm/memory-token.ts'
import {
  type AuthorityFixture,
  authorityFixture,
  deviceRequest,
  faultOf,
  jobRequest,
  METADATA,
  member,
  proofOf,
  type Sealed,
  stationFor,
  type TestDevice,
  testDevice,
} from './authority-fixture.ts'

const test = suite('intake')
let fixture: AuthorityFixture
let device: TestDevice
let other: TestDevice
let station: StationProof
let owner: Awaited<ReturnType<typeof member>>

test.before(async () => {
  fixture = await authorityFixture()
  const { administration } = fixture.authority
  owner = await member(administration, 'owner')
  await member(administration, 'rival')
  const { job } = await administration.createJob(jobRequest('owner'))
  const second = await administration.createJob(jobRequest('rival'))
  device = await testDevice(administration, job)
  other = await testDevice(administration, second.job)
  station = await stationFor(administration, job, device.device)
})
test.after(() => fixture.remove())

const release = () => fixture.authority.release
const proveObject = ({ stored }: Sealed): ProveObject => {
  const { envelope, coreHeader, place } = stored
  return { envelope, coreHeader, place }
}

test('nothing is answered before the intake of the job has begun', async () => {
  assert.is(await faultOf(release().job(station)), 'denied')
  assert.is(await faultOf(release().metadataKey(station, device.keyRecord)), 'denied')
  assert.is(await faultOf(release().reseal(station, device.keyRecord)), 'denied')
  assert.is(await faultOf(release().prove(station, [])), 'denied')
  await fixture.authority.administration.beginIntake(device.job)
  assert.is(await faultOf(release().job(station)), 'none')
})

test('a wrong secret, station, device or job is refused', async () => {
  const flipped = Buffer.from(station.secret)
  flipped[31] = (flipped[31] ?? 0) ^ 1
  const wrong: Partial<StationProof>[] = [
    { secret: flipped },
    { station: '0000000000000000' },
    { device: newId<DeviceId>() },
    { device: other.device },
  ]
  for (const change of wrong) {
    assert.is(await faultOf(release().job({ ...station, ...change })), 'denied')
    assert.is(await faultOf(release().metadataKey({ ...station, ...change }, device.keyRecord)), 'denied')
  }
  assert.is(await faultOf(release().job({ ...station, job: newId() })), 'not-found')
  assert.is(await faultOf(release().job({ ...station, job: other.job, device: other.device })), 'denied', 'not begun')
})

test('the order, the devices and the certificates are what was signed', async () => {
  const answer = await release().job(station)
  const order = verifyJobOrder(answer.order, answer.orderSpki)
  assert.is(order.job, device.job)
  assert.equal(order.buckets, ['photos'])
  assert.equal(
    answer.devices.map(each => each.device),
    [device.device],
  )
  const receipt = await verifyCertificate(answer.receiptCertificate, answer.caCertificate, new Date(fixture.clock.now))
  assert.equal(receipt.spki, answer.receiptSpki)
})

test('a key record of another job, device, grant or key is refused, and one that was not signed by the device', async () => {
  const wrong = [
    await device.record({ job: other.job }),
    await device.record({ device: other.device }),
    await device.record({ grantHash: randomBytes(32) }),
    other.keyRecord,
    device.keyRecord.subarray(1),
    Buffer.from(device.keyRecord).fill(0, device.keyRecord.length - 3),
  ]
  for (const [at, record] of wrong.entries())
    assert.is(await faultOf(release().reseal(station, record)), 'denied', `record ${at}`)
})

test('names open before content may: the metadata key, then the takeover, for one token operation', async () => {
  const object = device.seal('photos', 'a', Buffer.from('a'))
  const proof = proofOf(owner, 'GET', { bucket: 'photos', key: 'a' })
  const asked = { proof, object: object.stored, parts: [] }
  const before = fixture.token.operations
  const key = await release().metadataKey(station, device.keyRecord)
  const { kind, objectId, job, kekId, sealedMetadata } = parseEnvelope(object.stored.envelope)
  const plain = openMetadata(createSecretKey(key), { kind, objectId, job, epoch: kekId }, sealedMetadata)
  assert.equal(plain, METADATA)
  assert.is(await faultOf(release().release(asked)), 'denied', 'not taken over yet')
  assert.equal(await release().prove(station, [proveObject(object)]), [
    { outcome: 'refused', reason: 'not of an epoch of this job and device' },
  ])
  await release().reseal(station, device.keyRecord)
  await release().reseal(station, device.keyRecord)
  assert.equal(await release().metadataKey(station, device.keyRecord), key)
  assert.equal((await release().release(asked)).keys, [object.objectKey])
  assert.is(fixture.token.operations - before, 1)
})

test('another key under the id of an epoch that is taken over is refused', async () => {
  assert.is(await faultOf(release().reseal(station, await device.record({ key: randomBytes(32) }))), 'denied')
})

test('an epoch whose key is not the one it commits to is refused', async () => {
  const record = await device.record({ epoch: newId<EpochId>(), sealed: randomBytes(32) })
  assert.is(await faultOf(release().reseal(station, record)), 'denied')
  assert.is(await faultOf(release().metadataKey(station, record)), 'denied')
})

test('objects prove themselves in their context, and only there', async () => {
  const good = device.seal('photos', 'p', Buffer.alloc(100_000))
  const part = device.seal('photos', 'film', Buffer.from('1'), { upload: 'u', number: 1 })
  const whole = device.composite('photos', 'film', [part])
  const outside = device.seal('elsewhere', 'p', Buffer.from('p'))
  const foreign = other.seal('photos', 'p', Buffer.from('p'))
  const cases: [ProveObject, string][] = [
    [proveObject(good), 'proved'],
    [proveObject(part), 'proved'],
    [proveObject(whole), 'proved'],
    [{ ...proveObject(good), place: { bucket: 'photos', key: 'q' } }, 'refused'],
    [{ ...proveObject(good), coreHeader: proveObject(part).coreHeader }, 'refused'],
    [{ ...proveObject(good), envelope: Buffer.alloc(200) }, 'refused'],
    [{ ...proveObject(part), place: { ...part.stored.place, part: { upload: 'u', number: 2 } } }, 'refused'],
    [proveObject(outside), 'refused'],
    [proveObject(foreign), 'refused'],
  ]
  const outcomes = await release().prove(
    station,
    cases.map(([object]) => object),
  )
  assert.equal(
    outcomes.map(each => each.outcome),
    cases.map(([, outcome]) => outcome),
  )
})

test('a receipt is signed for this job and device, at the level that was proved, at the time of the authority', async () => {
  const receipt: Receipt = {
    job: device.job,
    device: device.device,
    account: owner.id,
    level: 'key',
    checkpoint: randomBytes(32),
    freshness: 'seal-code',
    issuedAt: 1,
    lines: 3,
    held: 0,
    root: randomBytes(32),
  }
  const { receiptSpki } = await release().job(station)
  const signed = verifyReceipt(await release().signReceipt(station, receipt), receiptSpki)
  assert.equal(signed, { ...receipt, issuedAt: fixture.clock.now })
  assert.is(await faultOf(release().signReceipt(station, { ...receipt, lines: 4 })), 'held', 'three were proved')
  assert.is(await faultOf(release().signReceipt(station, { ...receipt, lines: 4, level: 'digest' })), 'none')
  assert.is(await faultOf(release().signReceipt(station, { ...receipt, level: 'content' })), 'held')
  assert.is(await faultOf(release().signReceipt(station, { ...receipt, account: 'x' })), 'denied')
  assert.is(await faultOf(release().signReceipt(station, { ...receipt, device: other.device })), 'denied')
})

test('after the end of the intake the station hears nothing; the key can be destroyed, and what was taken over opens', async () => {
  const { administration } = fixture.authority
  assert.is(await faultOf(administration.destroyJobKey(device.job)), 'state', 'while taking in')
  await administration.endIntake(device.job)
  assert.is(await faultOf(release().job(station)), 'denied')
  await administration.destroyJobKey(device.job)
  const again = await fixture.reopen()
  const object = device.seal('photos', 'late', Buffer.from('late'))
  const proof = proofOf(owner, 'GET', { bucket: 'photos', key: 'late' })
  assert.equal((await again.release.release({ proof, object: object.stored, parts: [] })).keys, [object.objectKey])
  const info = await again.administration.showJob(device.job)
  assert.is(info.state, 'closed')
  assert.ok(info.keyDestroyed)
  assert.is(info.devices[0]?.epochs, 1)
})

test("a device's grant opens with its code, is signed under the CA, and names the readable device as a recipient too", async () => {
  const { administration } = fixture.authority
  const { job } = await administration.createJob(jobRequest('owner', { mode: 'readable' }))
  const token = openMemoryToken({ label: 'second' })
  const id = newId<DeviceId>()
  const request = await deviceRequest(token, id)
  const prepare = () => administration.prepareDevice({ job, request, returnAddress: '', grantDays: 1 })
  const prepared = await prepare()
  const file = parseGrantFile(prepared.grantFile)
  assert.is(openGrantFile(file, prepared.grant, readUnlockCode(prepared.unlockCode)).length, 32)
  const caSigned = await release()
    .job({ ...station })
    .catch(() => null)
  assert.is(caSigned, null)
  const grant = verifyGrant(file.signed, spkiOf(other.grant.signerCertificate))
  const transport = await token.publicKey('transport')
  assert.is(grant.recipients.length, 2)
  assert.equal(grant.recipients[1]?.spki, transport?.spki)
  const certified = await verifyCertificate(grant.deviceCertificate, grant.caCertificate, new Date(fixture.clock.now))
  assert.is(certified.commonName, id)
  assert.is(grant.counter, 1)
  const next = await prepare()
  assert.is(verifyGrant(parseGrantFile(next.grantFile).signed, spkiOf(grant.signerCertificate)).counter, 2)
  assert.not.equal(next.unlockCode, prepared.unlockCode)
  const thief = await deviceRequest(openMemoryToken({ label: 'thief' }), id)
  const stolen = administration.prepareDevice({ job, request: thief, returnAddress: '', grantDays: 1 })
  assert.is(await faultOf(stolen), 'refused', 'the same id with another identity key')
  const broken = Buffer.from(request)
  broken[100] = (broken[100] ?? 0) ^ 1
  const asked = { job, request: broken, returnAddress: '', grantDays: 1 }
  assert.is(await faultOf(administration.prepareDevice(asked)), 'refused')
})

function spkiOf(certificate: Buffer): Buffer {
  return new X509Certificate(certificate).publicKey.export({ format: 'der', type: 'spki' })
}

test.run()
