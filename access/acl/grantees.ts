import { AccessError } from '../fault.ts'
import { type Acl, type AclEntry, makeAcl, type Scope } from './acl.ts'
import type { Grant, Grantee } from './ask.ts'
import { domainOf } from './domain.ts'

/** Who there is. Asked when an ACL is written, never when it is judged. */
export type Directory = {
  user(id: string): Promise<boolean>
  group(id: string): Promise<boolean>
  /** ids of all that have this address, compared without case */
  usersByEmail(email: string): Promise<string[]>
  groupsByEmail(email: string): Promise<string[]>
}

/**
 * Grants as an ACL of ids.
 *
 * @throws AccessError "unknown-grantee" | "unknown-email" | "ambiguous-email" (rule 6) | "malformed-acl" (rule 7)
 */
export async function resolveGrants(
  grants: readonly Grant[],
  directory: Directory,
  options?: { specificOverrides: boolean },
): Promise<Acl> {
  const entries: AclEntry[] = []
  for (const { grantee, rights, name } of grants)
    entries.push({ scope: await scopeOf(grantee, directory), rights, ...(name !== undefined && { name }) })
  return makeAcl(entries, options)
}

async function scopeOf(grantee: Grantee, directory: Directory): Promise<Scope> {
  switch (grantee.by) {
    case 'user-id':
      if (!(await directory.user(grantee.id))) throw unknown('user', grantee.id)
      return { kind: 'user', id: grantee.id }
    case 'group-id':
      if (!(await directory.group(grantee.id))) throw unknown('group', grantee.id)
      return { kind: 'group', id: grantee.id }
    case 'user-email':
      return { kind: 'user', id: onlyOne(await directory.usersByEmail(grantee.email), grantee.email) }
    case 'group-email':
      return { kind: 'group', id: onlyOne(await directory.groupsByEmail(grantee.email), grantee.email) }
    case 'domain':
      return { kind: 'domain', domain: checkedDomain(grantee.domain) }
    case 'authenticated':
    case 'all':
    case 'bucket-owner':
      return { kind: grantee.by }
  }
}

function onlyOne(ids: string[], email: string): string {
  const [id, second] = ids
  const shown = JSON.stringify(email.slice(0, 100))
  if (id === undefined)
    throw new AccessError('unknown-email', `The e-mail address ${shown} does not match any account on record.`)
  if (second !== undefined)
    throw new AccessError(
      'ambiguous-email',
      `The e-mail address ${shown} is associated with more than one account: grant by id.`,
    )
  return id
}

function unknown(what: string, id: string): AccessError {
  return new AccessError('unknown-grantee', `Invalid id: no ${what} ${JSON.stringify(id.slice(0, 100))} is known here.`)
}

function checkedDomain(text: string): string {
  const domain = domainOf(text)
  if (domain === null)
    throw new AccessError(
      'malformed-acl',
      `${JSON.stringify(text.slice(0, 100))} is no domain: want a name like example.com`,
    )
  return domain
}
