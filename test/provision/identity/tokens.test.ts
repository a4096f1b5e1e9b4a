import { createHmac } from 'node:crypto'
import { CompactSign, exportJWK, exportSPKI, generateKeyPair } from 'jose'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openWorld, policy, type World } from '../acl/world.ts'
import { askPlain, bearer } from './asking.ts'
import { AUDIENCE, openIssuer, type TestIssuer } from './issuer.ts'

const test = suite('tokens of an OpenID provider')
let world: World
let issuer: TestIssuer
let bucket = ''
const path = () => `/${bucket}/k`
const seconds = () => Math.floor(world.fixture.clock.now / 1000)

test.before(async () => {
  world = await openWorld()
  issuer = await openIssuer(seconds)
  const { administration } = world
  await administration.createGroup('anna', 'readers', null)
  await administration.createGroup('anna', 'everybody', null)
  await administration.addMember('anna/everybody', 'group', 'anna/readers')
  await administration.addDomain('anna', 'anna.example')
  const groups = [{ claim: 'corp:readers', group: 'anna/readers' }]
  await administration.addIssuer(issuer.settings({ groups, domainClaim: 'hd' }), null)
  bucket = await world.bucket()
  await world.good(world.anna, `PUT ${path()}`, {}, 'the secret')
})
test.after(async () => {
  await world.remove()
  await issuer.close()
})

const get = async (token: string) => askPlain(world, `GET ${path()}`, bearer(token))
const userOf = async (subject: string): Promise<string> => {
  await get(await issuer.token({ sub: subject }))
  const row = (await world.administration.listUsers('anna')).find(each => each.name.startsWith('corp.'))
  if (row === undefined) throw new Error('nobody was made')
  return row.id
}

test('whoever the provider names is a user of its account from the first request on, and gets what ACLs give him', async () => {
  assert.is((await get(await issuer.token())).status, 403)
  const id = await userOf('somebody')
  await world.good(world.anna, `PUT ${path()}?acl`, {}, policy([`${id}=READ`]))
  const answer = await get(await issuer.token())
  assert.is(answer.text, 'the secret')
  assert.is((await get(await issuer.token({ sub: 'somebody else' }))).status, 403)
  const twice = await Promise.all([1, 2, 3].map(async () => get(await issuer.token({ sub: 'new and hasty' }))))
  assert.equal(
    twice.map(each => each.status),
    [403, 403, 403],
  )
  const { entries } = await world.administration.verifyAudit()
  await get(await issuer.token({ sub: 'on record' }))
  await get(await issuer.token({ sub: 'on record' }))
  // the user who was made; that the store refused him the data is no affair of the keystore's
  assert.is((await world.administration.verifyAudit()).entries, entries + 1)
  await world.administration.disableUser(id)
  assert.is((await get(await issuer.token())).status, 403)
})

test('a claim of groups counts by the mapping alone, through nested groups too, and as long as the group is there', async () => {
  const { id } = await world.administration.showGroup('anna/everybody')
  await world.good(world.anna, `PUT ${path()}?acl`, {}, policy([`urn:x-storage:group:${id}=READ`]))
  const as = async (groups: unknown) => (await get(await issuer.token({ sub: 'grouped', groups }))).status
  assert.is(await as(['corp:readers', 'x']), 200)
  assert.is(await as('corp:readers'), 200)
  for (const none of [undefined, [], ['readers'], ['anna/readers'], [id], { 'corp:readers': true }])
    assert.is(await as(none), 403)
})

test('a domain counts where the provider verified it and it is the account’s', async () => {
  await world.good(world.anna, `PUT ${path()}?acl`, {}, policy(['urn:x-storage:domain:anna.example=READ']))
  const as = async (claims: object) => (await get(await issuer.token({ sub: 'of a domain', ...claims }))).status
  assert.is(await as({ hd: 'anna.example' }), 200)
  assert.is(await as({ hd: 'Anna.Example' }), 200)
  for (const claims of [
    {},
    { hd: 'bert.example' },
    { email: 'x@anna.example', email_verified: true },
    { hd: ['anna.example'] },
  ])
    assert.is(await as(claims), 403, JSON.stringify(claims))
})

test('a subject that is linked is that user, and nobody else is', async () => {
  const { administration, carl, anna } = world
  await world.good(anna, `PUT ${path()}?acl`, {}, policy([`${carl.id}=READ`]))
  await administration.linkUser('anna/carl', 'corp', 'carl at corp')
  assert.is((await get(await issuer.token({ sub: 'carl at corp' }))).status, 200)
  await administration.unlinkUser('corp', 'carl at corp')
  assert.is((await get(await issuer.token({ sub: 'carl at corp' }))).status, 403)
})

