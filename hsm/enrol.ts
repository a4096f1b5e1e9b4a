/**
 * Enrolment: which suites a token really offers, by known-answer tests. Its mechanism list is not asked: modules list what
 * they get wrong (SoftHSM 2.6.1: RSA-OAEP, of which only SHA-1 works) and number one mechanism in two ways (AES-KWP).
 */
import { createCipheriv, createDecipheriv, createHash, createSecretKey, randomBytes } from 'node:crypto'
import {
  AES_GCM_IN_TOKEN,
  AES_KWP_IN_TOKEN,
  bindSecret,
  contextHash,
  HPKE_P256,
  type OpeningSuite,
  type PublicKey,
  RSA_OAEP_SHA256,
  type SealContext,
  type SealedSecret,
  type SymmetricSuite,
  sealTo,
  WRAP_SUITES,
  type WrapSuite,
} from '../format/wrap-suite.ts'
import { type SuiteOutcome, TokenError } from './token.ts'

/** What the tests need of a token. Keys are temporary; those of a token without session keys are destroyed after. */
export interface TokenProbe {
  makeTemporaryPair(label: string, suite: OpeningSuite): Promise<PublicKey>
  importTemporaryKey(label: string, suite: SymmetricSuite, mechanism: number, value: Buffer): Promise<void>
  open(label: string, sealed: SealedSecret, context: SealContext, mechanism: number): Promise<Buffer>
  seal(
    label: string,
    suite: SymmetricSuite,
    mechanism: number,
    secret: Buffer,
    context: SealContext,
  ): Promise<SealedSecret>
  destroyKey(label: string): Promise<boolean>
}

const TEST_LABEL = 'sealift self-test'
const CONTEXT: SealContext = { info: 'sealift self-test', aad: Buffer.from('known context') }
const OTHER_CONTEXT: SealContext = { info: 'sealift self-test', aad: Buffer.from('other context') }
const KNOWN_KEY = createHash('sha256').update('sealift self-test key').digest()
const KWP_IV = Buffer.from('a65959a6', 'hex') // RFC 5649 §3
/** PKCS#11 3.0 numbers RFC 5649 0x210B; 2.40's 0x210A was ambiguous, and SoftHSM's is RFC 5649. */
const MECHANISMS: Record<WrapSuite, readonly number[]> = {
  [HPKE_P256]: [0x1050],
  [RSA_OAEP_SHA256]: [0x0009],
  [AES_GCM_IN_TOKEN]: [0x1087],
  [AES_KWP_IN_TOKEN]: [0x210b, 0x210a],
}

/**
 * How far the tests go: every suite; or, for a token that only ever opens what was sealed in software, the preferred suite that can,
 * so that a slow token is not asked a dozen times for what nobody will use.
 */
export type Enrolment = 'all' | 'opening'

/**
 * Tests the suites. A token that has not got one is `absent`, one that answers wrongly is `failed`: neither is ever used.
 *
 * @throws TokenError "restarting" | "locked" - what says nothing about a suite
 */
export async function enrol(token: TokenProbe, extent: Enrolment = 'all'): Promise<SuiteOutcome[]> {
  const outcomes: SuiteOutcome[] = []
  for (const suite of WRAP_SUITES) {
    const opens = outcomes.some(each => each.outcome === 'passed')
    const wanted = extent === 'all' || (!opens && (suite === HPKE_P256 || suite === RSA_OAEP_SHA256))
    outcomes.push(wanted ? await outcomeOf(token, suite) : notAsked(suite))
  }
  return outcomes
}

/** Never proved is never used. */
function notAsked(suite: WrapSuite): SuiteOutcome {
  return { suite, outcome: 'absent', mechanism: 0, detail: 'not asked for at enrolment' }
}

async function outcomeOf(token: TokenProbe, suite: WrapSuite): Promise<SuiteOutcome> {
  let outcome: SuiteOutcome['outcome'] = 'absent'
  const details: string[] = []
  for (const mechanism of MECHANISMS[suite]) {
    const name = `mechanism 0x${mechanism.toString(16)}`
    await token.destroyKey(TEST_LABEL) // of a test that was cut off
    try {
      if (suite === HPKE_P256 || suite === RSA_OAEP_SHA256) await testOpening(token, suite, mechanism)
      else await testSymmetric(token, suite, mechanism)
      return { suite, outcome: 'passed', mechanism, detail: `known answers right, ${name}` }
    } catch (error) {
      if (!(error instanceof TokenError) || error.fault === 'restarting' || error.fault === 'locked') throw error
      details.push(`${name}: ${error.message}`)
      if (error instanceof WrongAnswer) outcome = 'failed'
    } finally {
      await token.destroyKey(TEST_LABEL)
    }
  }
  return { suite, outcome, mechanism: 0, detail: details.join('; ') }
}

