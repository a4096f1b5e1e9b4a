import {
  type Acl,
  type AclEntry,
  ALL_RIGHTS,
  effective,
  R,
  RA,
  type Right,
  type Rights,
  type Scope,
  W,
  WA,
} from './acl.ts'

/**
 * The decision, pure: an ACL, whose the resource is and who asks in, rights out. The store and the keystore both decide with it, each
 * on what it knows itself.
 */

/** Who asks, at this moment. `groups` holds every group that he is a member of, through nested ones too (rule 10). */
export type Who =
  | { readonly kind: 'anonymous' }
  | {
      readonly kind: 'known'
      readonly id: string
      readonly groups: ReadonlySet<string>
      /** verified ones; the text of an e-mail address is none (rule 9) */
      readonly domains: ReadonlySet<string>
    }

export type Resource = {
  readonly kind: 'bucket' | 'object'
  /** null: made by nobody that is known; nobody is that owner (rule 14) */
  readonly owner: string | null
  /** whom "the bucket's owner" means (rule 37) */
  readonly bucketOwner: string | null
  /** null: the ACL that it refers to cannot be had. Fails closed (rule 39) */
  readonly acl: Acl | null
}

/** `readersSeeAcl`: the variant of rule 5, in which READ or WRITE shows the ACL and WRITE changes it. Off unless the installation says so. */
export type DecisionSettings = { readersSeeAcl: boolean }
export const USUAL_DECISION: DecisionSettings = { readersSeeAcl: false }

/** @returns all rights that the caller has on the resource */
export function rightsOf(resource: Resource, who: Who, settings: DecisionSettings = USUAL_DECISION): Rights {
  // implicit, whatever the list says (rules 12, 37)
  if (who.kind === 'known' && who.id === resource.owner) return onResource(resource, ALL_RIGHTS)
  if (resource.acl === null) return 0
  return withVariant(onResource(resource, granted(resource.acl, who, resource.bucketOwner)), settings)
}

export function mayDo(resource: Resource, who: Who, right: Right, settings?: DecisionSettings): boolean {
  return (rightsOf(resource, who, settings) & right) !== 0
}

/** Union of the entries that match (rule 8). */
function granted(acl: Acl, who: Who, bucketOwner: string | null): Rights {
  const matching = acl.entries.filter(({ scope }) => matches(scope, who, bucketOwner))
  const counting = acl.specificOverrides ? mostSpecific(matching) : matching
  return counting.reduce((rights, entry) => rights | effective(entry.rights), 0)
}

function matches(scope: Scope, who: Who, bucketOwner: string | null): boolean {
  if (scope.kind === 'all') return true
  if (who.kind === 'anonymous') return false
  switch (scope.kind) {
    case 'authenticated':
      return true
    case 'user':
      return scope.id === who.id
    case 'group':
      return who.groups.has(scope.id)
    case 'domain':
      return who.domains.has(scope.domain)
    case 'bucket-owner':
      return bucketOwner !== null && bucketOwner === who.id
  }
}

/** user, then group, domain, all who are known, all (rule 8) */
const CLASS: Record<Scope['kind'], number> = {
  user: 0,
  'bucket-owner': 0,
  group: 1,
  domain: 2,
  authenticated: 3,
  all: 4,
}

function mostSpecific(matching: readonly AclEntry[]): AclEntry[] {
  const best = Math.min(...matching.map(({ scope }) => CLASS[scope.kind]))
  return matching.filter(({ scope }) => CLASS[scope.kind] === best)
}

function withVariant(rights: Rights, { readersSeeAcl }: DecisionSettings): Rights {
  if (!readersSeeAcl) return rights
  return rights | ((rights & (R | W)) !== 0 ? RA : 0) | ((rights & W) !== 0 ? WA : 0)
}

/** W on an object is kept and means nothing (rules 3, 38). */
function onResource(resource: Resource, rights: Rights): Rights {
  return resource.kind === 'object' ? rights & ~W : rights
}
