import { AccessError } from '../fault.ts'
import { parseXml, type XmlLimits, type XmlNode } from '../xml.ts'
import type { GrantsAsk } from './ask.ts'
import { readGoogleAcl } from './google-document.ts'
import { readS3Acl } from './s3-document.ts'
import type { RoleOn } from './views.ts'

/** Rule 29. A hundred entries in their longest spelling fit in. */
export const ACL_DOCUMENT: XmlLimits = { bytes: 64 << 10, depth: 8, nodes: 5_000 }

/**
 * An ACL document in Amazon's or Google's schema; its root says which.
 *
 * @param on - Google knows no WRITE on objects (rule 2)
 * @throws AccessError "malformed-acl" | "unknown-grantee"
 */
export function parseAclDocument(bytes: Uint8Array, on: RoleOn): GrantsAsk {
  const root = rootOf(bytes)
  if (root.name === 'AccessControlPolicy') return readS3Acl(root)
  // Google's names are read without case
  if (root.name.toLowerCase() === 'accesscontrollist') return readGoogleAcl(root, on)
  throw new AccessError(
    'malformed-acl',
    `want AccessControlPolicy or AccessControlList, got ${JSON.stringify(root.name.slice(0, 60))}`,
  )
}

function rootOf(bytes: Uint8Array): XmlNode {
  try {
    return parseXml(bytes, ACL_DOCUMENT)
  } catch (cause) {
    if (cause instanceof AccessError && cause.fault === 'malformed-xml')
      throw new AccessError('malformed-acl', cause.message, { cause })
    throw cause
  }
}
