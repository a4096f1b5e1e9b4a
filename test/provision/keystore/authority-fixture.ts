/** An authority on a memory token, and a device that seals for it as a real one does. */
import { hash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { USUAL_DECISION } from '../../../access/acl/decide.ts'
import type { WireHeader } from '../../../access/canonical.ts'
import { parseProof } from '../../../access/proof.ts'
import { type Credentials, signRequest } from '../../../access/sign.ts'
import { type Administration, DEFAULT_EPOCH_LIMITS, type JobRequest } from '../../../format/administration.ts'
import { BodySealer } from '../../../format/body.ts'
import { type DeviceId, type EpochId, type JobId, newId, type ObjectId } from '../../../format/bytes.ts'
import { coreHeaderHash } from '../../../format/core-header.ts'
import { signDeviceRequest } from '../../../format/device-request.ts'
import { SHA_256 } from '../../../format/digest.ts'
import {
  COMPOSITE,
  type CompositePart,
  compositeHeaderHash,
  EPOCH_KEK,
  encodeParts,
  OBJECT,
  PART,
  sealEnvelope,
} from '../../../format/envelope.ts'
import { deriveEpochKeys, type EpochKeys } from '../../../format/epoch-key.ts'
import { type Grant, grantHash, parseGrantFile, peekGrant } from '../../../format/grant.ts'
import { makeKeyRecord } from '../../../format/key-record.ts'
import { encodeMetadata, sealMetadata } from '../../../format/metadata.ts'
import type { KeyRelease, ObjectPlace, StationProof, StoredObject } from '../../../format/release.ts'
import { encodeProof } from '../../../format/request-proof.ts'
import { keyId, sealTo } from '../../../format/wrap-suite.ts'
import { createRequest } from '../../../hsm/csr.ts'
import { openMemoryToken } from '../../../hsm/memory-token.ts'
import type { Token } from '../../../hsm/token.ts'
import { signTokenProfile } from '../../../hsm/token-profile.ts'
import { type Authority, initialiseAuthority, openAuthority } from '../../../provision/keystore/authority.ts'

export type AuthorityFixture = {
  authority: Authority
  token: Token
  directory: string
  clock: { now: number }
  /** closes and opens it again on the same files and token */
  reopen(): Promise<Authority>
  remove(): Promise<void>
}

export async function authorityFixture(decision = USUAL_DECISION): Promise<AuthorityFixture> {
  const directory = mkdtempSync(join(tmpdir(), 'sealift-authority-'))
  const token = openMemoryToken({ label: 'provider' })
  const clock = { now: Date.now() }
  const config = {
    databasePath: join(directory, 'keystore.sqlite'),
    token,
    virtualHostSuffix: 's3.test',
    decision,
    clock: () => clock.now,
    tokenProcessId: () => null,
  }
  await initialiseAuthority(config, 'Test provider')
  const fixture = {
    authority: await openAuthority(config),
    token,
    directory,
    clock,
    async reopen() {
      await fixture.authority.close()
      fixture.authority = await openAuthority(config)
      return fixture.authority
    },
    async remove() {
      await fixture.authority.close()
      await token.close()
      rmSync(directory, { recursive: true })
    },
  }
  return fixture
}

export function jobRequest(account: string, more: Partial<JobRequest> = {}): JobRequest {
  const kind = { mode: 'write-only', acl: 'private', aclMode: 'copy', deletes: 'ignore', versions: 'latest' } as const
  return { account, buckets: ['photos'], ...kind, limits: DEFAULT_EPOCH_LIMITS, ...more }
}

export async function member(administration: Administration, name: string): Promise<{ id: string } & Credentials> {
  const account = await administration.createAccount(name)
  const { accessKey, secret } = await administration.createAccessKey(account.id, 'main')
  return { id: account.id, accessKey, secretKey: secret }
}

export const encodedPath = (place: { bucket: string; key: string }) =>
  `/${place.bucket}/${place.key.split('/').map(encodeURIComponent).join('/')}`

/** A request as a client signs it, in bytes as the public store hands it over. */
export function proofOf(
  who: Credentials,
  method: string,
  place: { bucket: string; key: string },
  options: { query?: string; headers?: WireHeader[]; at?: number; host?: string; path?: string } = {},
): Buffer {
  const head = {
    method,
    rawPath: options.path ?? encodedPath(place),
    rawQuery: options.query ?? '',
    headers: [['host', options.host ?? 'localhost:9200'], ...(options.headers ?? [])] as WireHeader[],
  }
  const time = new Date(options.at ?? Date.now())
  const proof = parseProof(signRequest(head, who, { region: 'eu', time, payload: 'UNSIGNED-PAYLOAD' }))
  if (proof === null) throw new Error('no proof')
  return encodeProof(proof)
}

export type Sealed = { stored: StoredObject; objectKey: Buffer; line: CompositePart }

/** What every object of a test device has sealed in its envelope. */
export const METADATA = encodeMetadata({ bucket: 'b', key: 'k', modifiedAt: 1, etag: '', headers: {}, user: {} })

/** A device of one job: its token, its grant, one epoch. */
export type TestDevice = {
  device: DeviceId
  job: JobId
  grant: Grant
  unlockCode: string
  keyRecord: Buffer
  epoch: EpochId
  keys: EpochKeys
  seal(bucket: string, key: string, plain: Buffer, part?: ObjectPlace['part']): Sealed
  composite(bucket: string, key: string, parts: Sealed[]): Sealed
  /** a further epoch's record, with whatever is to be wrong */
  record(changes?: {
    job?: JobId
    device?: DeviceId
    grantHash?: Buffer
    epoch?: EpochId
    key?: Buffer
    sealed?: Buffer
  }): Promise<Buffer>
}

export async function deviceRequest(token: Token, device: DeviceId): Promise<Buffer> {
  const identity = await token.makeSigningKey('identity')
  const transport = await token.makeOpeningKey('transport', 0x0010)
  const profile = await signTokenProfile(token, 'identity')
  const csr = await createRequest(token, 'identity', device)
  const request = { device, csr, identity: identity.spki, transport: { suite: 0x0010, spki: transport.spki }, profile }
  return signDeviceRequest({ ...request, transport: { suite: 0x0010, spki: transport.spki } }, message =>
    token.sign('identity', message),
  )
}

export async function testDevice(administration: Administration, job: JobId): Promise<TestDevice> {
  const token = openMemoryToken({ label: 'device' })
  const device = newId<DeviceId>()
  const request = await deviceRequest(token, device)
  const prepared = await administration.prepareDevice({ job, request, returnAddress: 'Dock 1', grantDays: 30 })
  const { signed } = parseGrantFile(prepared.grantFile)
  const grant = peekGrant(signed)
  const epochKey = randomBytes(32)
  const epoch = newId<EpochId>()
  const keys = deriveEpochKeys(epochKey)
  const recipients = grant.recipients.map(each => ({
    suite: each.suite,
    keyId: keyId(each.spki),
    seal: async (secret: Uint8Array, context: Parameters<typeof sealTo>[2]) => sealTo(each, secret, context),
  }))
  const record: TestDevice['record'] = (changes = {}) => {
    const head = { epoch, job, device, grantHash: grantHash(signed), createdAt: 1, maxObjects: 10, maxBytes: 10 }
    const { key, sealed, ...rest } = changes
    const to = recipients.map(each => ({
      ...each,
      seal: (secret: Uint8Array, context: Parameters<typeof sealTo>[2]) => each.seal(sealed ?? secret, context),
    }))
    return makeKeyRecord(key ?? epochKey, { ...head, ...rest }, to, message => token.sign('identity', message))
  }
  const context = (place: ObjectPlace, objectId: ObjectId) => ({ account: grant.account, job, objectId, ...place })
  const common = { kekKind: EPOCH_KEK, kekId: epoch, job } as const
  const storedAs = (envelope: Buffer, coreHeader: Buffer, place: ObjectPlace): StoredObject => {
    return { envelope, coreHeader, account: grant.account, job, place, binding: Buffer.alloc(0) }
  }
  const seal: TestDevice['seal'] = (bucket, key, plain, part) => {
    const objectId = newId<ObjectId>()
    const objectKey = randomBytes(32)
    const sealer = new BodySealer(objectId, objectKey)
    sealer.push(plain)
    const { summary } = sealer.finish()
    const kind = part === undefined ? OBJECT : PART
    const at = { kind, objectId, job, epoch }
    const sealedMetadata = sealMetadata(keys.metadataKey, at, METADATA)
    const place: ObjectPlace = { bucket, key, ...(part && { part }) }
    const fields = { ...common, ...summary, kind, sealedMetadata, parts: [] } as const
    const hashed = coreHeaderHash(sealer.coreHeader)
    const made = sealEnvelope(keys.wrapKey, objectKey, { ...fields, parts: [] }, hashed, context(place, objectId))
    return { stored: storedAs(made, sealer.coreHeader, place), objectKey, line: { ...summary } }
  }
  const composite: TestDevice['composite'] = (bucket, key, parts) => {
    const objectId = newId<ObjectId>()
    const objectKey = randomBytes(32)
    const list = parts.map(each => each.line)
    const digest = hash('sha256', encodeParts(list), 'buffer')
    const plaintextLength = list.reduce((sum, each) => sum + each.plaintextLength, 0)
    const line: CompositePart = { objectId, plaintextLength, bodyLength: 0, digestId: SHA_256, digest }
    const at = { kind: COMPOSITE, objectId, job, epoch }
    const sealedMetadata = sealMetadata(keys.metadataKey, at, METADATA)
    const fields = { ...common, ...line, kind: COMPOSITE, sealedMetadata, parts: list } as const
    const header = compositeHeaderHash(objectId)
    const made = sealEnvelope(keys.wrapKey, objectKey, fields, header, context({ bucket, key }, objectId))
    return { stored: storedAs(made, Buffer.alloc(0), { bucket, key }), objectKey, line }
  }
  const keyRecord = await record()
  const { unlockCode } = prepared
  return { device, job, grant, unlockCode, keyRecord, epoch, keys, seal, composite, record }
}

export async function stationFor(administration: Administration, job: JobId, device: DeviceId): Promise<StationProof> {
  const { station, secret } = await administration.enrolStation(`dock ${randomBytes(3).toString('hex')}`)
  return { station, secret, job, device }
}

/** The fault that a call ends with; "none" when it does not. */
export async function faultOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return 'none'
  } catch (error) {
    if (error instanceof Error && 'fault' in error) return String(error.fault)
    throw error
  }
}

export async function takeIn(
  release: KeyRelease,
  administration: Administration,
  device: TestDevice,
): Promise<StationProof> {
  const station = await stationFor(administration, device.job, device.device)
  await administration.beginIntake(device.job)
  await release.reseal(station, device.keyRecord)
  return station
}
