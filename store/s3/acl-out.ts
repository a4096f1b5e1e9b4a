import { type Acl, type AclEntry, type Scope, scopeKey } from '../../access/acl/acl.ts'
import { uriOfScope } from '../../access/acl/group-uri.ts'
import { isExactInRoles, permissionsOf, type RoleOn, roleOfRights } from '../../access/acl/views.ts'
import { element, s3Element, type Xml } from './xml-out.ts'

/** An ACL as it is shown: whose the resource is, the entries, and names of those whose ids they hold. */
export type ShownAcl = {
  on: RoleOn
  /** null: of nobody known */
  owner: string | null
  acl: Acl
  /** id of a user or group to the name to show; absent: the id alone */
  names: ReadonlyMap<string, string>
}

const XSI = ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'

/** Amazon's document: the entries as they are kept, a grant for each permission. */
export function s3AclDocument({ owner, acl, names }: ShownAcl): Xml {
  const grants = acl.entries.flatMap(entry =>
    permissionsOf(entry.rights).map(permission =>
      element('Grant', [s3Grantee(entry, names), element('Permission', permission)]),
    ),
  )
  const ownerId = owner ?? 'anonymous'
  const shownOwner = element('Owner', [element('ID', ownerId), element('DisplayName', names.get(ownerId) ?? ownerId)])
  return s3Element('AccessControlPolicy', [shownOwner, element('AccessControlList', grants)])
}

function s3Grantee({ scope, name }: AclEntry, names: ReadonlyMap<string, string>): Xml {
  if (scope.kind !== 'user') return element('Grantee', [element('URI', uriOfScope(scope))], `${XSI} xsi:type="Group"`)
  const shown = element('DisplayName', name ?? names.get(scope.id) ?? scope.id)
  return element('Grantee', [element('ID', scope.id), shown], `${XSI} xsi:type="CanonicalUser"`)
}

/**
 * Google's document: roles, the owner among the entries whether kept or not (rule 12). Bits that are no role are shown as the greatest role
 * that they contain.
 *
 * @returns `exact` false: the ACL gives more than the document says (rule 4)
 */
export function googleAclDocument({ on, owner, acl, names }: ShownAcl): { document: Xml; exact: boolean } {
  const own: Scope | null = owner === null ? null : { kind: 'user', id: owner }
  const isOwner = (scope: Scope) => own !== null && scopeKey(scope) === scopeKey(own)
  const entries = acl.entries.flatMap(entry => {
    const { role } = roleOfRights(entry.rights, on)
    return role === null || isOwner(entry.scope) ? [] : [googleEntry(entry, role, names)]
  })
  const first = own === null ? [] : [googleEntry({ scope: own, rights: 0 }, 'FULL_CONTROL', names)]
  const parts = owner === null ? [] : [element('Owner', [element('ID', owner)])]
  const others = { ...acl, entries: acl.entries.filter(entry => !isOwner(entry.scope)) }
  return {
    document: element('AccessControlList', [...parts, element('Entries', [...first, ...entries])]),
    exact: isExactInRoles(others, on),
  }
}

function googleEntry({ scope, name }: AclEntry, role: string, names: ReadonlyMap<string, string>): Xml {
  return element('Entry', [googleScope(scope, name, names), element('Permission', role)])
}

const GOOGLE_TYPES: Record<Scope['kind'], string> = {
  user: 'UserById',
  group: 'GroupById',
  domain: 'GroupByDomain',
  authenticated: 'AllAuthenticatedUsers',
  all: 'AllUsers',
  'bucket-owner': 'BucketOwner',
}

function googleScope(scope: Scope, name: string | undefined, names: ReadonlyMap<string, string>): Xml {
  const type = ` type="${GOOGLE_TYPES[scope.kind]}"`
  if (scope.kind === 'domain') return element('Scope', [element('Domain', scope.domain)], type)
  if (scope.kind !== 'user' && scope.kind !== 'group') return element('Scope', [], type)
  const shown = name ?? names.get(scope.id)
  return element('Scope', [element('ID', scope.id), shown === undefined ? null : element('Name', shown)], type)
}
