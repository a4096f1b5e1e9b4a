import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { IssuerSettings } from '../../../format/identity.ts'
import { openWorld, policy, type World } from '../acl/world.ts'
import { askPlain, type Reply } from './asking.ts'
import { openPasswordService, type PasswordService } from './password-service.ts'

const test = suite('sessions of browsers')
let world: World
let service: PasswordService
let bucket = ''
const settings: Omit<IssuerSettings, 'url'> = {
  ...{ name: 'ldap', kind: 'password', account: 'anna', audiences: [], algorithms: [], groupsClaim: 'groups' },
  ...{ groups: [], domainClaim: 'hd', skewSeconds: 0, provision: true, aclWritesByBearer: false, clientId: null },
}

test.before(async () => {
  world = await openWorld()
  service = await openPasswordService()
  service.people.set('eve', {
    password: 'right: ünï',
    answer: { subject: 'uid=eve', groups: ['cn=staff'], domain: 'anna.example' },
  })
  const { administration } = world
  await administration.createGroup('anna', 'staff', null)
  await administration.addIssuer(
    {
      ...settings,
      audiences: [],
      algorithms: [],
      url: service.url,
      groups: [{ claim: 'cn=staff', group: 'anna/staff' }],
    },
    'shared word',
  )
  await administration.addLoginOrigin('http://localhost')
  bucket = await world.bucket()
  await world.good(world.anna, `PUT /${bucket}/k`, { 'content-type': 'text/html' }, '<script>1</script>')
  const { id } = await administration.showGroup('anna/staff')
  await world.good(world.anna, `PUT /${bucket}/k?acl`, {}, policy([`urn:x-storage:group:${id}=READ`]))
})
test.after(async () => {
  await world.remove()
  await service.close()
})

const html = { accept: 'text/html,application/xhtml+xml' }
const ours = { 'sec-fetch-site': 'same-origin' }
const form = { 'content-type': 'application/x-www-form-urlencoded', ...ours }
const fields = async (more: Record<string, string> = {}): Promise<string> => {
  const [issuer] = await world.fixture.authority.administration.listIssuers()
  return new URLSearchParams({
    issuer: issuer?.id ?? '',
    username: 'eve',
    password: 'right: ünï',
    back: '',
    ...more,
  }).toString()
}
const logIn = async (more: Record<string, string> = {}, headers: Record<string, string> = form): Promise<Reply> =>
  askPlain(world, 'POST /.sealift/login/password', headers, await fields(more))
const cookieOf = ({ headers }: Reply): string => (headers.get('set-cookie') ?? '').split(';')[0] ?? ''
/** The answer's cookies: a map would keep the last one alone. */
async function session(more: Record<string, string> = {}): Promise<{ cookie: string; raw: string; location: string }> {
  const request = {
    ...{ method: 'POST', rawPath: '/.sealift/login/password', rawQuery: '', remote: '127.0.0.1' },
    headers: Object.entries({ host: 'localhost', ...form }),
  }
  const body = Buffer.from(await fields(more))
  async function* stream() {
    yield body
  }
  const answer = await world.hosted.face({ ...request, body: stream() })
  const raw = answer.headers.find(([name, value]) => name === 'set-cookie' && value.includes('session='))?.[1] ?? ''
  const location = answer.headers.find(([name]) => name === 'location')?.[1] ?? ''
  return { cookie: raw.split(';')[0] ?? '', raw, location }
}

test('a browser that is refused is sent to the login, and comes back to what it asked for, with a session that opens it', async () => {
  const refused = await askPlain(world, `GET /${bucket}/k?versionId=null`, html)
  assert.is(refused.status, 302)
  const location = new URL(refused.headers.get('location') ?? '')
  assert.is(location.origin + location.pathname, 'http://localhost/.sealift/login')
  const page = await askPlain(world, `GET ${location.pathname}${location.search}`, html)
  assert.is(page.status, 200)
  assert.match(page.text, /<form method="post"/)
  assert.not.match(page.text, /<script/)
  assert.match(page.headers.get('content-security-policy') ?? '', /default-src 'none'.*frame-ancestors 'none'/)
  const entered = await session({ back: location.searchParams.get('back') ?? '' })
  assert.is(entered.location, `http://localhost/${bucket}/k?versionId=null`)
  assert.match(entered.raw, /^sealift-session=[\w-]+; Path=\/; HttpOnly; SameSite=Lax; Max-Age=3600$/)
  const read = await askPlain(world, `GET /${bucket}/k`, { ...html, cookie: entered.cookie })
  assert.is(read.text, '<script>1</script>')
  assert.is(read.headers.get('content-security-policy'), 'sandbox')
  assert.is(read.headers.get('x-content-type-options'), 'nosniff')
  assert.equal(service.asked.at(-1), { username: 'eve', authorization: 'Bearer shared word' })
})

