import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseProof } from '../../../access/proof.ts'
import { presignQuery } from '../../../access/sign.ts'
import type { ReleaseRequest, StationProof, StoredObject } from '../../../format/release.ts'
import { encodeProof } from '../../../format/request-proof.ts'
import { decodeSignedProof } from '../signed-proof.ts'
import {
  type AuthorityFixture,
  authorityFixture,
  encodedPath,
  faultOf,
  jobRequest,
  member,
  proofOf,
  type Sealed,
  type TestDevice,
  takeIn,
  testDevice,
} from './authority-fixture.ts'

const test = suite('release')
let fixture: AuthorityFixture
let owner: Awaited<ReturnType<typeof member>>
let stranger: Awaited<ReturnType<typeof member>>
let device: TestDevice
let station: StationProof
let object: Sealed
const place = { bucket: 'photos', key: 'a b/ü.jpg' }

test.before(async () => {
  fixture = await authorityFixture()
  const { administration, release } = fixture.authority
  owner = await member(administration, 'owner')
  stranger = await member(administration, 'stranger')
  const { job } = await administration.createJob(jobRequest('owner'))
  device = await testDevice(administration, job)
  station = await takeIn(release, administration, device)
  object = device.seal(place.bucket, place.key, Buffer.from('the picture'))
})
test.after(() => fixture.remove())

const released = (changes: Partial<ReleaseRequest> = {}) =>
  fixture.authority.release.release({
    proof: proofOf(owner, 'GET', place),
    object: object.stored,
    parts: [],
    ...changes,
  })
const ask = async (changes: Partial<ReleaseRequest> = {}) => (await released(changes)).keys
const stored = (changes: Partial<StoredObject>): { object: StoredObject } => ({
  object: { ...object.stored, ...changes },
})

test('with the key goes whom the proof was judged to be of', async () => {
  const { authenticate } = fixture.authority.release
  for (const method of ['GET', 'HEAD'] as const) {
    const proof = proofOf(owner, method, place)
    const { principal } = await released({ proof })
    assert.equal(principal, await authenticate(proof))
    assert.is(principal?.account, owner.id)
  }
})

test('the owner of the account reads what came by drive, and gets exactly its key', async () => {
  assert.equal(await ask(), [object.objectKey])
  assert.equal(await ask({ proof: proofOf(owner, 'HEAD', place) }), [object.objectKey])
})

test('a bucket in the host name is the same object; a bucket in another host is none', async () => {
  const path = encodedPath(place).slice('/photos'.length)
  const virtual = (host: string) => proofOf(owner, 'GET', place, { host, path })
  assert.equal(await ask({ proof: virtual('photos.s3.test:9200') }), [object.objectKey])
  assert.is(await faultOf(ask({ proof: virtual('photos.s3.other') })), 'denied')
  assert.is(await faultOf(ask({ proof: virtual('other.s3.test') })), 'denied')
})

