/** A device as a provider hands it over: a SoftHSM token, a certified identity, a drive with a grant, and the unlock code. */
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DriveId, type GrantId, type JobId, newId } from '../../format/bytes.ts'
import { readDeviceRequest } from '../../format/device-request.ts'
import { type Grant, type JobMode, sealGrantFile, signGrant } from '../../format/grant.ts'
import { newUnlockCode, readUnlockCode } from '../../format/unlock-code.ts'
import { createAuthority, issueCertificate } from '../../hsm/certificate.ts'
import { createRequest } from '../../hsm/csr.ts'
import { deviceTokenDirectory, prepareDeviceToken } from '../../hsm/device-token.ts'
import { openMemoryToken } from '../../hsm/memory-token.ts'
import type { Pkcs11Uri } from '../../hsm/pkcs11-uri.ts'
import type { Token } from '../../hsm/token.ts'
import { createDrive } from '../../store/pack/drive.ts'

export type Prepared = {
  root: string
  state: string
  drive: string
  code: string
  job: JobId
  /** the provider's token: holds `import` and `ca` */
  provider: Token
  importKey: string
  grant: Grant
  /** what its commands and agents find in their environment, besides PATH */
  environment: Record<string, string>
  /** agents that run on it; `remove` ends those that a failed test left */
  running: Set<ChildProcess>
  remove(): Promise<void>
}

const DAY_MS = 86_400_000

export async function prepareDevice(
  options: {
    mode?: JobMode
    limits?: Partial<Grant['epochLimits']>
    readBack?: Grant['readBack']
    namesAfterSeal?: Grant['namesAfterSeal']
    expiresAt?: number
    buckets?: string[]
    /** initialised, for the device's keys; otherwise SoftHSM in its state directory */
    token?: Pkcs11Uri
    /** where to make it */
    directory?: string
    /** the drive's directory, when it is not to lie beside the state directory */
    drive?: string
  } = {},
): Promise<Prepared> {
  const root = mkdtempSync(join(options.directory ?? tmpdir(), 'sealift-agent-'))
  const state = join(root, 'state')
  mkdirSync(state, { mode: 0o700 })
  const place = { directory: deviceTokenDirectory(state), ...(options.token && { uri: options.token }) }
  const request = readDeviceRequest(await prepareDeviceToken(place))
  const provider = openMemoryToken({ label: 'provider' })
  const now = Date.now()
  const validity = { notBefore: new Date(now - DAY_MS), notAfter: new Date(now + 365 * DAY_MS) }
  await provider.makeSigningKey('ca')
  const ca = await createAuthority(provider, 'ca', 'Test CA', validity)
  await provider.makeSigningKey('grants')
  const signerCertificate = await issueCertificate(
    provider,
    'ca',
    ca,
    await createRequest(provider, 'grants', 'grants'),
    validity,
  )
  const deviceCertificate = await issueCertificate(provider, 'ca', ca, request.csr, validity)
  const importPublic = await provider.makeOpeningKey('import', 0x0010)
  const job = newId<JobId>()
  const grant: Grant = {
    id: newId<GrantId>(),
    job,
    device: request.device,
    account: 'acme',
    mode: options.mode ?? 'write-only',
    buckets: options.buckets ?? ['photos', 'b'],
    issuedAt: now,
    expiresAt: options.expiresAt ?? now + 30 * DAY_MS,
    counter: 1,
    deviceCertificate,
    signerCertificate,
    caCertificate: ca,
    recipients: [{ suite: 0x0010, spki: importPublic.spki }],
    floor: [0x0010, 0x0020],
    epochLimits: { objects: 10_000, bytes: 2 ** 38, seconds: 600, idleSeconds: 60, ...options.limits },
    digest: 'fast',
    readBack: options.readBack ?? 'sample',
    namesAfterSeal: options.namesAfterSeal ?? 'kept',
    returnAddress: 'The provider, Dock 1',
  }
  const signed = await signGrant(grant, message => provider.sign('grants', message))
  const code = newUnlockCode()
  const drive = options.drive ?? join(root, 'drive')
  const volume = {
    format: 1 as const,
    job,
    device: request.device,
    drive: newId<DriveId>(),
    number: 1,
    createdAt: new Date(now).toISOString(),
  }
  await createDrive(
    drive,
    volume,
    sealGrantFile(signed, grant.id, readUnlockCode(code), randomBytes(32)),
    'A drive of a test.\n',
  )
  const running = new Set<ChildProcess>()
  return {
    root,
    state,
    drive,
    code,
    job,
    provider,
    importKey: 'import',
    grant,
    environment: {},
    running,
    async remove() {
      for (const child of running) child.kill('SIGKILL')
      await provider.close()
      rmSync(root, { recursive: true, force: true })
    },
  }
}
