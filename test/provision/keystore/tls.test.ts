// timeout: 90s, test 45s
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { connect, createServer } from 'node:tls'
import { X509CertificateGenerator } from '@peculiar/x509'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ADMINISTRATION_CALLS } from '../../../format/administration.ts'
import { type DeviceId, type JobId, newId } from '../../../format/bytes.ts'
import { LOGIN_CALLS, LoginError } from '../../../format/login.ts'
import { KEYSTORE_PROTOCOLS, type KeystoreContract, processName } from '../../../format/process-certificate.ts'
import { type KeyRelease, ReleaseError } from '../../../format/release.ts'
import { RELEASE_CALLS } from '../../../format/release-calls.ts'
import { issueCertificate } from '../../../hsm/certificate.ts'
import { pem } from '../../../hsm/pem.ts'
import { newSoftwareKey } from '../../../hsm/software-key.ts'
import { MAY, serveTls } from '../../../provision/keystore/calls/tls-server.ts'
import { TOKEN_KEYS } from '../../../provision/keystore/keys/token-keys.ts'
import { openLogin } from '../../../provision/login-client.ts'
import { openRelease } from '../../../provision/release-client.ts'
import type { RemoteEndpoint } from '../../../provision/socket-client.ts'
import { ask, type Service, serve } from '../../quickstart/commands.ts'
import { s3Client } from '../../s3-client.ts'
import { authorityFixture } from './authority-fixture.ts'

const test = suite('the keystore over TLS')
const fixture = await authorityFixture()
const { authority, clock } = fixture
const faultOf = (error: unknown) =>
  error instanceof ReleaseError || error instanceof LoginError
    ? { fault: error.fault, message: error.message }
    : { fault: 'unavailable', message: String(error) }
const refused: string[] = []
const server = await serveTls({
  host: '127.0.0.1',
  port: 0,
  processes: authority.processes,
  served: {
    release: {
      calls: RELEASE_CALLS,
      contract: authority.release,
      faultOf,
      refusal: message => new ReleaseError('denied', message),
    },
    login: {
      calls: LOGIN_CALLS,
      contract: authority.login,
      faultOf,
      refusal: message => new LoginError('refused', message),
    },
    administration: {
      calls: ADMINISTRATION_CALLS,
      contract: authority.administration,
      faultOf,
      refusal: message => new ReleaseError('denied', message),
    },
  },
  clock: () => clock.now,
  onRefused: (_, message) => void refused.push(message),
})
const port = Number(new URL(server.address).port)
const ca = pem('CERTIFICATE', await authority.administration.caCertificate())

type Own = { certificate: string; key: string }
const at = (own: Own, contract: KeystoreContract = 'release', authorityPem = ca): RemoteEndpoint => ({
  ...{ host: '127.0.0.1', port, authority: authorityPem, protocol: KEYSTORE_PROTOCOLS[contract] },
  ...own,
})

async function issued(role: 'hosted' | 'intake', name: string): Promise<Own & { serial: string }> {
  const { key, request } = await newSoftwareKey(processName(role, name))
  const { certificate } = await authority.administration.issueProcessCertificate(role, name, request)
  const all = await authority.administration.listProcessCertificates()
  const serial = all.find(each => each.name === name)?.serial ?? ''
  return { key, certificate: pem('CERTIFICATE', certificate), serial }
}

/** What a release call over a new connection fails with; 'none': it does not. */
async function refusal(
  endpoint: RemoteEndpoint,
  call: (on: KeyRelease) => Promise<unknown> = on => on.names([]),
): Promise<string> {
  const release = openRelease(endpoint)
  try {
    await call(release)
    return 'none'
  } catch (error) {
    assert.instance(error, ReleaseError)
    return `${(error as ReleaseError).fault}: ${(error as ReleaseError).message}`
  } finally {
    release.close()
  }
}