const refusals: Record<string, () => Partial<ReleaseRequest>> = {
  'a stranger of another account': () => ({ proof: proofOf(stranger, 'GET', place) }),
  'nobody, of a private object': () => ({ proof: null }),
  'a proof that is 16 minutes old': () => ({
    proof: proofOf(owner, 'GET', place, { at: fixture.clock.now - 960_000 }),
  }),
  'a proof from 16 minutes ahead': () => ({ proof: proofOf(owner, 'GET', place, { at: fixture.clock.now + 960_000 }) }),
  'a proof for another key': () => ({ proof: proofOf(owner, 'GET', { ...place, key: 'other' }) }),
  'a proof for another bucket': () => ({ proof: proofOf(owner, 'GET', { ...place, bucket: 'other' }) }),
  'a proof of a PUT': () => ({ proof: proofOf(owner, 'PUT', place) }),
  'a proof of a DELETE': () => ({ proof: proofOf(owner, 'DELETE', place) }),
  'a proof of GET ?acl': () => ({ proof: proofOf(owner, 'GET', place, { query: 'acl' }) }),
  'a proof of GET ?tagging': () => ({ proof: proofOf(owner, 'GET', place, { query: 'tagging=' }) }),
  'a proof with an unknown access key': () => ({ proof: proofOf({ ...owner, accessKey: 'AKIANOBODY' }, 'GET', place) }),
  'a proof with another secret': () => ({ proof: proofOf({ ...owner, secretKey: 'guess' }, 'GET', place) }),
  'a proof whose path was changed': () => ({
    proof: changed({ rawPath: '/photos/other' }),
    ...stored({ place: { bucket: 'photos', key: 'other' } }),
  }),
  'a proof whose method was changed': () => ({ proof: changed({ method: 'HEAD' }) }),
  'a header proof that calls itself presigned, to live longer': () => ({
    proof: changed({ form: 'presigned', expiresSeconds: 604_800 }),
  }),
  'a proof with a header cut off': () => ({
    proof: changed({ headers: decodeSignedProof(proofOf(owner, 'GET', place)).headers.slice(1) }),
  }),
  'bytes that are no proof': () => ({ proof: Buffer.from('00', 'hex') }),
  'the object under another name': () => ({
    proof: proofOf(owner, 'GET', { ...place, key: 'x' }),
    ...stored({ place: { ...place, key: 'x' } }),
  }),
  'the object in another bucket': () => ({
    proof: proofOf(owner, 'GET', { bucket: 'other', key: 'x' }),
    ...stored({ place: { bucket: 'other', key: 'x' } }),
  }),
  'the object said to be a part': () => stored({ place: { ...place, part: { upload: 'u', number: 1 } } }),
  'the object said to be of the stranger': () => ({
    proof: proofOf(stranger, 'GET', place),
    ...stored({ account: stranger.id }),
  }),
  'the object said to be of no job': () => stored({ job: null }),
  'a binding on what came by drive': () => stored({ binding: Buffer.from('a1', 'hex') }),
  'the core header of another object': () =>
    stored({ coreHeader: device.seal('photos', 'z', Buffer.from('z')).stored.coreHeader }),
  'a core header cut short': () => stored({ coreHeader: object.stored.coreHeader.subarray(0, 101) }),
  'parts of what is no composite': () => ({ parts: [object.stored] }),
}
for (const [name, request] of Object.entries(refusals))
  test(`refused: ${name}`, async () =>
    assert.is(await faultOf(ask(request())), name.includes('no proof') ? 'bad-proof' : await expected(name)))

/** Faults of the proof itself are told, so that a client hears why; everything after it is one refusal. */
async function expected(name: string): Promise<string> {
  if (name.includes('unknown access key')) return 'no-credential'
  if (name.includes('minutes')) return 'skewed'
  const ofProof = ['another secret', 'was changed', 'calls itself', 'cut off']
  return ofProof.some(text => name.includes(text)) ? 'bad-proof' : 'denied'
}

function changed(changes: Partial<ReturnType<typeof decodeSignedProof>>): Buffer {
  return encodeProof({ ...decodeSignedProof(proofOf(owner, 'GET', place)), ...changes })
}

test('no bit of the envelope can be changed', async () => {
  const proof = proofOf(owner, 'GET', place)
  for (let at = 0; at < object.stored.envelope.length; at++) {
    const envelope = Buffer.from(object.stored.envelope)
    envelope[at] = (envelope[at] ?? 0) ^ (1 << (at % 8))
    assert.is(await faultOf(ask({ proof, ...stored({ envelope }) })), 'denied', `byte ${at}`)
  }
})

test('no byte of the core header can be changed', async () => {
  const proof = proofOf(owner, 'GET', place)
  for (let at = 0; at < object.stored.coreHeader.length; at++) {
    const coreHeader = Buffer.from(object.stored.coreHeader)
    coreHeader[at] = (coreHeader[at] ?? 0) ^ 1
    assert.is(await faultOf(ask({ proof, ...stored({ coreHeader }) })), 'denied', `byte ${at}`)
  }
})

test('a presigned URL lives as long as was signed, and not as long as is said', async () => {
  const head = {
    method: 'GET',
    rawPath: encodedPath(place),
    rawQuery: '',
    headers: [['host', 'h']] as [string, string][],
  }
  const at = (age: number, expiresSeconds: number) => {
    const rawQuery = presignQuery(head, owner, {
      region: 'eu',
      time: new Date(fixture.clock.now - age * 1000),
      expiresSeconds,
    })
    const proof = parseProof({ ...head, rawQuery })
    if (proof === null) throw new Error('no proof')
    return proof
  }
  assert.equal(await ask({ proof: encodeProof(at(3000, 3600)) }), [object.objectKey])
  assert.is(await faultOf(ask({ proof: encodeProof(at(3700, 3600)) })), 'expired')
  assert.is(await faultOf(ask({ proof: encodeProof({ ...at(3700, 3600), expiresSeconds: 604_800 }) })), 'bad-proof')
})

