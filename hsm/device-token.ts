import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { type DeviceId, newId } from '../format/bytes.ts'
import { signDeviceRequest } from '../format/device-request.ts'
import { tokenPin } from '../format/unlock-code.ts'
import { createRequest } from './csr.ts'
import {
  initialiseToken,
  openPkcs11Token,
  type Pkcs11Token,
  type Pkcs11TokenConfig,
  TOKEN_TIMEOUTS,
} from './pkcs11-token.ts'
import type { Pkcs11Uri } from './pkcs11-uri.ts'
import { newSoftHsmPin, prepareSoftHsm, softHsmModule } from './softhsm.ts'
import { TokenError, type TokenProfile } from './token.ts'
import { signTokenProfile, verifyTokenProfile } from './token-profile.ts'

/** Keys of a device's token. */
export const DEVICE_KEYS = { identity: 'sealift-identity', transport: 'sealift-transport' } as const

const LABEL = 'sealift-device'
const SHARE_BYTES = 32
const FILE = {
  operations: 'operations',
  share: 'device-share',
  profile: 'token-profile',
  request: 'device-request',
  softHsm: 'softhsm',
} as const

/**
 * Where a device's token is: SoftHSM in the state directory (the default), or any module by its URI, whose PIN is then the
 * operator's (`pin-source`) and not derived.
 */
export type DeviceTokenPlace = { directory: string; uri?: Pkcs11Uri }

/**
 * Makes the token's keys once, and the request by which the provider certifies them. Doing it again gives the same request.
 *
 * @returns the device request's bytes
 * @throws TokenError "absent" | "configuration" | "unsupported"
 */
export async function prepareDeviceToken(place: DeviceTokenPlace): Promise<Buffer> {
  const path = join(place.directory, FILE.request)
  if (existsSync(path)) return readFileSync(path)
  mkdirSync(place.directory, { recursive: true, mode: 0o700 })
  chmodSync(place.directory, 0o700)
  if (place.uri === undefined && !existsSync(join(place.directory, FILE.share)))
    await initialiseSoftHsm(place.directory)
  const token = await openPkcs11Token({ ...config(place, firstPin(place)), enrolment: 'opening' })
  try {
    const identity = (await token.publicKey(DEVICE_KEYS.identity)) ?? (await token.makeSigningKey(DEVICE_KEYS.identity))
    const suite = token.profile.suites.some(each => each.suite === 0x0010 && each.outcome === 'passed')
      ? 0x0010
      : 0x0020
    const transport =
      (await token.publicKey(DEVICE_KEYS.transport)) ?? (await token.makeOpeningKey(DEVICE_KEYS.transport, suite))
    const device = newId<DeviceId>()
    const profile = await signTokenProfile(token, DEVICE_KEYS.identity)
    const csr = await createRequest(token, DEVICE_KEYS.identity, device)
    const sign = (message: Uint8Array): Promise<Buffer> => token.sign(DEVICE_KEYS.identity, message)
    const request = await signDeviceRequest(
      { device, csr, identity: identity.spki, transport: { suite, spki: transport.spki }, profile },
      sign,
    )
    writeFileSync(join(place.directory, FILE.profile), profile, { mode: 0o600 })
    // keys, share and profile before the request, which says that they are there: SoftHSM itself syncs nothing
    syncTree(place.directory)
    // commit point: with its request the token is ready
    writeFileSync(path, request, { mode: 0o600, flush: true })
    syncTree(place.directory)
    return request
  } finally {
    addOperations(place.directory, token.operations)
    await token.close()
  }
}

/** Everything below a directory, and its own name, on stable storage: a token that a power cut took back cannot be made again. */
function syncTree(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true }))
    if (entry.isFile() || entry.isDirectory()) syncOne(join(entry.parentPath, entry.name))
  syncOne(directory)
  syncOne(dirname(directory))
}

function syncOne(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** Where a device keeps its token and what belongs to it. */
export function deviceTokenDirectory(stateDirectory: string): string {
  return join(stateDirectory, 'token')
}

/** Token calls that used a key or the random generator, over all processes that ended in order. */
export function readOperations(directory: string): number {
  const path = join(directory, FILE.operations)
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) : 0
}

export function addOperations(directory: string, operations: number): void {
  writeFileSync(join(directory, FILE.operations), `${readOperations(directory) + operations}\n`, { mode: 0o600 })
}

async function initialiseSoftHsm(directory: string): Promise<void> {
  const environment = prepareSoftHsm(join(directory, FILE.softHsm))
  const share = randomBytes(SHARE_BYTES)
  const user = Buffer.from(tokenPin(Buffer.alloc(0), share, Buffer.alloc(0)))
  // the security officer's PIN is thrown away: a SoftHSM token is made anew, never reset
  const pins = { securityOfficer: newSoftHsmPin(), user }
  await initialiseToken({ environment, ...TOKEN_TIMEOUTS, modulePath: softHsmModule(), label: LABEL }, pins)
  writeFileSync(join(directory, FILE.share), share, { mode: 0o600 })
}

/** The device's half of the PIN. @throws TokenError "absent" - this device was never prepared */
export function readDeviceShare(directory: string): Buffer {
  try {
    return readFileSync(join(directory, FILE.share))
  } catch (cause) {
    throw new TokenError(
      'absent',
      `${directory} holds no token: run \`sealift identity request\`, or have the provider prepare this device`,
      { cause },
    )
  }
}

function firstPin(place: DeviceTokenPlace): Buffer | null {
  return place.uri === undefined
    ? Buffer.from(tokenPin(Buffer.alloc(0), readDeviceShare(place.directory), Buffer.alloc(0)))
    : null
}

function config(place: DeviceTokenPlace, pin: Buffer | null): Pkcs11TokenConfig {
  if (place.uri !== undefined) return { uri: place.uri, environment: {}, ...TOKEN_TIMEOUTS }
  const uri = { token: LABEL, modulePath: softHsmModule() }
  return {
    uri,
    environment: prepareSoftHsm(join(place.directory, FILE.softHsm)),
    ...TOKEN_TIMEOUTS,
    ...(pin !== null && { pin }),
  }
}

function storedProfile(directory: string): TokenProfile {
  return verifyTokenProfile(readFileSync(join(directory, FILE.profile))).profile
}

/**
 * Opens a prepared token with the PIN that a grant share and the device's share make. The first grant finds the token with the PIN of
 * the device's share alone and changes it.
 *
 * @param salt - the grant's id, 16 bytes
 * @throws TokenError "locked" - neither PIN fits
 */
export async function openDeviceToken(
  place: DeviceTokenPlace,
  grantShare: Uint8Array,
  salt: Uint8Array,
  earlier: { share: Uint8Array; salt: Uint8Array } | null,
): Promise<Pkcs11Token> {
  const profile = storedProfile(place.directory)
  if (place.uri !== undefined) return openPkcs11Token({ ...config(place, null), profile })
  const deviceShare = readDeviceShare(place.directory)
  const wanted = Buffer.from(tokenPin(grantShare, deviceShare, salt))
  const fallback = earlier ?? { share: Buffer.alloc(0), salt: Buffer.alloc(0) }
  try {
    return await openPkcs11Token({ ...config(place, wanted), profile })
  } catch (error) {
    if (!(error instanceof TokenError) || error.fault !== 'locked') throw error
  }
  const token = await openPkcs11Token({
    ...config(place, Buffer.from(tokenPin(fallback.share, deviceShare, fallback.salt))),
    profile,
  })
  try {
    await token.changePin(wanted)
    syncTree(place.directory)
    return token
  } catch (error) {
    await token.close()
    throw error
  }
}