/** The token did the operation, and the result is not what the specification says. */
class WrongAnswer extends TokenError {
  constructor(message: string) {
    super('refused', message)
  }
}

async function testOpening(token: TokenProbe, suite: OpeningSuite, mechanism: number): Promise<void> {
  const publicKey = await token.makeTemporaryPair(TEST_LABEL, suite)
  const secret = randomBytes(32)
  const sealed = sealTo(publicKey, secret, CONTEXT)
  const opened = await token.open(TEST_LABEL, sealed, CONTEXT, mechanism)
  requireEqual(opened, secret, 'what was sealed in software opens to something else')
  await requireRefused(token, suite, mechanism, sealed)
}

async function testSymmetric(token: TokenProbe, suite: SymmetricSuite, mechanism: number): Promise<void> {
  await token.importTemporaryKey(TEST_LABEL, suite, mechanism, KNOWN_KEY)
  const secret = randomBytes(32)
  const sealed = await token.seal(TEST_LABEL, suite, mechanism, secret, CONTEXT)
  requireEqual(softwareOpen(suite, sealed), expectedInside(suite, secret), 'what the token sealed is not the standard')
  const foreign = softwareSeal(suite, secret)
  requireEqual(
    await token.open(TEST_LABEL, foreign, CONTEXT, mechanism),
    secret,
    'the standard opens to something else',
  )
  await requireRefused(token, suite, mechanism, foreign)
}

/** Last of a suite's tests: the token drops the session, and with it the temporary key, after a refusal. */
async function requireRefused(
  token: TokenProbe,
  suite: WrapSuite,
  mechanism: number,
  sealed: SealedSecret,
): Promise<void> {
  try {
    await token.open(TEST_LABEL, sealed, OTHER_CONTEXT, mechanism)
  } catch (error) {
    if (error instanceof TokenError && error.fault === 'refused') return
    throw error
  }
  throw new WrongAnswer(`suite 0x${suite.toString(16)}: opens under another context`)
}

function expectedInside(suite: SymmetricSuite, secret: Buffer): Buffer {
  return suite === AES_GCM_IN_TOKEN ? secret : bindSecret(secret, CONTEXT)
}

function softwareSeal(suite: SymmetricSuite, secret: Buffer): SealedSecret {
  const key = createSecretKey(KNOWN_KEY)
  if (suite === AES_GCM_IN_TOKEN) {
    const encapsulated = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', key, encapsulated)
    cipher.setAAD(contextHash(CONTEXT))
    return {
      suite,
      encapsulated,
      ciphertext: Buffer.concat([cipher.update(secret), cipher.final(), cipher.getAuthTag()]),
    }
  }
  const cipher = createCipheriv('id-aes256-wrap-pad', key, KWP_IV)
  const ciphertext = Buffer.concat([cipher.update(bindSecret(secret, CONTEXT)), cipher.final()])
  return { suite, encapsulated: Buffer.alloc(0), ciphertext }
}

function softwareOpen(suite: SymmetricSuite, sealed: SealedSecret): Buffer {
  const key = createSecretKey(KNOWN_KEY)
  try {
    if (suite === AES_GCM_IN_TOKEN) {
      const decipher = createDecipheriv('aes-256-gcm', key, sealed.encapsulated, { authTagLength: 16 })
      decipher.setAAD(contextHash(CONTEXT))
      decipher.setAuthTag(sealed.ciphertext.subarray(-16))
      return Buffer.concat([decipher.update(sealed.ciphertext.subarray(0, -16)), decipher.final()])
    }
    const decipher = createDecipheriv('id-aes256-wrap-pad', key, KWP_IV)
    return Buffer.concat([decipher.update(sealed.ciphertext), decipher.final()])
  } catch {
    throw new WrongAnswer('what the token sealed does not open by the standard')
  }
}

function requireEqual(found: Buffer, wanted: Buffer, otherwise: string): void {
  if (!found.equals(wanted)) throw new WrongAnswer(otherwise)
}