test("a composite gives its listed parts' keys and no others", async () => {
  const name = { bucket: 'photos', key: 'film' }
  const parts = [1, 2, 3].map(number =>
    device.seal('photos', 'film', Buffer.from(`part ${number}`), { upload: 'u', number }),
  )
  const foreign = device.seal('photos', 'film', Buffer.from('not listed'), { upload: 'u', number: 4 })
  const elsewhere = device.seal('photos', 'other', Buffer.from('other name'), { upload: 'u', number: 1 })
  const whole = device.composite('photos', 'film', [...parts, elsewhere])
  const proof = proofOf(owner, 'GET', name)
  const request = (asked: Sealed[]) => ask({ proof, object: whole.stored, parts: asked.map(each => each.stored) })
  assert.equal(
    await request(parts.toReversed()),
    parts.toReversed().map(each => each.objectKey),
  )
  assert.equal(await request([]), [])
  assert.is(await faultOf(request([foreign])), 'denied')
  assert.is(await faultOf(request([elsewhere])), 'denied', 'listed, but of another name')
  assert.is(await faultOf(request([object])), 'denied', 'a whole object is no part')
  assert.is(await faultOf(ask({ proof, object: parts[0]?.stored ?? whole.stored })), 'denied', 'a part by itself')
})

test('the owner changes the ACL by a signed header, at once, and the envelope stays as it is', async () => {
  const { release } = fixture.authority
  const change = (who: typeof owner, acl: string, query = 'acl') =>
    proofOf(who, 'PUT', place, { query, headers: [['x-amz-acl', acl]] })
  const bind = (proof: Buffer) =>
    faultOf(release.bind({ proof, object: object.stored, document: Buffer.alloc(0), named: null }))
  assert.is(await bind(change(stranger, 'public-read')), 'denied')
  assert.is(await bind(change(owner, 'public-read', '')), 'denied', 'a PUT of the object')
  assert.is(await bind(change(owner, 'public-read')), 'none')
  assert.equal(await released({ proof: null }), { principal: null, keys: [object.objectKey] })
  assert.equal(await ask({ proof: proofOf(stranger, 'GET', place) }), [object.objectKey])
  assert.is(await bind(change(owner, 'private')), 'none')
  assert.is(await faultOf(ask({ proof: null })), 'denied')
  assert.is(await faultOf(ask({ proof: proofOf(stranger, 'GET', place) })), 'denied')
})

test('authenticate names who signed', async () => {
  const { release } = fixture.authority
  const { id, accessKey } = owner
  assert.equal(await release.authenticate(proofOf(owner, 'GET', place)), {
    ...{ account: id, user: id, name: 'owner', accessKey },
    ...{ groups: [], domains: [] },
  })
  assert.is(await faultOf(release.authenticate(proofOf({ ...owner, secretKey: 'x' }, 'GET', place))), 'bad-proof')
})

test('what was resealed opens after a new start, with one token operation for any number of objects', async () => {
  const { release } = await fixture.reopen()
  const before = fixture.token.operations
  for (const key of ['1', '2', '3', '4']) {
    const one = device.seal('photos', key, Buffer.from(key))
    const proof = proofOf(owner, 'GET', { bucket: 'photos', key })
    assert.equal((await release.release({ proof, object: one.stored, parts: [] })).keys, [one.objectKey])
  }
  assert.is(fixture.token.operations - before, 1)
  assert.ok(station.station.length > 0)
})

test('a disabled key and a disabled account are refused from the next request on', async () => {
  const { administration } = fixture.authority
  const second = await administration.createAccessKey('owner', 'second')
  const who = { accessKey: second.accessKey, secretKey: second.secret }
  assert.equal(await ask({ proof: proofOf(who, 'GET', place) }), [object.objectKey])
  await administration.disableAccessKey(second.accessKey)
  assert.is(await faultOf(ask({ proof: proofOf(who, 'GET', place) })), 'disabled')
  await administration.disableAccount('owner')
  assert.is(await faultOf(ask()), 'disabled')
})

test.run()
