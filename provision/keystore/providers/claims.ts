import type { JWTPayload } from 'jose'
import { domainOf } from '../../../access/acl/domain.ts'
import type { Issuer } from '../../../format/identity.ts'

/** What an identity provider says of somebody, as far as it is believed. */
export type Claimed = {
  subject: string
  /** lower case; null: none, or not verified */
  email: string | null
  /** as the provider calls them; only those that its settings map */
  groups: string[]
  domain: string | null
}

export const SUBJECT_MAX = 256
const EMAIL = /^[^\s@<>",;:\\]{1,64}@[a-z0-9.-]{3,255}$/

/** Reads the claims that the settings name. @returns null - no subject that could be somebody */
export function claimedBy(claims: JWTPayload, issuer: Issuer): Claimed | null {
  const { sub } = claims
  if (typeof sub !== 'string' || sub === '' || sub.length > SUBJECT_MAX) return null
  const email = claims.email_verified === true ? emailOf(claims.email) : null
  const listed = claims[issuer.groupsClaim]
  const said = new Set(Array.isArray(listed) ? listed : typeof listed === 'string' ? [listed] : [])
  const groups = [...new Set(issuer.groups.map(each => each.claim))].filter(each => said.has(each))
  return { subject: sub, email, groups, domain: domainClaimed(claims, issuer, email) }
}

function domainClaimed(claims: JWTPayload, { domainClaim }: Issuer, email: string | null): string | null {
  if (domainClaim === 'hd') return typeof claims.hd === 'string' ? domainOf(claims.hd) : null
  if (domainClaim === 'email') return email === null ? null : domainOf(email.slice(email.indexOf('@') + 1))
  return null
}

function emailOf(value: unknown): string | null {
  const email = typeof value === 'string' ? value.trim().toLowerCase() : ''
  return EMAIL.test(email) ? email : null
}

/** Ids of the groups here that these claims stand for. */
export function mappedGroups({ groups }: Claimed, issuer: Issuer): string[] {
  return issuer.groups.filter(each => groups.includes(each.claim)).map(each => each.group)
}
