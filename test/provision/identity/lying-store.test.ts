import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ReleaseError, type ReleaseRequest } from '../../../format/release.ts'
import { decodeProof, encodeProof, type RequestProof } from '../../../format/request-proof.ts'
import { openWorld, type World } from '../acl/world.ts'
import { askPlain, bearer } from './asking.ts'
import { openIssuer, type TestIssuer } from './issuer.ts'
import { openPasswordService, type PasswordService } from './password-service.ts'

const test = suite('a lying store with tokens and tickets')
let world: World
let issuer: TestIssuer
let service: PasswordService
let bucket = ''
const seconds = () => Math.floor(world.fixture.clock.now / 1000)

test.before(async () => {
  world = await openWorld()
  issuer = await openIssuer(seconds)
  service = await openPasswordService()
  service.people.set('carl', { password: 'c', answer: { subject: 'carl' } })
  const { administration } = world
  await administration.addIssuer(issuer.settings(), null)
  const password = { name: 'ldap', kind: 'password', url: service.url, audiences: [], algorithms: [] } as const
  await administration.addIssuer(issuer.settings({ ...password, audiences: [], algorithms: [] }), null)
  await administration.linkUser('anna/carl', 'corp', 'carl')
  await administration.linkUser('anna/carl', 'ldap', 'carl')
  await administration.addLoginOrigin('http://localhost')
  bucket = await world.bucket(world.carl)
  await world.good(world.carl, `PUT /${bucket}/one`, {}, 'one')
  await world.good(world.carl, `PUT /${bucket}/two`, {}, 'two')
  const annas = await world.bucket()
  await world.good(world.anna, `PUT /${annas}/hers`, {}, 'hers')
  hers = await releaseOf(() => world.good(world.anna, `GET /${annas}/hers`))
  one = await releaseOf(() => world.good(world.carl, `GET /${bucket}/one`))
})
test.after(async () => {
  await world.remove()
  await issuer.close()
  await service.close()
})

let hers: ReleaseRequest
let one: ReleaseRequest

/** What the store asks for the key with: all that it has in hand when it begins to lie. */
async function releaseOf(work: () => Promise<unknown>): Promise<ReleaseRequest> {
  const { release } = world.fixture.authority
  const original = release.release
  let seen: ReleaseRequest | undefined
  release.release = request => {
    seen = request
    return original(request)
  }
  try {
    await work()
  } finally {
    release.release = original
  }
  if (seen === undefined) throw new Error('nothing was asked for')
  return seen
}
const proofOf = async (headers: Record<string, string>): Promise<RequestProof> => {
  const { proof } = await releaseOf(() => askPlain(world, `GET /${bucket}/two`, headers))
  if (proof === null) throw new Error('no proof')
  return decodeProof(proof)
}
/** Claims to have had a request for the very object. */
async function outcome(
  proof: RequestProof,
  { object }: ReleaseRequest,
  changes: Partial<RequestProof> = {},
): Promise<string> {
  const { bucket: name, key } = object.place
  const forged = { ...proof, rawPath: `/${name}/${key}`, ...changes } as RequestProof
  return world.fixture.authority.release.release({ proof: encodeProof(forged), object, parts: [] }).then(
    () => 'a key',
    error => (error instanceof ReleaseError ? error.fault : String(error)),
  )
}

test('with a token it gets what its bearer may read, and nothing of anybody else', async () => {
  const proof = await proofOf(bearer(await issuer.token({ sub: 'carl' })))
  assert.is(await outcome(proof, one), 'a key', 'any object of his, as the table of proofs says')
  assert.is(await outcome(proof, hers), 'denied')
  assert.is(await outcome(proof, one, { token: 'a.b.c' }), 'bad-token')
  assert.is(await outcome(proof, one, { dpop: 'a.b.c' }), 'bad-token')
  const { clock } = world.fixture
  const { now } = clock
  clock.now = now + 331_000
  assert.is(await outcome(proof, one), 'bad-token', 'after its time')
  clock.now = now
})

test('with a ticket it gets what its holder may read, at the host that it was made for, and for an hour', async () => {
  const credentials = Buffer.from('carl:c').toString('base64')
  const proof = await proofOf({ authorization: `Basic ${credentials}` })
  assert.is(proof.kind, 'session')
  assert.is(await outcome(proof, one), 'a key')
  assert.is(await outcome(proof, hers), 'denied')
  assert.is(await outcome(proof, one, { headers: [['host', 'other.example']] }), 'bad-token')
  assert.is(await outcome(proof, one, { ticket: 'AAAA' }), 'bad-token')
  const { clock } = world.fixture
  const { now } = clock
  clock.now = now + 3_600_000
  assert.is(await outcome(proof, one), 'bad-token')
  clock.now = now
})

test('a ticket is no token and a token no ticket', async () => {
  const proof = await proofOf(bearer(await issuer.token({ sub: 'carl' })))
  if (proof.kind !== 'bearer') throw new Error('a bearer was wanted')
  const { token, method, rawPath, rawQuery, headers, payload } = proof
  const session = { kind: 'session', ticket: token, method, rawPath, rawQuery, headers, payload } as const
  assert.is(await outcome(session, one), 'bad-token')
})

test.run()
