import type { JobId } from '../../../format/bytes.ts'
import { HPKE_P256, type OpeningSuite, type PublicKey, RSA_OAEP_SHA256 } from '../../../format/wrap-suite.ts'
import { type Token, TokenError } from '../../../hsm/token.ts'

/** Labels of the authority's keys in its token. */
export const TOKEN_KEYS = {
  ca: 'sealift-ca',
  grant: 'sealift-grant',
  receipt: 'sealift-receipt',
  state: 'sealift-state',
} as const

/** Of one version of a master key: an account's own bears the account's id. */
export function masterLabel({ id, account }: { id: string; account: string }, version: number): string {
  const stem = id === account ? `sealift-account-${id}` : `sealift-key-${id}`
  return version === 1 ? stem : `${stem}-${version}`
}
export const importKey = (job: JobId): string => `sealift-job-${job}`

/** The suite for a new opening pair: what the token proved, HPKE before RSA. @throws TokenError "unsupported" */
export function openingSuite(token: Token): OpeningSuite {
  const passed = (suite: OpeningSuite) =>
    token.profile.suites.some(each => each.suite === suite && each.outcome === 'passed')
  const found = ([HPKE_P256, RSA_OAEP_SHA256] as const).find(passed)
  if (found === undefined)
    throw new TokenError('unsupported', `token ${token.profile.label} opens neither 0x0010 nor 0x0020: use another`)
  return found
}

/** An earlier try may have been cut off after it made the key. */
export async function signingKeyOf(token: Token, label: string): Promise<PublicKey> {
  return (await token.publicKey(label)) ?? token.makeSigningKey(label)
}

export async function openingKeyOf(token: Token, label: string): Promise<PublicKey & { suite: OpeningSuite }> {
  const suite = openingSuite(token)
  const { spki } = (await token.publicKey(label)) ?? (await token.makeOpeningKey(label, suite))
  return { suite, spki }
}
