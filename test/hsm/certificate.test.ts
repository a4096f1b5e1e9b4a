import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createAuthority, issueCertificate, type Validity, verifyCertificate } from '../../hsm/certificate.ts'
import { createRequest, readRequest } from '../../hsm/csr.ts'
import { openMemoryToken } from '../../hsm/memory-token.ts'
import type { Token } from '../../hsm/token.ts'
import { softHsmToken } from './softhsm-fixture.ts'
import { faultOf } from './token-contract.ts'

const test = suite('certificates and requests')
const DAY = 86_400_000
const NOW = new Date('2026-11-22T12:00:00Z')
const TEN_YEARS: Validity = { notBefore: new Date(NOW.getTime() - DAY), notAfter: new Date(NOW.getTime() + 3650 * DAY) }
const ONE_YEAR: Validity = { notBefore: NOW, notAfter: new Date(NOW.getTime() + 365 * DAY) }

const KINDS: [string, () => Promise<{ token: Token; remove(): Promise<void> }>][] = [
  [
    'memory',
    async () => {
      const token = openMemoryToken({ label: 'ca' })
      return { token, remove: () => token.close() }
    },
  ],
  ['SoftHSM', () => softHsmToken('ca')],
]

for (const [name, open] of KINDS) {
  test(`${name}: a request made in the token gets a certificate that verifies, here and by openssl`, async () => {
    const { token, remove } = await open()
    const device = openMemoryToken({ label: 'device' })
    try {
      const key = await token.makeSigningKey('device identity')
      await token.makeSigningKey('authority')
      const request = await createRequest(token, 'device identity', 'device, "one" + ü')
      assert.equal(await readRequest(request), { commonName: 'device, "one" + ü', spki: key.spki })
      const root = await createAuthority(token, 'authority', 'Sealift test authority', TEN_YEARS)
      const issued = await issueCertificate(token, 'authority', root, request, ONE_YEAR)
      const verified = await verifyCertificate(issued, root, NOW)
      assert.is(verified.commonName, 'device, "one" + ü')
      assert.equal(verified.spki, key.spki)
      assert.equal([verified.notBefore, verified.notAfter], [ONE_YEAR.notBefore, ONE_YEAR.notAfter])
      opensslVerifies(root, issued)
    } finally {
      await device.close()
      await remove()
    }
  })
}

test('a certificate is refused before, after, under another authority, changed, or as its own issuer', async () => {
  const token = openMemoryToken({ label: 'ca' })
  await token.makeSigningKey('identity')
  await token.makeSigningKey('authority')
  await token.makeSigningKey('other')
  const request = await createRequest(token, 'identity', 'device')
  const root = await createAuthority(token, 'authority', 'same name', TEN_YEARS)
  const other = await createAuthority(token, 'other', 'same name', TEN_YEARS)
  const issued = await issueCertificate(token, 'authority', root, request, ONE_YEAR)
  const verify = (certificate: Buffer, authority: Buffer, at: number) =>
    faultOf(verifyCertificate(certificate, authority, new Date(at)))
  const [from, to] = [ONE_YEAR.notBefore.getTime(), ONE_YEAR.notAfter.getTime()]
  assert.is(await verify(issued, root, from - 1000), 'refused')
  assert.is(await verify(issued, root, from), null)
  assert.is(await verify(issued, root, to), null)
  assert.is(await verify(issued, root, to + 1000), 'refused')
  assert.is(await verify(issued, root, Number.NaN), 'refused')
  assert.is(await verify(issued, other, from), 'refused')
  assert.is(await verify(root, root, from), 'refused')
  assert.is(await verify(issued, issued, from), 'refused')
  assert.is(await verify(Buffer.concat([issued, Buffer.of(0)]), root, from), 'refused')
  assert.is(await verify(Buffer.alloc(0), root, from), 'refused')
  assert.is(await verify(Buffer.alloc(9000), root, from), 'refused')
  for (let at = 0; at < issued.length; at += 7) {
    const changed = Buffer.from(issued)
    changed[at] = (changed[at] ?? 0) ^ 1
    assert.is(await verify(changed, root, from), 'refused', `byte ${at}`)
  }
  assert.not.equal(new X509Certificate(issued).serialNumber, new X509Certificate(root).serialNumber)
  await token.close()
})

test('a request that is changed, or for a key that its maker has not got, is refused', async () => {
  const token = openMemoryToken({ label: 'device' })
  await token.makeSigningKey('identity')
  const stranger = await token.makeSigningKey('stranger')
  const request = await createRequest(token, 'identity', 'device')
  const own = await token.publicKey('identity')
  const at = request.indexOf(own?.spki ?? Buffer.of(0))
  assert.ok(at > 0)
  const swapped = Buffer.from(request)
  stranger.spki.copy(swapped, at)
  assert.is(await faultOf(readRequest(swapped)), 'refused')
  for (let byte = 0; byte < request.length; byte += 5) {
    const changed = Buffer.from(request)
    changed[byte] = (changed[byte] ?? 0) ^ 1
    assert.is(await faultOf(readRequest(changed)), 'refused', `byte ${byte}`)
  }
  assert.is(await faultOf(readRequest(Buffer.alloc(9000))), 'refused')
  await token.close()
})

test('a request and an authority need a signing key, a name and a validity', async () => {
  const token = openMemoryToken({ label: 'device' })
  await token.makeOpeningKey('opening', 0x0010)
  await token.makeSigningKey('identity')
  assert.is(await faultOf(createRequest(token, 'nobody', 'device')), 'no-key')
  assert.is(await faultOf(createRequest(token, 'opening', 'device')), 'no-key')
  for (const name of ['', 'x'.repeat(65), 'a\nb'])
    assert.is(await faultOf(createRequest(token, 'identity', name)), 'configuration')
  assert.is(await faultOf(createAuthority(token, 'identity', 'a', { notBefore: NOW, notAfter: NOW })), 'configuration')
  const root = await createAuthority(token, 'identity', 'a', ONE_YEAR)
  const request = await createRequest(token, 'identity', 'device')
  assert.is(
    await faultOf(issueCertificate(token, 'identity', root, request, TEN_YEARS)),
    'refused',
    'outlives its root',
  )
  await token.makeSigningKey('other')
  assert.is(await faultOf(issueCertificate(token, 'other', root, request, ONE_YEAR)), 'refused', 'not its root')
  await token.close()
})

function opensslVerifies(root: Buffer, issued: Buffer): void {
  const directory = mkdtempSync(join(tmpdir(), 'sealift-certificate-'))
  try {
    const [ca, device] = [root, issued].map((der, n) => {
      const path = join(directory, `${n}.pem`)
      writeFileSync(path, new X509Certificate(der).toString())
      return path
    })
    const at = String(NOW.getTime() / 1000)
    const out = execFileSync('openssl', ['verify', '-x509_strict', '-attime', at, '-CAfile', ca ?? '', device ?? ''])
    assert.match(out.toString(), /: OK/)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

test.run()