/** A certificate of nobody we know. */
async function foreign(): Promise<Own> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [processName('hosted', 'hosted-1')] }],
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    signingAlgorithm: algorithm,
    keys,
  })
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey))
  return { certificate: certificate.toString('pem'), key: pem('PRIVATE KEY', pkcs8) }
}

const hosted = await issued('hosted', 'hosted-1')
const intake = await issued('intake', 'intake-1')

test.after(async () => {
  await server.close()
  await server.close()
  await fixture.remove()
})

test('a process is let in by its certificate, and asks what its role may ask', async () => {
  assert.is(await refusal(at(hosted)), 'none')
  const login = openLogin(at(hosted, 'login'))
  assert.equal(await login.origins(), [])
  login.close()
  // answered, though there is no such station
  const record = { job: newId<JobId>(), device: newId<DeviceId>() }
  assert.not.match(
    await refusal(at(intake), on => on.job({ station: 'none', secret: Buffer.alloc(32), ...record })),
    /may not call/,
  )
})

test('a call of another role is refused by name, whatever the caller holds', async () => {
  assert.is(await refusal(at(intake)), 'denied: role intake may not call names')
  assert.match(await refusal(at(intake, 'login')), /role intake has no business with login/)
  assert.match(await refusal(at(hosted, 'administration')), /role hosted has no business with administration/)
})

test('who shows no certificate, or one of another CA, is refused by name', async () => {
  assert.match(await refusal(at(await foreign())), /refuses this process: .*(issuer|authority)/)
  const socket = connect({
    host: '127.0.0.1',
    port,
    ca,
    ALPNProtocols: ['sealift-release'],
    checkServerIdentity: () => undefined,
  })
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk)
  assert.match(Buffer.concat(chunks).toString('latin1'), /certificate: none was shown/)
  assert.match(refused.join('\n'), /none was shown/)
})

test('a certificate of the same CA that is of no process, such as a device’s, is refused', async () => {
  const { key, request } = await newSoftwareKey(processName('hosted', 'made-elsewhere'))
  const now = Date.now()
  const validity = { notBefore: new Date(now - 1000), notAfter: new Date(now + 3_600_000) }
  const caDer = await authority.administration.caCertificate()
  const certificate = await issueCertificate(fixture.token, TOKEN_KEYS.ca, caDer, request, validity)
  assert.match(
    await refusal(at({ key, certificate: pem('CERTIFICATE', certificate) })),
    /is of no process of the provider/,
  )
})

test('nothing below TLS 1.3 is spoken', async () => {
  const { key, certificate: cert } = hosted
  const socket = connect({
    host: '127.0.0.1',
    port,
    ca,
    key,
    cert,
    maxVersion: 'TLSv1.2',
    checkServerIdentity: () => undefined,
  })
  const [error] = await once(socket, 'error').catch(cause => [cause])
  assert.match(String(error), /protocol version|unsupported/i)
})

test('a keystore of another CA, or a process that says it is the keystore, is not believed', async () => {
  const other = await foreign()
  assert.match(
    await refusal(at(hosted, 'release', other.certificate)),
    /unavailable: the keystore is not there: .*certificate/,
  )
  const liar = createServer({ key: intake.key, cert: intake.certificate, ALPNProtocols: ['sealift-release'] })
  liar.listen(0, '127.0.0.1')
  await once(liar, 'listening')
  try {
    const { port: theirs } = liar.address() as { port: number }
    assert.match(await refusal({ ...at(hosted), port: theirs }), /is not the keystore, but "sealift intake intake-1"/)
  } finally {
    liar.close()
  }
})

test('a revoked certificate lets nobody in, and puts out who is in', async () => {
  const own = await issued('hosted', 'hosted-2')
  const release = openRelease(at(own))
  assert.equal(await release.names([]), [])
  await authority.administration.revokeProcessCertificate(own.serial)
  await delay(100)
  const error = await release.names([]).catch((cause: Error) => cause.message)
  assert.match(String(error), /certificate: it was revoked/)
  release.close()
  assert.match(await refusal(at(own)), /certificate: it was revoked/)
  assert.is(await refusal(at(hosted)), 'none', 'others stay')
})

