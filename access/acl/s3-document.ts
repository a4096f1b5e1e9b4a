import type { XmlNode } from '../xml.ts'
import type { Grant, Grantee, GrantsAsk } from './ask.ts'
import { malformed, quoted, textOf } from './elements.ts'
import { granteeOfUri } from './group-uri.ts'
import { PERMISSIONS, rightsOfPermission } from './views.ts'

/**
 * AccessControlPolicy { Owner? { ID, DisplayName? }, AccessControlList { Grant* } }.
 * @throws AccessError "malformed-acl" | "unknown-grantee"
 */
export function readS3Acl(root: XmlNode): GrantsAsk {
  const { Owner: owner, AccessControlList: list } = childrenOf(root, ['Owner', 'AccessControlList'])
  if (list === undefined) throw malformed('AccessControlPolicy has no AccessControlList')
  const grants = list.children.map(child => {
    if (child.name !== 'Grant') throw malformed(`${quoted(child.name)} among the grants`)
    return grantOf(child)
  })
  return { kind: 'grants', dialect: 's3', grants, owner: owner === undefined ? null : ownerOf(owner) }
}

function ownerOf(owner: XmlNode): string {
  const { ID: id } = childrenOf(owner, ['ID', 'DisplayName'])
  if (id === undefined) throw malformed('Owner has no ID')
  return textOf(id)
}

function grantOf(grant: XmlNode): Grant {
  const { Grantee: grantee, Permission: permission } = childrenOf(grant, ['Grantee', 'Permission'])
  if (grantee === undefined || permission === undefined) throw malformed('a Grant has a Grantee and a Permission')
  const rights = rightsOfPermission(permission.text.trim())
  if (rights === null)
    throw malformed(
      `permission ${quoted(permission.text.trim())}: want ${PERMISSIONS.map(([name]) => name).join(', ')}`,
    )
  return { grantee: granteeOf(grantee), rights }
}

function granteeOf(node: XmlNode): Grantee {
  const { type } = node.attributes
  if (type === 'CanonicalUser') {
    const { ID: id } = childrenOf(node, ['ID', 'DisplayName'])
    if (id === undefined) throw malformed('a CanonicalUser has an ID')
    return { by: 'user-id', id: textOf(id) }
  }
  if (type === 'AmazonCustomerByEmail') {
    const { EmailAddress: email } = childrenOf(node, ['EmailAddress', 'DisplayName'])
    if (email === undefined) throw malformed('an AmazonCustomerByEmail has an EmailAddress')
    return { by: 'user-email', email: textOf(email) }
  }
  if (type === 'Group') {
    const { URI: uri } = childrenOf(node, ['URI', 'DisplayName'])
    if (uri === undefined) throw malformed('a Group has a URI')
    return granteeOfUri(textOf(uri))
  }
  throw malformed(
    `xsi:type of a Grantee: want CanonicalUser, AmazonCustomerByEmail or Group, got ${quoted(type ?? '')}`,
  )
}

/** Each at most once, and nothing else. */
function childrenOf<Name extends string>(node: XmlNode, names: readonly Name[]): Partial<Record<Name, XmlNode>> {
  const out: Partial<Record<Name, XmlNode>> = {}
  for (const child of node.children) {
    const name = names.find(each => each === child.name)
    if (name === undefined || out[name] !== undefined)
      throw malformed(`${node.name} holds ${names.join(', ')}, once each; got ${quoted(child.name)}`)
    out[name] = child
  }
  return out
}