const flat = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const claims = (changes: object = {}) => ({
  ...{ iss: issuer.url, aud: AUDIENCE, sub: 'somebody', iat: seconds(), exp: seconds() + 300 },
  ...changes,
})
const bad: [string, () => Promise<string>, RegExp][] = [
  ['a token that has expired', () => issuer.token({ iat: seconds() - 600, exp: seconds() - 31 }), /expired/],
  ['a token that is not valid yet', () => issuer.token({ nbf: seconds() + 31 }), /not valid yet/],
  ['a token that was made in the future', () => issuer.token({ iat: seconds() + 31 }), /iat/],
  [
    'a token older than an hour that lives longer',
    () => issuer.token({ iat: seconds() - 3700, exp: seconds() + 9999 }),
    /older than an hour/,
  ],
  ['a token for another audience', () => issuer.token({ aud: 'https://other.example' }), /aud/],
  ['a token for no audience', () => issuer.token({ aud: [] }), /aud/],
  ['a token of another issuer', () => issuer.token({ iss: 'https://evil.example' }), /no issuer/],
  ['a token of the issuer with a slash', () => issuer.token({ iss: `${issuer.url}/` }), /no issuer/],
  ['a token without an end', () => issuer.token({}, {}, undefined, ['exp']), /exp/],
  ['a token without a subject', () => issuer.token({}, {}, undefined, ['sub']), /sub/],
  ['a token whose subject is empty', () => issuer.token({ sub: '' }), /names nobody/],
  ['alg none', async () => `${flat({ alg: 'none', typ: 'at+jwt' })}.${flat(claims())}.`, /malformed|signed/],
  [
    'HS256 with the public key as the secret',
    async () => {
      const text = `${flat({ alg: 'HS256', kid: 'k1' })}.${flat(claims())}`
      const secret = await exportSPKI(issuer.key.publicKey)
      return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
    },
    /way that is not taken/,
  ],
  [
    'an algorithm that the settings do not name',
    async () => {
      const { privateKey } = await generateKeyPair('PS256')
      return issuer.token({}, { alg: 'PS256' }, privateKey)
    },
    /way that is not taken/,
  ],
  ['an unknown kid', () => issuer.token({}, { kid: 'k2' }), /not signed by a key/],
  [
    'another key under a known kid',
    async () => issuer.token({}, {}, (await generateKeyPair('RS256')).privateKey),
    /not signed by a key/,
  ],
  ['a token of another type', () => issuer.token({}, { typ: 'logout+jwt' }), /type/],
  [
    'a header that must be understood',
    () =>
      new CompactSign(Buffer.from(JSON.stringify(claims())))
        .setProtectedHeader({ alg: 'RS256', kid: 'k1', crit: ['urn:x'], 'urn:x': 1 })
        .sign(issuer.key.privateKey, { crit: { 'urn:x': false } }),
    /not signed/,
  ],
  ['a token bound to a key, sent alone', () => issuer.token({ cnf: { jkt: 'x' } }), /DPoP/],
  ['what is no token', async () => 'abc', /no issuer/],
  ['a signature that was changed', async () => (await issuer.token()).replace(/.{4}$/, 'AAAA'), /not signed by a key/],
]
for (const [name, make, reason] of bad)
  test(`refused: ${name}`, async () => {
    const answer = await get(await make())
    const malformed = answer.code === 'AuthorizationHeaderMalformed'
    assert.ok(malformed || (answer.status === 401 && answer.code === 'InvalidToken'), `${answer.status} ${answer.text}`)
    if (!malformed) assert.match(answer.headers.get('www-authenticate') ?? '', /^Bearer error="invalid_token"/)
    assert.match(answer.message, malformed ? /./ : reason)
    assert.not.match(answer.text, /eyJ/)
  })

