/**
 * `npm run check:identity`: names and passwords of a real LDAP directory (Debian's slapd), through the example password service, at a
 * provider that runs as its own processes. Exit 0: all as it must be; 1: not; 69: slapd is missing and could not be installed.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLdapService } from './identity/ldap-service.ts'
import { openRunningProvider } from './identity/provider.ts'
import { openSlapd } from './identity/slapd.ts'
import { requirePackages } from './packages.ts'

requirePackages(existsSync('/usr/sbin/slapd') ? [] : ['slapd'])

const CONTENT = 'for the staff'
const SHARED = 'a word between the keystore and the service'
const PASSWORD = 'Straße: p*ss)word'
const scratch = mkdtempSync(join(tmpdir(), 'sealift-check-identity-'))
const slapd = await openSlapd({ anna: PASSWORD, bert: 'another' })
const onError = (error: unknown) => console.error(`ldap service: ${error}`)
const service = await openLdapService({ ldapUrl: slapd.url, ...slapd, sharedSecret: SHARED, onError })
const provider = await openRunningProvider(CONTENT)
let failed = 0

function line(what: string, good: boolean): void {
  if (!good) failed++
  console.log(`${what} … ${good ? 'ok' : 'FAILED'}`)
}
const basic = (name: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
})
async function read(headers: Record<string, string>): Promise<string> {
  const answer = await fetch(`${provider.address}${provider.path}`, { headers })
  const text = await answer.text()
  return answer.status === 200 ? text : `${answer.status} ${/<Code>(\w+)</.exec(text)?.[1]}`
}

try {
  const secretFile = join(scratch, 'shared')
  writeFileSync(secretFile, `${SHARED}\n`, { mode: 0o600 })
  const group = ['--group', 'staff=acme/staff', '--secret-file', secretFile]
  await provider.command('issuer', 'add', 'ldap', '--password', '--url', service.url, '--account', 'acme', ...group)

  line('a person of the directory reads what her group may read', (await read(basic('anna', PASSWORD))) === CONTENT)
  line('another person too, with a password of his own', (await read(basic('bert', 'another'))) === CONTENT)
  line('nobody reads without a name', (await read({})) === '403 AccessDenied')
  const refused = '403 InvalidAccessKeyId'
  line("another person's password is refused", (await read(basic('anna', 'another'))) === refused)
  line('a name that is nobody is refused alike', (await read(basic('nobody', 'x'))) === refused)
  line('no password, with which a directory binds nobody, is refused', (await read(basic('anna', ''))) === refused)
  for (const name of ['*', 'a*', 'anna)(uid=*', '\\61nna'])
    line(`the name ${name} is a name and no filter`, (await read(basic(name, PASSWORD))) === refused)

  const [issuer] = ((await provider.command('issuer', 'list')) as { issuers: { id: string }[] }).issuers
  const body = new URLSearchParams({ issuer: issuer?.id ?? '', username: 'anna', password: PASSWORD, back: '' })
  const origin = new URL(provider.address).origin
  const entered = await fetch(`${origin}/.sealift/login/password`, {
    method: 'POST',
    body,
    redirect: 'manual',
    headers: { origin },
  })
  const cookie =
    entered.headers
      .getSetCookie()
      .find(each => each.startsWith('sealift-session='))
      ?.split(';')[0] ?? ''
  line("the page's form gives a session", entered.status === 303 && cookie !== '')
  line('the session reads', (await read({ cookie })) === CONTENT)
  await slapd.close()
  line('with the directory gone nobody new gets in', (await read(basic('bert', 'x'))) === '503 SlowDown')
  await provider.command('issuer', 'remove', 'ldap')
  line('a service that is not trusted any more proves nothing', (await read({ cookie })) === '401 InvalidToken')
} finally {
  await provider.close()
  await service.close()
  await slapd.close()
  rmSync(scratch, { recursive: true, force: true })
}
process.exitCode = failed === 0 ? 0 : 1