test('a session is judged by the keystore with the ACL of the moment, and a group that is gone gives nothing', async () => {
  const { cookie } = await session()
  assert.is((await askPlain(world, `GET /${bucket}/k`, { cookie })).status, 200)
  await world.good(world.anna, `PUT /${bucket}/k2`, {}, 'x')
  assert.is((await askPlain(world, `GET /${bucket}/k2`, { cookie, ...html })).status, 403)
})

test('over TLS the cookie bears its host alone, and the bare name is not read there', async () => {
  await world.administration.addLoginOrigin('https://store.example')
  world.fixture.clock.now += 3000
  const host = { host: 'store.example' }
  const answer = await logIn({}, { ...form, ...host })
  assert.is(answer.status, 303)
  const raw = answer.headers.get('set-cookie') ?? ''
  assert.match(raw, /^__Host-sealift-login=; Path=\/; HttpOnly; SameSite=Lax; Max-Age=0; Secure$/)
  const { cookie } = await session()
  assert.is((await askPlain(world, `GET /${bucket}/k`, { ...host, cookie })).status, 403)
  const elsewhere = await askPlain(world, `GET /${bucket}/k`, { ...host, cookie: `__Host-${cookie}` })
  assert.is(elsewhere.code, 'InvalidToken')
  assert.match(elsewhere.message, /another host/)
})

const changed: [string, (ticket: string) => string][] = [
  ['in its first character', ticket => (ticket[0] === 'A' ? 'B' : 'A') + ticket.slice(1)],
  ['in its last character', ticket => ticket.slice(0, -2) + (ticket.at(-2) === 'A' ? 'B' : 'A') + ticket.at(-1)],
  ['in the middle', ticket => ticket.slice(0, 60) + (ticket[60] === 'A' ? 'B' : 'A') + ticket.slice(61)],
  ['by being cut', ticket => ticket.slice(0, -8)],
  ['by being made longer', ticket => `${ticket}AAAA`],
  ['to nothing', () => ''],
  ['to what is no ticket', () => 'x'.repeat(3000)],
]
for (const [name, change] of changed)
  test(`a session ticket that was changed ${name} proves nothing`, async () => {
    const [cookie = '', ticket = ''] = (await session()).cookie.split('=')
    const answer = await askPlain(world, `GET /${bucket}/k`, { cookie: `${cookie}=${change(ticket)}` })
    assert.is(answer.code, 'InvalidToken')
    const browser = await askPlain(world, `GET /${bucket}/k`, { ...html, cookie: `${cookie}=${change(ticket)}` })
    assert.is(browser.status, 302)
  })

test('a session ends after an hour, a ticket of the future has not begun, and a cookie that comes twice is none', async () => {
  const { clock } = world.fixture
  const { cookie } = await session()
  const { now } = clock
  const at = async (offset: number) => {
    clock.now = now + offset
    return (await askPlain(world, `GET /${bucket}/k`, { cookie })).status
  }
  try {
    assert.equal([await at(3_599_000), await at(3_600_000), await at(-1)], [200, 401, 401])
  } finally {
    clock.now = now
  }
  assert.is((await askPlain(world, `GET /${bucket}/k`, { cookie: `${cookie}; ${cookie}` })).status, 403)
})

test('what changes something with a session must come from a page of this host', async () => {
  const { cookie } = await session()
  const put = async (headers: Record<string, string>) =>
    (await askPlain(world, `PUT /${bucket}/new`, { cookie, ...headers }, 'x')).message
  const elsewhere = [
    {},
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'none' },
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: 'http://localhost.evil.example' },
    { origin: 'http://localhost:81' },
    { 'sec-fetch-site': 'cross-site', origin: 'http://localhost' },
  ]
  for (const headers of elsewhere) assert.match(await put(headers), /page of this very host/, JSON.stringify(headers))
  for (const headers of [ours, { origin: 'http://localhost' }]) assert.is(await put(headers), 'Access Denied')
})

test('logging in and out is done by forms of this host alone, logging out with the word that its page shows', async () => {
  assert.is((await logIn({}, { 'content-type': form['content-type'] })).status, 403)
  assert.is((await logIn({}, { ...form, 'sec-fetch-site': 'cross-site' })).status, 403)
  const { cookie } = await session()
  const page = await askPlain(world, 'GET /.sealift/session', { cookie })
  const csrf = /name="csrf" value="([^"]+)"/.exec(page.text)?.[1] ?? ''
  const out = (body: string, headers: Record<string, string>) =>
    askPlain(world, 'POST /.sealift/logout', { cookie, ...headers }, body)
  assert.is((await out(`csrf=${csrf}`, { ...form, 'sec-fetch-site': 'cross-site' })).status, 403)
  assert.is((await out('csrf=x', form)).status, 403)
  assert.is((await out('', form)).status, 403)
  assert.is((await askPlain(world, 'GET /.sealift/logout', { cookie })).status, 404)
  assert.is((await askPlain(world, `GET /${bucket}/k`, { cookie })).status, 200)
  const done = await out(`csrf=${csrf}`, form)
  assert.is(done.status, 303)
  assert.is(cookieOf(done), 'sealift-session=')
  // the ticket itself is over, not only the cookie gone
  assert.is((await askPlain(world, `GET /${bucket}/k`, { cookie })).code, 'InvalidToken')
  await world.hosted.close()
  await world.fixture.reopen()
  await world.restart()
  assert.is((await askPlain(world, `GET /${bucket}/k`, { cookie })).code, 'InvalidToken')
})

