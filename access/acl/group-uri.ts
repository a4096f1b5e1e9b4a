import { AccessError } from '../fault.ts'
import type { Scope } from './acl.ts'
import type { Grantee } from './ask.ts'

/**
 * Scopes as Amazon's documents write all that is no user. For what Amazon has no word, an URN of ours: so that its clients can read, keep
 * and write back such an entry.
 */
const AMAZON = 'http://acs.amazonaws.com/groups/global/'
const OURS = 'urn:x-storage:'

export function uriOfScope(scope: Exclude<Scope, { kind: 'user' }>): string {
  switch (scope.kind) {
    case 'all':
      return `${AMAZON}AllUsers`
    case 'authenticated':
      return `${AMAZON}AuthenticatedUsers`
    case 'bucket-owner':
      return `${OURS}bucket-owner`
    case 'group':
      return `${OURS}group:${scope.id}`
    case 'domain':
      return `${OURS}domain:${scope.domain}`
  }
}

/** @throws AccessError "unknown-grantee" */
export function granteeOfUri(uri: string): Grantee {
  if (uri === `${AMAZON}AllUsers`) return { by: 'all' }
  if (uri === `${AMAZON}AuthenticatedUsers`) return { by: 'authenticated' }
  if (uri === `${OURS}bucket-owner`) return { by: 'bucket-owner' }
  if (uri.startsWith(`${OURS}group:`)) return { by: 'group-id', id: uri.slice(`${OURS}group:`.length) }
  if (uri.startsWith(`${OURS}domain:`)) return { by: 'domain', domain: uri.slice(`${OURS}domain:`.length) }
  throw new AccessError('unknown-grantee', `Invalid group uri: ${JSON.stringify(uri.slice(0, 120))}`)
}
