import type { XmlNode } from '../xml.ts'
import type { Grant, Grantee, GrantsAsk } from './ask.ts'
import { malformed, quoted, textOf } from './elements.ts'
import { ROLES, type RoleOn, rightsOfRole } from './views.ts'

/** of a comment */
const NAME_MAX = 1024

/** Scope types, what each holds, and what may stand beside it (Google's published schema; `BucketOwner` is ours, rule 37). */
const SCOPES: Readonly<Record<string, { field: string | null; grantee: (text: string) => Grantee }>> = {
  userbyid: { field: 'id', grantee: id => ({ by: 'user-id', id: idOf(id) }) },
  userbyemail: { field: 'emailaddress', grantee: email => ({ by: 'user-email', email }) },
  groupbyid: { field: 'id', grantee: id => ({ by: 'group-id', id: idOf(id) }) },
  groupbyemail: { field: 'emailaddress', grantee: email => ({ by: 'group-email', email }) },
  groupbydomain: { field: 'domain', grantee: domain => ({ by: 'domain', domain }) },
  allauthenticatedusers: { field: null, grantee: () => ({ by: 'authenticated' }) },
  allusers: { field: null, grantee: () => ({ by: 'all' }) },
  bucketowner: { field: null, grantee: () => ({ by: 'bucket-owner' }) },
}
const COMMENTS = ['name', 'displayname']

/**
 * AccessControlList { Owner?, Entries? { Entry* { Scope type, Permission } } }, names and types without case, children in any order.
 * The owner is not looked at (rule 11).
 *
 * @throws AccessError "malformed-acl"
 */
export function readGoogleAcl(root: XmlNode, on: RoleOn): GrantsAsk {
  const { entries } = childrenOf(root, ['owner', 'entries'])
  const grants = (entries?.children ?? []).map(child => {
    if (child.name.toLowerCase() !== 'entry') throw malformed(`${quoted(child.name)} among the entries`)
    return grantOf(child, on)
  })
  return { kind: 'grants', dialect: 'google', grants, owner: null }
}

function grantOf(entry: XmlNode, on: RoleOn): Grant {
  const { scope, permission } = childrenOf(entry, ['scope', 'permission'])
  if (scope === undefined || permission === undefined) throw malformed('an Entry has a Scope and a Permission')
  const text = permission.text.trim().toUpperCase()
  const role = ROLES.find(each => each === text)
  if (role === undefined) throw malformed(`permission ${quoted(text)}: want ${ROLES.join(', ')}`)
  const rights = rightsOfRole(role, on)
  if (rights === null) throw malformed('there is no WRITE on objects: want READ or FULL_CONTROL')
  const { grantee, name } = scopeOf(scope)
  return { grantee, rights, ...(name !== undefined && { name }) }
}

function scopeOf(node: XmlNode): { grantee: Grantee; name: string | undefined } {
  const type = node.attributes.type ?? ''
  const known = Object.hasOwn(SCOPES, type.toLowerCase()) ? SCOPES[type.toLowerCase()] : undefined
  if (known === undefined) throw malformed(`Scope type ${quoted(type)} is none of Google's`)
  const { field } = known
  const children = childrenOf(node, field === null ? [] : [field, ...COMMENTS])
  if (field === null) return { grantee: known.grantee(''), name: undefined }
  const value = children[field]
  if (value === undefined) throw malformed(`a Scope of type ${quoted(type)} holds ${field}`)
  const name = COMMENTS.map(each => children[each]?.text.trim()).find(text => text !== undefined && text !== '')
  return { grantee: known.grantee(textOf(value)), name: name?.slice(0, NAME_MAX) }
}

/** Each at most once, and nothing else. */
function childrenOf(node: XmlNode, names: readonly string[]): Record<string, XmlNode | undefined> {
  const out: Record<string, XmlNode | undefined> = {}
  for (const child of node.children) {
    const name = child.name.toLowerCase()
    if (!names.includes(name) || out[name] !== undefined)
      throw malformed(`${node.name} holds ${names.join(', ') || 'nothing'}, once each; got ${quoted(child.name)}`)
    out[name] = child
  }
  return out
}

function idOf(text: string): string {
  const id = text.replace(/\s+/g, '').toLowerCase()
  if (!/^[0-9a-f]+$/.test(id)) throw malformed(`id ${quoted(text)}: want hex digits`)
  return id
}