test('an upload that was begun with a token is ended with a later one of the same bearer, and with nobody else’s', async () => {
  const { administration, carl, fixture } = world
  await administration.linkUser('anna/carl', 'corp', 'uploads')
  const target = `/${await world.bucket(carl)}/big`
  const { now } = fixture.clock
  const begun = await askPlain(world, `POST ${target}?uploads`, bearer(await issuer.token({ sub: 'uploads' })))
  const upload = /<UploadId>([^<]+)</.exec(begun.text)?.[1] ?? ''
  const part = await askPlain(
    world,
    `PUT ${target}?partNumber=1&uploadId=${upload}`,
    bearer(await issuer.token({ sub: 'uploads' })),
    'a part',
  )
  const list = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${part.headers.get('etag')}</ETag></Part></CompleteMultipartUpload>`
  const end = (token: string) =>
    askPlain(world, `POST ${target}?uploadId=${upload}`, { ...bearer(token), 'content-length': `${list.length}` }, list)
  fixture.clock.now = now + 2 * 3_600_000
  try {
    assert.is((await end(await issuer.token({ sub: 'another' }))).status, 403)
    assert.is((await end(await issuer.token({ sub: 'uploads', exp: seconds() - 60 }))).code, 'InvalidToken')
    assert.is((await end(await issuer.token({ sub: 'uploads' }))).status, 200)
  } finally {
    fixture.clock.now = now
  }
  assert.is((await askPlain(world, `GET ${target}`, bearer(await issuer.token({ sub: 'uploads' })))).text, 'a part')
})

test('a token of 16 KiB is read, one above is refused before anything is done with it', async () => {
  assert.is((await get(await issuer.token({ filler: 'x'.repeat(11_000) }))).status, 403)
  const answer = await get(await issuer.token({ filler: 'x'.repeat(13_000) }))
  assert.is(answer.code, 'AuthorizationHeaderMalformed')
})

test('a token that was good is refused when its time is over, at the next request', async () => {
  const token = await issuer.token({ sub: 'timely' })
  assert.is((await get(token)).code, 'AccessDenied')
  const { now } = world.fixture.clock
  try {
    world.fixture.clock.now = now + 329_000
    assert.is((await get(token)).code, 'AccessDenied')
    world.fixture.clock.now = now + 331_000
    assert.is((await get(token)).code, 'InvalidToken')
  } finally {
    world.fixture.clock.now = now
  }
})

test('a new key of the issuer is fetched when a token names it, and not again for each that names none', async () => {
  const { clock } = world.fixture
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
  const first = issuer.asked.get('/jwks') ?? 0
  issuer.keys = [...issuer.keys, { ...(await exportJWK(publicKey)), kid: 'k9', alg: 'ES256' }]
  const { now } = clock
  try {
    clock.now = now + 31_000
    assert.is(
      (await get(await issuer.token({ sub: 'new key' }, { alg: 'ES256', kid: 'k9' }, privateKey))).code,
      'AccessDenied',
    )
    const second = issuer.asked.get('/jwks') ?? 0
    assert.is(second, first + 1)
    for (let at = 0; at < 20; at++) await get(await issuer.token({}, { kid: `none-${at}` }))
    assert.is(issuer.asked.get('/jwks'), second)
  } finally {
    clock.now = now
  }
})

test('a plain token changes no ACL, and a document with a digest is no other', async () => {
  const { administration } = world
  await administration.removeIssuer('corp')
  const body = policy([])
  await administration.addIssuer(issuer.settings({ aclWritesByBearer: false }), null)
  await administration.linkUser('anna/carl', 'corp', 'carl')
  const mine = await world.bucket(world.carl)
  await world.good(world.carl, `PUT /${mine}/k`, {}, 'x')
  const token = bearer(await issuer.token({ sub: 'carl' }))
  const put = (headers = {}) => askPlain(world, `PUT /${mine}/k?acl`, { ...token, ...headers }, body)
  const refused = await put()
  assert.is(refused.status, 403)
  assert.match(refused.message, /aclWritesByBearer/)
  assert.is((await askPlain(world, `PUT /${mine}/k?acl`, { ...token, 'x-amz-acl': 'public-read' })).status, 403)
  assert.is((await askPlain(world, `PUT /${mine}?acl`, { ...token, 'x-amz-acl': 'public-read' })).status, 403)
  assert.is((await askPlain(world, `PUT /${mine}/k2`, { ...token, 'x-amz-acl': 'public-read' }, 'x')).status, 200)
  await administration.removeIssuer('corp')
  await administration.addIssuer(issuer.settings({ aclWritesByBearer: true }), null)
  assert.is((await put()).status, 200)
  assert.is((await put({ 'x-amz-content-sha256': '0'.repeat(64) })).status, 400)
  assert.is((await askPlain(world, `PUT /${mine}/k?acl`, { ...token, 'x-amz-acl': 'public-read' })).status, 200)
  assert.is((await askPlain(world, `GET /${mine}/k`, {})).status, 200)
})

test('a provider that is not trusted any more proves nothing, at once', async () => {
  const token = await issuer.token({ sub: 'carl' })
  assert.is((await get(token)).status, 200)
  await world.administration.removeIssuer('corp')
  assert.is((await get(token)).code, 'InvalidToken')
})

test('a provider whose document is another’s is not believed, and the caller may try again', async () => {
  const other = await openIssuer(seconds)
  other.document = { ...other.document, issuer: 'https://evil.example' }
  await world.administration.addIssuer(other.settings({ name: 'other' }), null)
  assert.is((await get(await other.token())).status, 503)
  await other.close()
})

const settings: [string, object][] = [
  ['plain http on another machine', { url: 'http://issuer.example' }],
  ['a user in the URL', { url: 'https://a:b@issuer.example' }],
  ['an algorithm with a shared secret', { algorithms: ['HS256'] }],
  ['alg none', { algorithms: ['none'] }],
  ['neither audience nor client', { audiences: [] }],
  ['an empty audience', { audiences: [''] }],
  ['a skew of more than a minute', { skewSeconds: 61 }],
  ['a group that is not there', { groups: [{ claim: 'x', group: 'anna/none' }] }],
  ['an account that is not there', { account: 'nobody' }],
]
for (const [name, changes] of settings)
  test(`settings with ${name} are refused`, async () => {
    const fault = await world.administration.addIssuer(issuer.settings({ name: 'wrong', ...changes }), null).then(
      () => 'none',
      error => error.fault,
    )
    assert.ok(['malformed', 'not-found', 'limit'].includes(fault), fault)
  })

test.run()
