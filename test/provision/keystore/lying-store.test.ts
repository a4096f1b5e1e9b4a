import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseProof } from '../../../access/proof.ts'
import { type Credentials, presignQuery } from '../../../access/sign.ts'
import type { StoredObject } from '../../../format/release.ts'
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

const test = suite('a lying store before the keystore')
let fixture: AuthorityFixture
let owner: Awaited<ReturnType<typeof member>>
let stranger: Awaited<ReturnType<typeof member>>
let device: TestDevice
let secret: Sealed
let other: Sealed
const place = { bucket: 'photos', key: 'secret' }
const elsewhere = { bucket: 'photos', key: 'other' }

test.before(async () => {
  fixture = await authorityFixture()
  const { administration, release } = fixture.authority
  owner = await member(administration, 'owner')
  stranger = await member(administration, 'stranger')
  const { job } = await administration.createJob(jobRequest('owner'))
  device = await testDevice(administration, job)
  await takeIn(release, administration, device)
  secret = device.seal(place.bucket, place.key, Buffer.from('the secret'))
  other = device.seal(elsewhere.bucket, elsewhere.key, Buffer.from('another one'))
})
test.after(() => fixture.remove())

/** The double: it has every byte at rest, lets everybody in, and asks for the key with whatever it is handed. It has no ACL at all. */
async function serveAnybody(proof: Uint8Array | null, changes: Partial<StoredObject> = {}): Promise<Buffer | string> {
  let key: Buffer | undefined
  const ask = async (): Promise<void> => {
    const object = { ...secret.stored, ...changes }
    ;[key] = (await fixture.authority.release.release({ proof, object, parts: [] })).keys
  }
  const fault = await faultOf(ask())
  return key ?? fault
}

function presigned(who: Credentials, seconds: { age: number; life: number }): Buffer {
  const headers: [string, string][] = [['host', 'h']]
  const head = { method: 'GET', rawPath: encodedPath(place), rawQuery: '', headers }
  const time = new Date(fixture.clock.now - seconds.age * 1000)
  const rawQuery = presignQuery(head, who, { region: 'eu', time, expiresSeconds: seconds.life })
  const proof = parseProof({ ...head, rawQuery })
  if (proof === null) throw new Error('no proof')
  return encodeProof(proof)
}

test('a store that always says yes gets the key with the owner’s own live proof, and with no other', async () => {
  assert.equal(await serveAnybody(proofOf(owner, 'GET', place)), secret.objectKey)
  assert.equal(await serveAnybody(presigned(owner, { age: 10, life: 60 })), secret.objectKey)
  assert.is(await serveAnybody(null), 'denied', 'nobody')
  assert.is(await serveAnybody(proofOf(stranger, 'GET', place)), 'denied', 'a stranger')
  assert.is(await serveAnybody(presigned(stranger, { age: 10, life: 60 })), 'denied', 'a link of a stranger')
  assert.is(await serveAnybody(proofOf(owner, 'GET', elsewhere)), 'denied', 'the owner asked for another object')
})

test('a store that always says yes keeps a proof, and gets nothing with it after its time', async () => {
  const header = proofOf(owner, 'GET', place, { at: fixture.clock.now })
  const link = presigned(owner, { age: 0, life: 3600 })
  assert.equal(await serveAnybody(header), secret.objectKey)
  assert.equal(await serveAnybody(link), secret.objectKey)
  const { now } = fixture.clock
  try {
    fixture.clock.now = now + 901_000
    assert.is(await serveAnybody(header), 'skewed')
    assert.equal(await serveAnybody(link), secret.objectKey)
    fixture.clock.now = now + 3_601_000
    assert.is(await serveAnybody(link), 'expired')
  } finally {
    fixture.clock.now = now
  }
})

test('a store that forges requests gets no key', async () => {
  const good = decodeSignedProof(proofOf(owner, 'GET', elsewhere))
  const forged = (changes: Partial<typeof good>): Buffer => encodeProof({ ...good, ...changes })
  const path = encodedPath(place)
  assert.is(await serveAnybody(forged({ rawPath: path })), 'bad-proof', 'the path of a request for another object')
  assert.is(await serveAnybody(forged({ rawPath: path, signature: '0'.repeat(64) })), 'bad-proof')
  const strangers = decodeSignedProof(proofOf(stranger, 'GET', place))
  assert.is(await serveAnybody(encodeProof({ ...strangers, accessKey: owner.accessKey })), 'bad-proof')
  assert.is(await serveAnybody(proofOf({ ...owner, secretKey: stranger.secretKey }, 'GET', place)), 'bad-proof')
  assert.is(await serveAnybody(proofOf({ ...owner, accessKey: 'AKIANOBODY' }, 'GET', place)), 'no-credential')
  const link = decodeSignedProof(presigned(owner, { age: 120, life: 60 }))
  assert.is(await serveAnybody(encodeProof({ ...link, expiresSeconds: 604_800 })), 'bad-proof', 'a longer life')
})

test('a store that lies about the object gets no key', async () => {
  const asked = proofOf(owner, 'GET', elsewhere)
  assert.is(await serveAnybody(asked, { place: elsewhere }), 'denied', 'under the name that was asked for')
  const { envelope, coreHeader } = other.stored
  assert.is(await serveAnybody(asked, { place: elsewhere, envelope }), 'denied', 'with the envelope of that one')
  assert.is(await serveAnybody(asked, { place: elsewhere, coreHeader }), 'denied', 'with the header of that one')
  const strangers = proofOf(stranger, 'GET', place)
  assert.is(await serveAnybody(strangers, { account: stranger.id }), 'denied', 'as the stranger’s own')
  assert.is(await serveAnybody(strangers, { account: stranger.id, job: null }), 'denied', 'as put by the stranger')
  assert.is(await serveAnybody(null, { binding: Buffer.from('a1', 'hex') }), 'denied', 'with a binding of its own')
})

test.run()
