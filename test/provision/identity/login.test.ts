import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { IssuerSettings } from '../../../format/identity.ts'
import { type Listener, listen } from '../../../store/s3/listen.ts'
import { openWorld, policy, type World } from '../acl/world.ts'
import { openIssuer } from './issuer.ts'
import { CLIENT, openBrowser, openProvider, type RealProvider } from './provider.ts'

const test = suite('logging in at an OpenID provider')
let world: World
let listener: Listener
let provider: RealProvider
let path = ''

test.before(async () => {
  world = await openWorld()
  listener = await listen({ face: request => world.hosted.face(request), host: '127.0.0.1', port: 0 })
  provider = await openProvider(`${listener.url}/.sealift/login/callback`)
  const { administration } = world
  await administration.createGroup('anna', 'staff', null)
  const settings: IssuerSettings = {
    ...{ name: 'corp', kind: 'oidc', url: provider.url, account: 'anna', audiences: [], algorithms: ['RS256'] },
    ...{ groupsClaim: 'groups', groups: [{ claim: 'staff', group: 'anna/staff' }], domainClaim: 'hd', skewSeconds: 10 },
    ...{ provision: true, aclWritesByBearer: false, clientId: CLIENT.id },
  }
  await administration.addIssuer(settings, CLIENT.secret)
  await administration.addLoginOrigin(listener.url)
  const bucket = await world.bucket()
  path = `/${bucket}/k`
  await world.good(world.anna, `PUT ${path}`, {}, 'the secret')
  const { id } = await administration.showGroup('anna/staff')
  await world.good(world.anna, `PUT ${path}?acl`, {}, policy([`urn:x-storage:group:${id}=READ`]))
})
test.after(async () => {
  await listener.close({ graceSeconds: 0 })
  await world.remove()
  await provider.close()
})

type Browser = ReturnType<typeof openBrowser>
const hrefIn = (text: string): string =>
  (/href="([^"]*login\/oidc[^"]*)"/.exec(text)?.[1] ?? '').replaceAll('&#38;', '&')
const actionIn = (text: string): string => /<form[^>]* action="([^"]+)"/.exec(text)?.[1] ?? ''

/** To the provider's form for name and password. */
async function toProvider(browser: Browser, from = `${listener.url}${path}`) {
  const page = await browser.visit(from)
  assert.is(page.url.pathname, '/.sealift/login')
  const asked = await browser.visit(new URL(hrefIn(page.text), page.url).href)
  assert.is(asked.url.origin, provider.url)
  return asked
}
async function through(browser: Browser, asked: { url: URL; text: string }) {
  const consent = await browser.visit(new URL(actionIn(asked.text), asked.url).href, {
    prompt: 'login',
    login: 'eve',
    password: 'x',
  })
  return browser.visit(new URL(actionIn(consent.text), consent.url).href, { prompt: 'consent' })
}

test('a browser goes from what it is refused to a real provider and back to it, and reads it', async () => {
  const browser = openBrowser()
  const read = await through(browser, await toProvider(browser))
  assert.is(read.url.href, `${listener.url}${path}`)
  assert.is(read.text, 'the secret')
  const [user] = (await world.administration.listUsers('anna')).filter(each => each.name.startsWith('corp.'))
  assert.ok(user !== undefined)
  assert.is(user.email, null, 'an address outside the domains of the account is not taken')
  const page = await browser.visit(`${listener.url}/.sealift/session`)
  assert.match(page.text, new RegExp(`signed in as <b>${user.name}</b>`))
  const csrf = /name="csrf" value="([^"]+)"/.exec(page.text)?.[1] ?? ''
  assert.match((await browser.visit(`${listener.url}/.sealift/logout`, { csrf })).text, /not signed in/)
  assert.is((await browser.visit(`${listener.url}${path}`)).url.pathname, '/.sealift/login')
})

test('the answer of a provider is good in the browser that began, once begun, and with its own state', async () => {
  const [browser, other] = [openBrowser(), openBrowser()]
  const asked = await toProvider(browser)
  // the last redirect, held back: what an attacker would send to somebody else
  const consent = await browser.visit(new URL(actionIn(asked.text), asked.url).href, {
    prompt: 'login',
    login: 'mallory',
    password: 'x',
  })
  const held = browser.cookies(new URL(listener.url).host).get('sealift-login') ?? ''
  browser.set(new URL(listener.url).host, 'sealift-login', 'changed')
  const callback = await browser.visit(new URL(actionIn(consent.text), consent.url).href, { prompt: 'consent' })
  assert.is(callback.status, 400)
  assert.is(callback.url.pathname, '/.sealift/login/callback')
  assert.is((await other.visit(callback.url.href)).status, 400, 'another browser')
  browser.set(new URL(listener.url).host, 'sealift-login', held)
  const stateless = new URL(callback.url.href)
  stateless.searchParams.set('state', 'x')
  assert.is((await browser.visit(stateless.href)).status, 400, 'another state')
  const mixed = new URL(callback.url.href)
  mixed.searchParams.set('iss', 'https://evil.example')
  assert.is((await browser.visit(mixed.href)).status, 400, 'another provider')
  const { clock } = world.fixture
  const { now } = clock
  clock.now = now + 600_000
  assert.is((await browser.visit(callback.url.href)).status, 400, 'too late')
  clock.now = now
  const entered = await browser.visit(callback.url.href)
  assert.is(entered.text, 'the secret')
  const again = openBrowser()
  again.set(new URL(listener.url).host, 'sealift-login', held)
  assert.is((await again.visit(callback.url.href)).status, 403, 'a code is exchanged once')
})

test('a provider that says no, or another login’s token, lets nobody in', async () => {
  const browser = openBrowser()
  await toProvider(browser)
  const host = new URL(listener.url).host
  const attempt = browser.cookies(host).get('sealift-login') ?? ''
  assert.ok(attempt !== '')
  assert.is((await browser.visit(`${listener.url}/.sealift/login/callback?error=access_denied&state=x`)).status, 400)
  assert.is((await openBrowser().visit(`${listener.url}/.sealift/login/callback?code=x&state=x`)).status, 400)
  for (const issuer of ['', 'x', '../..', "'"])
    assert.is(
      (await openBrowser().visit(`${listener.url}/.sealift/login/oidc?issuer=${encodeURIComponent(issuer)}`)).status,
      403,
    )
})

test('a login that begins with an address of somebody else ends at the session’s own page', async () => {
  for (const back of [
    '//evil.example',
    'https://evil.example/',
    `9999999999999.${'A'.repeat(43)}.https://evil.example/`,
  ]) {
    const browser = openBrowser()
    const asked = await toProvider(browser, `${listener.url}/.sealift/login?back=${encodeURIComponent(back)}`)
    const ended = await through(browser, asked)
    assert.is(ended.url.href, `${listener.url}/.sealift/session`)
  }
})

test('a provider that does not answer is told so, and nothing is begun', async () => {
  const gone = await openIssuer(() => Math.floor(Date.now() / 1000))
  const made = await world.administration.addIssuer(gone.settings({ name: 'gone', clientId: 'c', audiences: [] }), null)
  await gone.close()
  const answer = await openBrowser().visit(`${listener.url}/.sealift/login/oidc?issuer=${made.id}`)
  assert.is(answer.status, 503)
  await world.administration.removeIssuer('gone')
})

test.run()
