import { createHash, randomUUID } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openWorld, type World } from '../acl/world.ts'
import { askPlain, bearer, type Reply } from './asking.ts'
import { openIssuer, type TestIssuer } from './issuer.ts'

const test = suite('tokens bound to a key (DPoP)')
let world: World
let issuer: TestIssuer
let path = ''
let key: Awaited<ReturnType<typeof generateKeyPair>>
const seconds = () => Math.floor(world.fixture.clock.now / 1000)

test.before(async () => {
  world = await openWorld()
  issuer = await openIssuer(seconds)
  key = await generateKeyPair('ES256', { extractable: true })
  await world.administration.addIssuer(issuer.settings(), null)
  await world.administration.linkUser('anna', 'corp', 'anna')
  const bucket = await world.bucket()
  path = `/${bucket}/a%20b`
  await world.good(world.anna, `PUT ${path}`, {}, 'the secret')
  await world.good(world.anna, `PUT /${bucket}/other`, {}, 'another')
})
test.after(async () => {
  await world.remove()
  await issuer.close()
})

const boundToken = async (): Promise<string> =>
  issuer.token({ sub: 'anna', cnf: { jkt: await calculateJwkThumbprint(await exportJWK(key.publicKey)) } })

type Changes = { claims?: JWTPayload; without?: string[]; typ?: string; key?: typeof key; jwk?: object }
async function proofFor(token: string, changes: Changes = {}): Promise<string> {
  const signer = changes.key ?? key
  const ath = createHash('sha256').update(token).digest('base64url')
  const full: JWTPayload = {
    jti: randomUUID(),
    htm: 'GET',
    htu: `http://localhost${path}`,
    iat: seconds(),
    ath,
    ...changes.claims,
  }
  for (const claim of changes.without ?? []) delete full[claim]
  const jwk = changes.jwk ?? (await exportJWK(signer.publicKey))
  return new SignJWT(full)
    .setProtectedHeader({ alg: 'ES256', typ: changes.typ ?? 'dpop+jwt', jwk })
    .sign(signer.privateKey)
}
const ask = (token: string, dpop: string, line = `GET ${path}`): Promise<Reply> =>
  askPlain(world, line, { authorization: `DPoP ${token}`, dpop })

test('a token bound to a key opens with a proof of that key, and with each proof once', async () => {
  const token = await boundToken()
  const proof = await proofFor(token)
  assert.is((await ask(token, proof)).text, 'the secret')
  assert.match((await ask(token, proof)).message, /used before/)
  assert.is((await ask(token, await proofFor(token))).text, 'the secret')
  assert.match((await askPlain(world, `GET ${path}`, bearer(token))).message, /DPoP/)
})

test('a proof that was used is known after the keystore began anew', async () => {
  const token = await boundToken()
  const proof = await proofFor(token)
  assert.is((await ask(token, proof)).status, 200)
  await world.hosted.close()
  await world.fixture.reopen()
  await world.restart()
  assert.match((await ask(token, proof)).message, /used before/)
})

const wrong: [string, (token: string) => Promise<string>, RegExp][] = [
  ['of another method', token => proofFor(token, { claims: { htm: 'PUT' } }), /another method/],
  ['of another address', token => proofFor(token, { claims: { htu: `http://localhost${path}x` } }), /another address/],
  ['of another host', token => proofFor(token, { claims: { htu: `https://evil.example${path}` } }), /another address/],
  [
    'of an address with a user before the host',
    token => proofFor(token, { claims: { htu: `https://localhost@evil.example${path}` } }),
    /another address/,
  ],
  [
    'of plain http on another machine',
    token => proofFor(token, { claims: { htu: `http://store.example${path}` } }),
    /another address/,
  ],
  [
    'of a path that only resolves to it',
    token => proofFor(token, { claims: { htu: `http://localhost/x/..${path}` } }),
    /another address/,
  ],
  ['that names no token', token => proofFor(token, { without: ['ath'] }), /another token, or none/],
  ['of another token', token => proofFor(token, { claims: { ath: 'x' } }), /another token, or none/],
  ['without a jti', token => proofFor(token, { without: ['jti'] }), /RFC 9449/],
  ['from before', token => proofFor(token, { claims: { iat: seconds() - 61 } }), /not of now/],
  ['from the future', token => proofFor(token, { claims: { iat: seconds() + 61 } }), /not of now|RFC 9449/],
  ['of another type', token => proofFor(token, { typ: 'jwt' }), /RFC 9449/],
  [
    'of another key',
    async token => proofFor(token, { key: await generateKeyPair('ES256', { extractable: true }) }),
    /another key/,
  ],
  [
    'of another key that names ours',
    async token =>
      proofFor(token, {
        key: await generateKeyPair('ES256', { extractable: true }),
        jwk: await exportJWK(key.publicKey),
      }),
    /RFC 9449/,
  ],
  ['that shows a private key', async token => proofFor(token, { jwk: await exportJWK(key.privateKey) }), /RFC 9449/],
]
for (const [name, make, reason] of wrong)
  test(`refused: a DPoP proof ${name}`, async () => {
    const token = await boundToken()
    const answer = await ask(token, await make(token))
    assert.is(answer.status, 401, answer.text)
    assert.match(answer.message, reason)
  })

test('a write that began in time goes on with its proof when its body was long; a read does not, nor another request', async () => {
  const { clock } = world.fixture
  const { now } = clock
  const line = `PUT ${path}long`
  const token = await boundToken()
  const claims = { htm: 'PUT', htu: `http://localhost${path}long` }
  const dpop = await proofFor(token, { claims })
  async function* slow() {
    yield Buffer.from('first ')
    clock.now = now + 200_000
    yield Buffer.from('second')
  }
  const headers = { host: 'localhost', 'content-length': '12', authorization: `DPoP ${token}`, dpop }
  const request = { method: 'PUT', rawPath: `${path}long`, rawQuery: '', headers: Object.entries(headers) }
  try {
    assert.is((await world.hosted.face({ ...request, body: slow() })).status, 200)
    assert.match((await ask(token, dpop, line)).message, /not of now|used before/)
  } finally {
    clock.now = now
  }
})

test('a token that is bound to no key is not taken with a proof', async () => {
  const token = await issuer.token({ sub: 'anna' })
  assert.match((await ask(token, await proofFor(token))).message, /bound to no key/)
})

test('two tokens, a proof without its scheme, two proofs: no request of a client that can be trusted', async () => {
  const token = await boundToken()
  const dpop = await proofFor(token)
  for (const headers of [
    [
      ['authorization', `Bearer ${token}`],
      ['dpop', dpop],
    ],
    [['authorization', `DPoP ${token}`]],
    [
      ['authorization', `DPoP ${token}`],
      ['dpop', dpop],
      ['DPoP', dpop],
    ],
    [
      ['authorization', `DPoP ${token}`],
      ['Authorization', `DPoP ${token}`],
      ['dpop', dpop],
    ],
    [
      ['authorization', `DPoP ${token} ${token}`],
      ['dpop', dpop],
    ],
    [
      ['authorization', 'DPoP'],
      ['dpop', dpop],
    ],
  ] as [string, string][][]) {
    async function* none() {}
    const request = {
      method: 'GET',
      rawPath: path,
      rawQuery: '',
      headers: [['host', 'localhost'], ...headers] as [string, string][],
    }
    assert.is((await world.hosted.face({ ...request, body: none() })).status, 400)
  }
})

test.run()