test('an expired certificate lets nobody in, and puts out who is in', async () => {
  const release = openRelease(at(hosted))
  assert.equal(await release.names([]), [])
  clock.now += 3 * 365 * 86_400_000
  try {
    await delay(1500)
    const error = await release.names([]).catch((cause: Error) => cause.message)
    assert.match(String(error), /valid from .* to|has expired/)
    assert.match(await refusal(at(hosted)), /valid from .* to/)
  } finally {
    release.close()
    clock.now -= 3 * 365 * 86_400_000
  }
})

test('every call of the store and the station is of some role', () => {
  const given = Object.values(MAY).flatMap(each => each.release ?? [])
  assert.equal(
    Object.keys(RELEASE_CALLS).filter(name => !given.includes(name)),
    [],
  )
})

test('requests for certificates are what they say: another name or role, or no request, is refused', async () => {
  const { request } = await newSoftwareKey(processName('intake', 'a'))
  for (const [role, name, bytes] of [
    ['hosted', 'a', request],
    ['intake', 'b', request],
    ['intake', 'A b', request],
    ['intake', 'a', request.subarray(1)],
  ] as const) {
    const error = await authority.administration
      .issueProcessCertificate(role, name, bytes)
      .catch((cause: Error) => cause)
    assert.instance(error, Error, `${role} ${name}`)
  }
})

test('with real processes: a hosted store whose keystore is reached by TLS alone', async () => {
  const root = mkdtempSync(join(tmpdir(), 'sealift-tls-'))
  const provider = <T>(...args: string[]): Promise<T> => ask<T>('sealift-provider', ['--state', root, ...args])
  const services: Service<{ keystore?: { keys: string }; roles: { address: string }[] }>[] = []
  try {
    await provider('init')
    const start = async (...args: string[]) => {
      const service = await serve<(typeof services)[number]['ready']>('sealift-provider', args)
      services.push(service)
      return service.ready
    }
    const { keystore } = await start('--state', root, 'serve', '--role', 'keystore', '--listen-keys', '127.0.0.1:0')
    const own = join(root, 'certificates')
    await provider('keystore', 'certificate', 'issue', 'hosted-1', '--role', 'hosted', '--output', own)
    const tls = ['--keystore', keystore?.keys ?? '', '--keystore-ca', join(own, 'keystore-ca.pem')]
    const certificate = ['--certificate', join(own, 'hosted-1.crt'), '--key-file', join(own, 'hosted-1.key')]
    const elsewhere = ['--state', join(root, 'elsewhere'), 'serve', '--role', 'hosted', '--listen', '127.0.0.1:0']
    const { roles } = await start(...elsewhere, ...tls, ...certificate)
    await provider('account', 'create', 'acme')
    const made = await provider<{ accessKey: string; secret: string }>('access-key', 'create', 'acme')
    const s3 = s3Client(roles[0]?.address ?? '', { accessKey: made.accessKey, secretKey: made.secret })
    try {
      assert.is((await s3.send('PUT', '/films')).status, 200)
      assert.is((await s3.put('films', 'one', 'content')).status, 200)
      assert.is((await s3.get('films', 'one')).body.toString(), 'content')
      const { certificates } = await provider<{ certificates: { serial: string }[] }>('keystore', 'certificate', 'list')
      await provider('keystore', 'certificate', 'revoke', certificates[0]?.serial ?? '')
      assert.is((await s3.get('films', 'one')).status, 503)
    } finally {
      s3.close()
    }
  } finally {
    for (const service of services.toReversed()) await service.stop()
    rmSync(root, { recursive: true, force: true })
  }
})

test.run()
