/**
 * `npm run check:browser [-- --screenshots DIR]`: Debian's Chromium at a provider that runs as its own processes, with a real OpenID provider:
 * sent to the login, session, a private object, logout, a form that sends a file. Exit 0: all as it must be; 1: not; 69: Chromium is missing and could not be installed.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, type Page } from 'playwright-core'
import { formPage } from '../provision/forms/page.ts'
import { type Fields, fourth, iso, policyText } from '../provision/forms/sender.ts'
import { CLIENT, openProvider } from '../provision/identity/provider.ts'
import { openRunningProvider } from './identity/provider.ts'
import { requirePackages } from './packages.ts'

const CHROMIUM = '/usr/bin/chromium'
requirePackages(existsSync(CHROMIUM) ? [] : ['chromium'])

const at = process.argv.indexOf('--screenshots')
const screenshots = at < 0 ? undefined : process.argv[at + 1]
const scratch = mkdtempSync(join(tmpdir(), 'sealift-check-browser-'))
// what somebody stored must not run as if it were ours
const CONTENT =
  '<!doctype html><title>quiet</title><p id="secret">for the staff</p><script>document.title = "ran"</script>'
const provider = await openRunningProvider(CONTENT)
const issuer = await openProvider(`${provider.address}/.sealift/login/callback`)
let failed = 0

function line(what: string, good: boolean): void {
  if (!good) failed++
  console.log(`${what} … ${good ? 'ok' : 'FAILED'}`)
}
async function shot(page: Page, name: string): Promise<void> {
  if (screenshots !== undefined) await page.screenshot({ path: join(screenshots, `${name}.png`) })
}
const pathOf = (page: Page): string => new URL(page.url()).pathname

try {
  const secretFile = join(scratch, 'client')
  writeFileSync(secretFile, `${CLIENT.secret}\n`, { mode: 0o600 })
  const options = ['--url', issuer.url, '--account', 'acme', '--client-id', CLIENT.id, '--secret-file', secretFile]
  await provider.command('issuer', 'add', 'corp', ...options, '--group', 'staff=acme/staff')

  const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking']
  const browser = await chromium.launchPersistentContext(join(scratch, 'profile'), {
    ...{ executablePath: CHROMIUM, headless: true, viewport: { width: 900, height: 700 } },
    args: [...args, '--disable-component-update', '--disable-sync'],
  })
  const page = await browser.newPage()
  const wanted = `${provider.address}${provider.path}`
  await page.goto(wanted)
  line('a browser that is refused comes to the login', pathOf(page) === '/.sealift/login')
  await shot(page, '1-login')
  await page.getByRole('link', { name: 'Sign in with corp' }).click()
  line('its link leads to the OpenID provider', new URL(page.url()).origin === issuer.url)
  await page.locator('input[name=login]').fill('eve')
  await page.locator('input[name=password]').fill('x')
  await page.locator('button[type=submit]').click()
  await page.locator('button[type=submit]').click()
  await page.waitForURL(wanted)
  line('logged in, it is back at what it asked for', (await page.locator('#secret').textContent()) === 'for the staff')
  line('a script that somebody stored does not run', (await page.title()) === 'quiet')
  await shot(page, '2-object')
  const [cookie] = (await browser.cookies(provider.address)).filter(each => each.name === 'sealift-session')
  line('the cookie is kept from scripts and from other sites', cookie?.httpOnly === true && cookie.sameSite === 'Lax')

  await page.goto(`${provider.address}/.sealift/session`)
  line('its page says who is signed in', (await page.getByText('You are signed in as').count()) === 1)
  await shot(page, '3-session')
  const evil = await browser.newPage()
  await evil.goto(issuer.url)
  const elsewhere = `${provider.address}/.sealift/logout`
  await evil.setContent(
    `<form method="post" action="${elsewhere}"><input name="csrf" value="x"><button>win</button></form>`,
  )
  await evil.getByRole('button', { name: 'win' }).click()
  line(
    'a form of another site signs nobody out',
    (await evil.getByText('not sent by a page of this store').count()) === 1,
  )
  await evil.close()
  await page.goto(wanted)
  line('the session goes on', (await page.locator('#secret').count()) === 1)

  await page.goto(`${provider.address}/.sealift/session`)
  await page.getByRole('button', { name: 'Sign out' }).click()
  line('signed out by its own page', (await page.getByText('You are not signed in').count()) === 1)
  await page.goto(wanted)
  line('and refused again', pathOf(page) === '/.sealift/login')

  const sender = await browser.newPage()
  await sender.setContent(signedForm())
  await shot(sender, '4-form')
  const file = { name: 'größe.txt', mimeType: 'text/plain', buffer: Buffer.from('sent by a page') }
  await sender.locator('input[type=file]').setInputFiles(file)
  await sender.getByRole('button', { name: 'Send' }).click()
  await sender.waitForURL(/\/\.sealift\/session\?bucket=private&key=inbox%2F/)
  line('a form sends a file, and the browser goes on where the policy lets it', true)
  await sender.goto(`${provider.address}/private/inbox/${encodeURIComponent(file.name)}`)
  line(
    'the file is there, with the ACL that the form asked for',
    (await sender.textContent('body')) === 'sent by a page',
  )
  // a stored page could send no form: it is served in a sandbox
  await sender.goto('about:blank')
  await sender.setContent(signedForm('private/../elsewhere'))
  await sender.locator('input[type=file]').setInputFiles(file)
  await sender.getByRole('button', { name: 'Send' }).click()
  await sender.waitForURL(`${provider.address}/private`)
  line('a form that says other than its policy is refused', (await sender.content()).includes('AccessDenied'))
  await sender.close()
  await browser.close()
} finally {
  await issuer.close()
  await provider.close()
  rmSync(scratch, { recursive: true, force: true })
}
process.exitCode = failed === 0 ? 0 : 1

/** Whoever has the page may send files below inbox/, which everybody may read, for an hour. */
function signedForm(key = `inbox/\${filename}`): string {
  const now = Date.now()
  const { sign, conditions } = fourth(provider.owner, 'amz', now)
  const redirect = `${provider.address}/.sealift/session`
  const fields: Fields = [
    ['key', key],
    ['acl', 'public-read'],
    ['Content-Type', 'text/plain'],
    ['success_action_redirect', redirect],
  ]
  const said = [
    { bucket: 'private' },
    ['starts-with', '$key', 'inbox/'],
    { acl: 'public-read' },
    { 'Content-Type': 'text/plain' },
  ]
  const all = [...said, { success_action_redirect: redirect }, ['content-length-range', 1, 1000], ...conditions]
  return formPage(`${provider.address}/private`, [...fields, ...sign(policyText(all, iso(now + 3_600_000)))])
}
