import { hash } from 'node:crypto'
import { type Acl, ENTRIES_MAX, FULL, makeAcl } from '../../access/acl/acl.ts'
import type { AclAsk } from '../../access/acl/ask.ts'
import { type CannedOn, expandCanned, parseCanned } from '../../access/acl/canned.ts'
import { parseAclDocument } from '../../access/acl/document.ts'
import { type Directory, resolveGrants } from '../../access/acl/grantees.ts'
import { askOfHeaders, flagsOfHeaders } from '../../access/acl/headers.ts'
import { AccessError } from '../../access/fault.ts'
import type { RequestProof } from '../../format/request-proof.ts'
import type { Bucket } from './buckets.ts'
import { denied } from './refusal.ts'

/** What a signed request asks for in the matter of an ACL, read from what it signed and nothing else. */

/** Whose the resource is, and whom "the bucket's owner" means. */
export type Parties = { owner: string | null; bucketOwner: string | null }

/**
 * Of a new object: what was asked for, else the bucket's default with the owner added, else the owner's alone (rule 22).
 * @throws AccessError - as of `askedAcl`
 */
export async function newObjectAcl(
  proof: RequestProof,
  owner: string,
  bucket: Bucket | null,
  directory: Directory,
): Promise<Acl> {
  const parties = { owner, bucketOwner: bucket?.owner ?? null }
  const asked = await askedAcl(askOfHeaders(proof.headers), 'object', parties, directory)
  if (asked !== null) return flagged(asked, proof)
  requireNoFlags(proof)
  if (bucket === null || bucket.defaultAcl === null) return expandCanned('private', owner, null)
  const { entries } = bucket.defaultAcl
  // a list that is full goes without the owner's entry: he has all rights anyway (rule 12)
  if (entries.length === ENTRIES_MAX) return bucket.defaultAcl
  const own = { scope: { kind: 'user', id: owner }, rights: FULL } as const
  return makeAcl([own, ...entries], bucket.defaultAcl)
}

/** Of an object that nobody who is known makes: the bucket's default, else its owner's (rules 14, 22). */
export function anonymousObjectAcl({ owner, defaultAcl }: Bucket): Acl {
  return defaultAcl ?? expandCanned('bucket-owner-full-control', null, owner)
}

/**
 * Of a bucket that is being made.
 * @throws AccessError - as of `askedAcl`
 */
export async function newBucketAcl(proof: RequestProof, owner: string, directory: Directory): Promise<Acl> {
  const asked = await askedAcl(askOfHeaders(proof.headers), 'bucket', { owner, bucketOwner: owner }, directory)
  if (asked !== null) return flagged(asked, proof)
  requireNoFlags(proof)
  return expandCanned('private', owner, owner)
}

/**
 * In the place of one that is there: from headers, or from a document whose digest the request signed.
 *
 * @throws AccessError - as of `askedAcl`; "acl-sources" - in both ways, or in none
 * @throws ReleaseError "denied" - the document is not what was signed
 */
export async function changedAcl(
  proof: RequestProof,
  document: Uint8Array,
  on: CannedOn,
  parties: Parties,
  directory: Directory,
): Promise<Acl> {
  const inHeaders = askOfHeaders(proof.headers)
  if (document.length === 0) {
    const asked = await askedAcl(inHeaders, on, parties, directory)
    if (asked === null) throw new AccessError('malformed-acl', 'want an ACL, as a document or in a header')
    return flagged(asked, proof)
  }
  if (inHeaders.kind !== 'none')
    throw new AccessError(
      'acl-sources',
      'an ACL is asked for in one way at a time: a header and a document came together',
    )
  // a document that nobody signed could be anybody's
  if (hash('sha256', document, 'hex') !== proof.payload)
    throw denied('the document is not the one whose SHA-256 was signed as x-amz-content-sha256')
  const ask = parseAclDocument(document, on === 'bucket' ? 'bucket' : 'object')
  const asked = await askedAcl(ask, on, parties, directory)
  if (asked === null) throw denied('a document that asks for nothing')
  return flagged(asked, proof)
}

/** A flag is one of an ACL that is asked for. */
function requireNoFlags(proof: RequestProof): void {
  if (flagsOfHeaders(proof.headers).specificOverrides)
    throw new AccessError('acl-sources', 'x-storage-acl-flags goes with an ACL that is asked for, and there is none')
}

function flagged(acl: Acl, proof: RequestProof): Acl {
  return { ...acl, ...flagsOfHeaders(proof.headers) }
}

/**
 * @returns null: nothing is asked for
 * @throws AccessError "malformed-acl" | "unknown-grantee" | "unknown-email" | "ambiguous-email" | "other-owner"
 */
async function askedAcl(ask: AclAsk, on: CannedOn, parties: Parties, directory: Directory): Promise<Acl | null> {
  switch (ask.kind) {
    case 'none':
      return null
    case 'canned': {
      // a default carries no owner: each new object adds its own (rule 26)
      const owner = on === 'default-object' ? null : parties.owner
      return expandCanned(parseCanned(ask.name, ask.dialect, on), owner, parties.bucketOwner)
    }
    case 'grants':
      // the owner never changes by writing an ACL (rule 11)
      if (ask.owner !== null && ask.owner !== parties.owner)
        throw new AccessError('other-owner', 'the Owner in the document is not the owner, who cannot be changed so')
      return resolveGrants(ask.grants, directory)
    case 'named':
      throw denied('an ACL object')
  }
}