test('a session changes no ACL where the provider’s settings do not say so', async () => {
  const { cookie } = await session()
  const answer = await askPlain(world, `PUT /${bucket}/k?acl`, { cookie, ...ours, 'x-amz-acl': 'public-read' })
  assert.is(answer.status, 403)
})

test('a name and a password come with the request itself where logging in is on, and nowhere else', async () => {
  const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` })
  const before = service.asked.length
  for (const _ of [1, 2, 3]) assert.is((await askPlain(world, `GET /${bucket}/k`, basic('eve:right: ünï'))).status, 200)
  assert.is(service.asked.length, before + 1, 'asked once in a while')
  assert.is((await askPlain(world, `GET /${bucket}/k`, basic('ldap/eve:right: ünï'))).status, 200)
  assert.is((await askPlain(world, `GET /${bucket}/k`, basic('eve:wrong'))).code, 'InvalidAccessKeyId')
  assert.is(
    (await askPlain(world, `GET /${bucket}/k`, { ...basic('eve:right: ünï'), host: '10.0.0.1:9200' })).code,
    'InvalidRequest',
  )
  for (const text of ['eve', ':x', 'a\nb:c'])
    assert.is((await askPlain(world, `GET /${bucket}/k`, basic(text))).code, 'AuthorizationHeaderMalformed')
})

test('after a few failures a name has to wait, whoever asks, and then may try again', async () => {
  service.people.set('mallory', { password: 'm', answer: { subject: 'uid=mallory' } })
  const { clock } = world.fixture
  const { now } = clock
  const statuses: number[] = []
  for (let at = 0; at < 7; at++) statuses.push((await logIn({ username: 'Mallory', password: `guess ${at}` })).status)
  assert.equal(statuses, [403, 403, 403, 403, 403, 429, 429])
  const asked = service.asked.length
  assert.is((await logIn({ username: 'mallory', password: 'm' })).status, 429)
  assert.is(service.asked.length, asked, 'the service is not asked')
  assert.is((await logIn()).status, 303, 'others go on')
  try {
    clock.now = now + 31_000
    assert.is((await logIn({ username: 'mallory', password: 'm' })).status, 303)
  } finally {
    clock.now = now
  }
})

test('who gets in is not counted against the address that he shares with others', async () => {
  for (let at = 0; at < 60; at++) assert.is((await logIn()).status, 303)
  service.status = 500
  for (let at = 0; at < 60; at++) assert.is((await logIn()).status, 503, 'nor is a service that fails')
  service.status = null
  const statuses: number[] = []
  for (let at = 0; at < 60; at++) statuses.push((await logIn({ username: `guess ${at}`, password: 'x' })).status)
  assert.is(statuses.at(0), 403)
  assert.is(statuses.at(-1), 429, 'many names from one address')
  world.fixture.clock.now += 20 * 60_000
})

test('a service that answers out of form lets nobody in', async () => {
  for (const answer of ['', '{', '{}', '{"subject":""}', '{"subject":5}', `{"subject":"${'x'.repeat(257)}"}`, '[]']) {
    service.people.set('odd', { password: 'o', answer })
    world.fixture.clock.now += 20 * 60_000
    assert.is((await logIn({ username: 'odd', password: 'o' })).status, 503, answer.slice(0, 40))
  }
  for (const [status, wanted] of [
    [500, 503],
    [302, 503],
    [429, 429],
    [503, 429],
    [403, 503],
  ] as const) {
    world.fixture.clock.now += 20 * 60_000
    service.status = status
    assert.is((await logIn()).status, wanted, `${status}`)
  }
  service.status = null
})

test('no password, and no word shared with a service, is in the audit or in an answer', async () => {
  const answer = await logIn({ password: 'tell-tale' })
  assert.not.match(answer.text, /tell-tale/)
  for (const file of ['keystore.sqlite', 'keystore.sqlite-wal']) {
    const bytes = readFileSync(join(world.fixture.directory, file))
    assert.not.ok(bytes.includes('tell-tale') || bytes.includes('shared word'), file)
  }
})

test('a service that is not trusted any more ends its sessions at once', async () => {
  const { cookie } = await session()
  assert.is((await askPlain(world, `GET /${bucket}/k`, { cookie })).status, 200)
  await world.fixture.authority.administration.removeIssuer('ldap')
  assert.is((await askPlain(world, `GET /${bucket}/k`, { cookie })).code, 'InvalidToken')
})

test.run()
