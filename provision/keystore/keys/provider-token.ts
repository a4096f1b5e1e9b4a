import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { initialiseToken, openPkcs11Token, type Pkcs11Token, TOKEN_TIMEOUTS } from '../../../hsm/pkcs11-token.ts'
import { parsePkcs11Uri } from '../../../hsm/pkcs11-uri.ts'
import { newSoftHsmPin, prepareSoftHsm, softHsmModule } from '../../../hsm/softhsm.ts'
import { signTokenProfile, verifyTokenProfile } from '../../../hsm/token-profile.ts'
import { type KeystoreConfig, keystorePaths } from '../config.ts'
import { TOKEN_KEYS } from './token-keys.ts'

const LABEL = 'sealift-provider'

/**
 * Opens the authority's token: the one that the URI names, or SoftHSM in the state directory. Suites are proved once, at the beginning,
 * and the signed profile says which.
 *
 * @throws TokenError "absent" | "locked" | "configuration"
 */
export async function openProviderToken(config: KeystoreConfig): Promise<Pkcs11Token> {
  const { profile: profilePath } = keystorePaths(config.state)
  const profile = existsSync(profilePath) ? verifyTokenProfile(readFileSync(profilePath)).profile : undefined
  return openPkcs11Token({ ...place(config), ...TOKEN_TIMEOUTS, ...(profile ? { profile } : { enrolment: 'opening' }) })
}

/** Makes the SoftHSM token with a PIN of 192 random bits; a token that a URI names is there already. */
export async function makeProviderToken(config: KeystoreConfig): Promise<void> {
  if (config.token !== null) return
  const paths = keystorePaths(config.state)
  if (existsSync(paths.pin)) return
  const pin = newSoftHsmPin()
  const environment = prepareSoftHsm(paths.softHsm)
  // the security officer's PIN is thrown away: a SoftHSM token is made anew, never reset
  const pins = { securityOfficer: newSoftHsmPin(), user: pin }
  const modulePath = softHsmModule()
  await initialiseToken({ environment, ...TOKEN_TIMEOUTS, modulePath, label: LABEL }, pins)
  writeFileSync(paths.pin, pin, { mode: 0o600, flag: 'wx' })
  pin.fill(0)
}

/** Keeps what the token proved; signed with the grant key. */
export async function keepProfile(config: KeystoreConfig, token: Pkcs11Token): Promise<void> {
  const signed = await signTokenProfile(token, TOKEN_KEYS.grant)
  writeFileSync(keystorePaths(config.state).profile, signed, { mode: 0o600 })
}

function place(config: KeystoreConfig) {
  if (config.token !== null) return { uri: parsePkcs11Uri(config.token), environment: {} }
  const paths = keystorePaths(config.state)
  const pinSource = { from: 'file', path: paths.pin } as const
  return {
    uri: { token: LABEL, modulePath: softHsmModule(), pinSource },
    environment: prepareSoftHsm(paths.softHsm),
  }
}
