import { parseAclName } from '../../../access/acl/acl-name.ts'
import { type BoundAcl, parseBoundAcl } from '../../../access/acl/bound.ts'
import { CANNED, expandCanned, parseCanned } from '../../../access/acl/canned.ts'
import { encodeAcl } from '../../../access/acl/text.ts'
import { AccessError } from '../../../access/fault.ts'
import { AdministrationError, type JobRequest } from '../../../format/administration.ts'
import type { AclObjects } from '../acl/acl-objects.ts'
import type { Users } from '../people/users.ts'

/**
 * The ACL that a job's objects are ordered with, of an account that owns them all. An ACL object is another's to give: it is its account's
 * own, or lets others refer to it (rule 41).
 *
 * @throws AdministrationError "malformed" | "not-found" | "refused"
 */
export async function orderedAcl(
  { acl, aclMode }: Pick<JobRequest, 'acl' | 'aclMode'>,
  account: string,
  on: { aclObjects: Pick<AclObjects, 'at' | 'entries'>; users: Pick<Users, 'byId'> },
): Promise<BoundAcl> {
  if (!acl.includes('/'))
    return {
      kind: 'own',
      acl: expandCanned(
        read(() => parseCanned(acl, 'storage', 'object')),
        account,
        account,
      ),
    }
  const name = read(() => parseAclName(acl))
  const found = await on.aclObjects.at(name)
  if (found === null)
    throw new AdministrationError(
      'not-found',
      `${acl} is no ACL object: PUT it first, as application/vnd.storage.acl+xml`,
    )
  const generation = name.generation === null ? null : Number(name.generation)
  const entries = await on.aclObjects.entries(found.id, generation)
  if (entries === null) throw new AdministrationError('not-found', `${acl}: there is no such generation`)
  const owner = await on.users.byId(found.owner)
  if (owner?.account !== account && !found.consent)
    throw new AdministrationError(
      'refused',
      `${acl} is of another account, and its owner does not let others refer to it (x-storage-acl-consent)`,
    )
  return aclMode === 'copy' ? { kind: 'own', acl: entries } : { kind: 'reference', id: found.id, generation }
}

/** As people read it. @param account - whose the job is */
export async function shownAcl(text: string, account: string, aclObjects: Pick<AclObjects, 'nameOf'>): Promise<string> {
  const bound = parseBoundAcl(text)
  if (bound.kind === 'own') return CANNED.find(name => encodeAcl(expandCanned(name, account, account)) === text) ?? text
  const name = (await aclObjects.nameOf(bound.id)) ?? 'an ACL object that is gone'
  return `by reference to ${name}${bound.generation === null ? '' : `#${bound.generation}`}`
}

function read<T>(parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    if (cause instanceof AccessError) throw new AdministrationError('malformed', `job: ${cause.message}`, { cause })
    throw cause
  }
}
