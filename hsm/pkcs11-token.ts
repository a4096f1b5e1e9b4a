/** A token behind PKCS#11: SoftHSM, TPM 2.0, smart card, HSM. Every call goes through the token process. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import {
  CONTEXT_BYTES_MAX,
  type OpeningSuite,
  type PublicKey,
  SECRET_BYTES,
  type SealContext,
  type SealedSecret,
  type SymmetricSuite,
  type WrapSuite,
} from '../format/wrap-suite.ts'
import { type Enrolment, enrol, type TokenProbe } from './enrol.ts'
import { type Pkcs11Uri, readPin } from './pkcs11-uri.ts'
import type { TokenIdentity } from './process/messages.ts'
import { type SymmetricToken, TokenError, type TokenProfile } from './token.ts'
import { TokenProcess, type TokenProcessConfig } from './token-process.ts'

const RANDOM_BYTES_MAX = 1024
const SEALED_BYTES_MAX = 1024

export type Pkcs11TokenConfig = TokenProcessConfig & {
  /** Needs `modulePath` and what names the token; `pinSource` unless `pin` is given. */
  uri: Pkcs11Uri
  /** UTF-8, without line end; copied. */
  pin?: Uint8Array
  /** Of an earlier enrolment: no self-tests are run, and another token or module than the profile's is refused. */
  profile?: TokenProfile
  /** what an enrolment proves; `all` unless said */
  enrolment?: Enrolment
}

export const TOKEN_TIMEOUTS = { callTimeoutMs: 10_000, generateTimeoutMs: 120_000 } as const

/** A PKCS#11 token: the token process makes it more than the interface says. */
export interface Pkcs11Token extends SymmetricToken {
  /** Process id of the token process; null while it is being started again. */
  readonly processId: number | null
  /**
   * C_SetPIN. Fault `restarting` leaves open which PIN holds: open the token again with the new one, then the old one.
   * @param pin - UTF-8, without line end; copied
   */
  changePin(pin: Uint8Array): Promise<void>
}

/**
 * Starts the token process, logs in and enrols the token (or takes its profile).
 *
 * @throws TokenError "absent" | "locked" | "configuration"
 */
export async function openPkcs11Token(config: Pkcs11TokenConfig): Promise<Pkcs11Token> {
  const { modulePath, pinSource, token, serial, manufacturer, model, slotId } = config.uri
  if (modulePath === undefined) throw new TokenError('configuration', 'PKCS#11 URI: module-path is missing')
  const pin = config.pin === undefined ? pinSource && readPin(pinSource) : Buffer.from(config.pin)
  if (pin === undefined) throw new TokenError('configuration', 'PKCS#11 URI: pin-source is missing')
  requirePin(pin)
  const select = {
    ...(token === undefined ? {} : { token }),
    ...(serial === undefined ? {} : { serial }),
    ...(manufacturer === undefined ? {} : { manufacturer }),
    ...(model === undefined ? {} : { model }),
    ...(slotId === undefined ? {} : { slotId }),
  }
  let found: TokenIdentity | null = null
  const child = new TokenProcess(config, { lines: [pin] }, async ask => {
    const identity = await ask('attach', { module: modulePath, select })
    if (found !== null && found.serial !== identity.serial)
      throw new TokenError('configuration', `token ${found.serial} was exchanged for ${identity.serial}`)
    found = identity
    return identity
  })
  try {
    const moduleDigest = await fileDigest(modulePath)
    await child.start()
    if (found === null) throw new TokenError('absent', 'the token did not say who it is')
    const identity: TokenIdentity = found
    const suites = config.profile?.suites ?? (await enrol(probe(child), config.enrolment))
    const profile = { ...identity, moduleDigest, suites }
    if (config.profile !== undefined) requireSameToken(config.profile, profile)
    return pkcs11Token(child, profile)
  } catch (error) {
    await child.close()
    throw error
  }
}

/**
 * Makes a token on an unused slot: C_InitToken, C_InitPIN. Overwrites nothing.
 *
 * @throws TokenError "exists" - the label is taken; "absent" - no unused slot
 */
export async function initialiseToken(
  config: TokenProcessConfig & { modulePath: string; slotId?: number; label: string },
  pins: { securityOfficer: Uint8Array; user: Uint8Array },
): Promise<TokenIdentity> {
  const lines = [Buffer.from(pins.securityOfficer), Buffer.from(pins.user)]
  for (const line of lines) requirePin(line)
  const request = { module: config.modulePath, slotId: config.slotId ?? null, label: config.label }
  let made: TokenIdentity | null = null
  const child = new TokenProcess(config, { lines }, async ask => {
    made ??= await ask('initialise', request)
    return made
  })
  try {
    await child.start()
    if (made === null) throw new TokenError('absent', 'the token was not made')
    return made
  } finally {
    await child.close()
  }
}

