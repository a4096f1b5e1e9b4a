import { AccessError } from '../fault.ts'
import { type Acl, type AclEntry, FULL, makeAcl, R, W } from './acl.ts'
import type { Dialect } from './ask.ts'

/** ACLs that have a name and are no objects: they become entries when they are written, and read back as such (rules 24, 25). */
export const CANNED = [
  'private',
  'public-read',
  'public-read-write',
  'authenticated-read',
  'bucket-owner-read',
  'bucket-owner-full-control',
] as const
export type Canned = (typeof CANNED)[number]

export type CannedOn = 'bucket' | 'object' | 'default-object'

/**
 * @param name - as it came; matched without case
 * @throws AccessError "malformed-acl" - no such name, or not for this kind of resource in this dialect
 */
export function parseCanned(name: string, dialect: Dialect, on: CannedOn): Canned {
  const found = CANNED.find(each => each === name.toLowerCase())
  if (found === undefined)
    throw new AccessError(
      'malformed-acl',
      `no canned ACL ${JSON.stringify(name.slice(0, 60))}: want ${CANNED.join(', ')}`,
    )
  if (on === 'bucket' && found.startsWith('bucket-owner-'))
    throw new AccessError('malformed-acl', `${found} is for objects: a bucket's owner has all rights on it`)
  if (on !== 'bucket' && found === 'public-read-write' && dialect !== 's3')
    throw new AccessError('malformed-acl', 'public-read-write is for buckets: nothing is written to an object')
  return found
}

/**
 * The entries that a canned ACL stands for at this moment.
 *
 * @param owner - of the resource; null: nobody known, who gets no entry. A bucket's default carries none either (rule 26).
 * @param bucketOwner - for the bucket-owner-* ones
 */
export function expandCanned(name: Canned, owner: string | null, bucketOwner: string | null): Acl {
  const entries: AclEntry[] = []
  if (owner !== null) entries.push({ scope: { kind: 'user', id: owner }, rights: FULL })
  if (name === 'public-read') entries.push({ scope: { kind: 'all' }, rights: R })
  if (name === 'public-read-write') entries.push({ scope: { kind: 'all' }, rights: R | W })
  if (name === 'authenticated-read') entries.push({ scope: { kind: 'authenticated' }, rights: R })
  if (bucketOwner !== null && bucketOwner !== owner) {
    const scope = { kind: 'user', id: bucketOwner } as const
    if (name === 'bucket-owner-read') entries.push({ scope, rights: R })
    if (name === 'bucket-owner-full-control') entries.push({ scope, rights: FULL })
  }
  return makeAcl(entries)
}
