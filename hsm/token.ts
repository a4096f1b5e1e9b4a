import type {
  OpeningSuite,
  PublicKey,
  SealContext,
  SealedSecret,
  SymmetricSuite,
  WrapSuite,
} from '../format/wrap-suite.ts'

/**
 * What Sealift asks of whatever holds keys: SoftHSM, TPM 2.0, smart card, USB or network HSM.
 *
 * A key is named by its label inside the token. Only public-key *opening*, signing and random numbers need the token; sealing to a
 * public key is done in software (`format/wrap-suite.ts`).
 */
export interface Token {
  /** Which token this is, and what it proved at enrolment that it can do. */
  readonly profile: TokenProfile

  /** Makes a P-256 signing pair: private half sensitive, non-extractable, sign only. Fault `exists` when the label is taken. */
  makeSigningKey(label: string): Promise<PublicKey>
  /** Makes a key pair that can only open: P-256 derive (0x0010) or RSA-3072 decrypt (0x0020). */
  makeOpeningKey(label: string, suite: OpeningSuite): Promise<PublicKey>
  /** The public half of a pair; null when there is no such label. */
  publicKey(label: string): Promise<PublicKey | null>
  /** ECDSA P-256 over SHA-256 of `message`. @returns 64 bytes r ‖ s (IEEE P1363) */
  sign(label: string, message: Uint8Array): Promise<Buffer>
  /**
   * Opens what was sealed in software to a public key of this token.
   * @returns the secret that was sealed; fault `refused` when the bytes do not open
   */
  open(label: string, sealed: SealedSecret, context: SealContext): Promise<Buffer>
  /** Destroys a key (or pair) for good. @returns false when there was none */
  destroyKey(label: string): Promise<boolean>
  /** `length` bytes of the token's random generator (1..1024). */
  random(length: number): Promise<Buffer>
  /** A real operation, not a question about presence: signs a probe in the token and verifies it outside. Throws what is wrong. */
  health(): Promise<void>
  /** Calls so far that used a key or the random generator, enrolment included. */
  readonly operations: number
  close(): Promise<void>
}

/** A token that can hold a symmetric key which seals and opens inside it (0x0030 AES-GCM, 0x0031 AES-KWP). */
export interface SymmetricToken extends Token {
  /** Makes an AES-256 key that never leaves the token: encrypt and decrypt (0x0030) or wrap and unwrap (0x0031), never both. */
  makeSymmetricKey(label: string, suite: SymmetricSuite): Promise<void>
  /** Seals 32 bytes under a key of that label and suite. */
  seal(label: string, suite: SymmetricSuite, secret: Uint8Array, context: SealContext): Promise<SealedSecret>
}

export function holdsSymmetricKeys(token: Token): token is SymmetricToken {
  return token.profile.suites.some(
    each => each.outcome === 'passed' && (each.suite === 0x0030 || each.suite === 0x0031),
  )
}

/**
 * What the known-answer test of one suite showed. `mechanism` is the PKCS#11 mechanism number that gave the right answer
 * (it differs between modules for AES-KWP), 0 where none did or none is needed.
 */
export type SuiteOutcome = {
  suite: WrapSuite
  outcome: 'passed' | 'absent' | 'failed'
  mechanism: number
  detail: string
}

export type TokenProfile = {
  label: string
  manufacturer: string
  model: string
  serial: string
  /** SHA-256 of the PKCS#11 module's file; zeros for the memory token */
  moduleDigest: Buffer
  suites: SuiteOutcome[]
}

export type TokenFault =
  | 'absent' // no such token or module, or it is gone
  | 'locked' // PIN wrong or locked
  | 'exists' // label taken
  | 'no-key' // no key of that label
  | 'unsupported' // this token was not enrolled for that suite
  | 'refused' // the token or the check says that the bytes do not open
  | 'restarting' // the token process died and is coming back: try again
  | 'configuration' // URI, PIN source, length or profile is not usable
  | 'device' // the token answered with an error that has no place above; the message has its PKCS#11 name

/** The one error class of `hsm/`. Never holds a PIN or key. */
export class TokenError extends Error {
  override readonly name = 'TokenError'
  readonly fault: TokenFault

  constructor(fault: TokenFault, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.fault = fault
  }
}