function pkcs11Token(child: TokenProcess, profile: TokenProfile): Pkcs11Token {
  const again = { repeatable: true }
  const once = { repeatable: false }
  const mechanismOf = (suite: WrapSuite) => {
    const entry = profile.suites.find(each => each.suite === suite)
    if (entry?.outcome === 'passed') return entry.mechanism
    const name = `0x${suite.toString(16).padStart(4, '0')}`
    throw new TokenError('unsupported', `suite ${name}: ${entry?.outcome ?? 'not enrolled'} on token ${profile.label}`)
  }
  return {
    profile,
    get operations() {
      return child.operations
    },
    get processId() {
      return child.processId
    },
    makeSigningKey: label =>
      child.ask('makePair', { label: checked(label), purpose: 'ecdsa-p256', lasting: true }, once),
    async makeOpeningKey(label: string, suite: OpeningSuite): Promise<PublicKey> {
      mechanismOf(suite)
      return child.ask('makePair', { label: checked(label), purpose: suite, lasting: true }, once)
    },
    async makeSymmetricKey(label: string, suite: SymmetricSuite): Promise<void> {
      const mechanism = mechanismOf(suite)
      await child.ask('makeSymmetric', { label: checked(label), suite, mechanism }, once)
    },
    publicKey: label => child.ask('publicKey', { label: checked(label) }, again),
    sign(label, message) {
      const digest = createHash('sha256').update(message).digest()
      return child.ask('sign', { label: checked(label), digest }, again)
    },
    async open(label: string, sealed: SealedSecret, context: SealContext): Promise<Buffer> {
      const mechanism = mechanismOf(sealed.suite)
      requireBounds(sealed, context)
      return child.ask('open', { label: checked(label), sealed, context: plain(context), mechanism }, again)
    },
    async seal(label, suite, secret, context) {
      const mechanism = mechanismOf(suite)
      if (secret.length !== SECRET_BYTES)
        throw new TokenError('configuration', `secret: want ${SECRET_BYTES} bytes, got ${secret.length}`)
      const params = { label: checked(label), suite, mechanism, secret: Buffer.from(secret), context: plain(context) }
      return child.ask('seal', params, again)
    },
    destroyKey: label => child.ask('destroy', { label: checked(label) }, once),
    async random(length: number): Promise<Buffer> {
      if (!Number.isInteger(length) || length < 1 || length > RANDOM_BYTES_MAX)
        throw new TokenError('configuration', `random: want 1 to ${RANDOM_BYTES_MAX} bytes, got ${length}`)
      return child.ask('random', { length }, again)
    },
    async health() {
      await child.ask('health', {}, again)
    },
    async changePin(pin: Uint8Array) {
      const newPin = Buffer.from(pin)
      requirePin(newPin)
      await child.ask('changePin', { newPin: newPin.toString() }, once)
      child.replacePin(newPin)
    },
    close: () => child.close(),
  }
}

function probe(child: TokenProcess): TokenProbe {
  const once = { repeatable: false }
  return {
    makeTemporaryPair: (label, suite) => child.ask('makePair', { label, purpose: suite, lasting: false }, once),
    async importTemporaryKey(label, suite, mechanism, value) {
      await child.ask('importSymmetric', { label, suite, mechanism, value }, once)
    },
    open: (label, sealed, context, mechanism) => child.ask('open', { label, sealed, context, mechanism }, once),
    seal: (label, suite, mechanism, secret, context) =>
      child.ask('seal', { label, suite, mechanism, secret, context }, once),
    destroyKey: label => child.ask('destroy', { label }, once),
  }
}

function requireSameToken(wanted: TokenProfile, found: TokenProfile): void {
  const same = wanted.label === found.label && wanted.serial === found.serial && wanted.model === found.model
  if (!same)
    throw new TokenError('configuration', `profile is of token ${wanted.label} ${wanted.serial}, found ${found.serial}`)
  if (!wanted.moduleDigest.equals(found.moduleDigest))
    throw new TokenError('configuration', 'the PKCS#11 module is not the one that was enrolled: enrol again')
}

function requireBounds(sealed: SealedSecret, context: SealContext): void {
  if (sealed.encapsulated.length > SEALED_BYTES_MAX || sealed.ciphertext.length > SEALED_BYTES_MAX)
    throw new TokenError('refused', `sealed secret: longer than ${SEALED_BYTES_MAX} bytes`)
  plain(context)
}

/** A plain Buffer for the channel, within bounds. */
function plain(context: SealContext): { info: string; aad: Buffer } {
  if (Buffer.byteLength(context.info) > CONTEXT_BYTES_MAX || context.aad.length > CONTEXT_BYTES_MAX)
    throw new TokenError('configuration', `seal context: at most ${CONTEXT_BYTES_MAX} bytes each`)
  return { info: context.info, aad: Buffer.from(context.aad) }
}

function checked(label: string): string {
  if (label === '' || Buffer.byteLength(label) > 255)
    throw new TokenError('configuration', 'key label: want 1 to 255 bytes')
  return label
}

function requirePin(pin: Buffer): void {
  if (pin.length < 4 || pin.length > 256 || pin.includes(0x0a) || pin.includes(0))
    throw new TokenError('configuration', 'PIN: want 4 to 256 bytes without line end')
}

async function fileDigest(path: string): Promise<Buffer> {
  const hash = createHash('sha256')
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk)
  } catch (cause) {
    throw new TokenError('absent', `PKCS#11 module ${path} cannot be read`, { cause })
  }
  return hash.digest()
}
