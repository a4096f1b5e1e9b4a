import { args, type Calls, count, flag, listOf, nothing, nullable, oneOf, record, text } from './codec.ts'

/**
 * Whom besides its own access keys the keystore believes: OpenID providers and password services, the people they name, and the hosts
 * whose browsers may log in. A change counts from the answer of its call on.
 */
export interface IdentityAdministration {
  /** Fault `exists`: the name or the URL is taken. Groups are named by id or `account/name`. */
  addIssuer(settings: IssuerSettings, secret: string | null): Promise<Issuer>
  listIssuers(): Promise<Issuer[]>
  /** By id or name: its tokens and sessions prove nothing any more; the users that it brought stay. */
  removeIssuer(issuer: string): Promise<void>
  /** Whoever is `subject` at the issuer is this user. Fault `exists`: he is another one already. */
  linkUser(user: string, issuer: string, subject: string): Promise<void>
  unlinkUser(issuer: string, subject: string): Promise<void>
  /** `https://host[:port]`, or http on loopback: pages for logging in are served there, and addresses there may be returned to. */
  addLoginOrigin(origin: string): Promise<void>
  listLoginOrigins(): Promise<string[]>
  removeLoginOrigin(origin: string): Promise<void>
}

export const ISSUER_KINDS = ['oidc', 'password'] as const
/** Asymmetric ones only: with a shared secret whoever verifies could forge. */
export const TOKEN_ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
] as const
export const DOMAIN_CLAIMS = ['hd', 'email', 'none'] as const

export type IssuerSettings = {
  name: string
  kind: (typeof ISSUER_KINDS)[number]
  /** of an OpenID provider as its tokens write it; of a password service where it is asked */
  url: string
  /** whose users its people become */
  account: string
  /** of access tokens; none: tokens of it are not taken in place of a signature */
  audiences: string[]
  algorithms: string[]
  groupsClaim: string
  /** the group that somebody is in whose claim says so: by this list alone, never by a name that happens to be the same */
  groups: { claim: string; group: string }[]
  /** which claim says the domain: `hd`, or `email` when `email_verified` */
  domainClaim: (typeof DOMAIN_CLAIMS)[number]
  /** at most 60 */
  skewSeconds: number
  /** whoever is seen first becomes a user; otherwise only who was linked */
  provision: boolean
  /** changes of ACLs by callers who sign nothing */
  aclWritesByBearer: boolean
  /** of our login at an OpenID provider; null: none from browsers */
  clientId: string | null
}
export type Issuer = IssuerSettings & { id: string; createdAt: number; hasSecret: boolean }

const MOST = 1000
const word = text(256)
const reference = text(260)
const settings = {
  name: text(64),
  kind: oneOf(ISSUER_KINDS),
  url: text(1024),
  account: text(128),
  audiences: listOf(word, 16),
  algorithms: listOf(text(16), 16),
  groupsClaim: text(128),
  groups: listOf(record<{ claim: string; group: string }>({ claim: word, group: reference }), 64),
  domainClaim: oneOf(DOMAIN_CLAIMS),
  skewSeconds: count(60),
  provision: flag,
  aclWritesByBearer: flag,
  clientId: nullable(word),
}
/** As it is kept, too. */
export const ISSUER_SETTINGS = record<IssuerSettings>(settings)
const issuer = record<Issuer>({ ...settings, id: text(128), createdAt: count(), hasSecret: flag })

export const IDENTITY_CALLS: Calls<IdentityAdministration> = {
  addIssuer: { ask: args(ISSUER_SETTINGS, nullable(text(1024))), answer: issuer },
  listIssuers: { ask: args(), answer: listOf(issuer, MOST) },
  removeIssuer: { ask: args(reference), answer: nothing },
  linkUser: { ask: args(reference, reference, word), answer: nothing },
  unlinkUser: { ask: args(reference, word), answer: nothing },
  addLoginOrigin: { ask: args(reference), answer: nothing },
  listLoginOrigins: { ask: args(), answer: listOf(reference, MOST) },
  removeLoginOrigin: { ask: args(reference), answer: nothing },
}
