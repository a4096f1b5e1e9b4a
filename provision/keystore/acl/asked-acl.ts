import { hash } from 'node:crypto'
import { ENTRIES_MAX, FULL, makeAcl } from '../../../access/acl/acl.ts'
import type { AclAsk, NamedAsk } from '../../../access/acl/ask.ts'
import type { BoundAcl } from '../../../access/acl/bound.ts'
import { type CannedOn, expandCanned, parseCanned } from '../../../access/acl/canned.ts'
import type { Who } from '../../../access/acl/decide.ts'
import { parseAclDocument } from '../../../access/acl/document.ts'
import { type Directory, resolveGrants } from '../../../access/acl/grantees.ts'
import { askOfCarrier, flagsOfCarrier } from '../../../access/acl/headers.ts'
import { AccessError } from '../../../access/fault.ts'
import { NO_WISH, parsePreconditions, type Wish } from '../../../access/precondition.ts'
import { ReleaseError, type StoredObject } from '../../../format/release.ts'
import type { PolicyProof, RequestProof } from '../../../format/request-proof.ts'
import { mayRead, type Objects } from '../objects.ts'
import type { AclWrites } from '../proofs/believed.ts'
import { samePlace } from '../proofs/coverage.ts'
import { denied } from '../refusal.ts'
import type { AclObjects } from './acl-objects.ts'
import type { Bucket } from './buckets.ts'

/** What was signed, by whom, and the ACL object that the store found for it under the name that was signed. */
export type Asking = { proof: RequestProof; who: Who; aclWrites: AclWrites; named: StoredObject | null }
/** Whose the resource is, and whom "the bucket's owner" means. */
export type Parties = { owner: string | null; bucketOwner: string | null }
type Place = { bucket: string; key: string }

/** What a signed request asks for in the matter of an ACL, read from what it signed and nothing else. */
export type AskedAcls = {
  /**
   * Of a new object: what was asked for, else the bucket's default with the owner added, else the owner's alone (rule 22).
   * @throws AccessError - it cannot be had as it was asked for, here and below
   */
  ofNewObject(asking: Asking, owner: string, bucket: Bucket | null, place: Place): Promise<BoundAcl>
  /** Of nobody's, that came in a form which nobody signed. */
  ofForm(form: PolicyProof, named: StoredObject | null, bucket: Bucket, place: Place): Promise<BoundAcl>
  ofNewBucket(asking: Asking, owner: string): Promise<BoundAcl>
  /**
   * In the place of one that is there: from headers, or from a document whose digest the request signed.
   * @throws ReleaseError "denied" - the document is not what was signed
   */
  ofChange(asking: Asking, document: Uint8Array, on: CannedOn, parties: Parties, place: Place | null): Promise<BoundAcl>
}

/** Of an object that nobody who is known makes: the bucket's default, else its owner's (rules 14, 22). */
export function anonymousObjectAcl({ owner, defaultAcl }: Bucket): BoundAcl {
  return defaultAcl ?? { kind: 'own', acl: expandCanned('bucket-owner-full-control', null, owner) }
}

export function askedAclsOf(on: { directory: Directory; objects: Objects; aclObjects: AclObjects }): AskedAcls {
  const { directory, objects, aclObjects } = on

  /** @returns null: nothing is asked for */
  const asked = async (
    ask: AclAsk,
    asking: Asking,
    kind: CannedOn,
    parties: Parties,
    place: Place | null,
  ): Promise<BoundAcl | null> => {
    const flags = flagsOfCarrier(asking.proof)
    if (ask.kind === 'none' || ask.kind === 'named') {
      if (flags.specificOverrides)
        throw new AccessError(
          'acl-sources',
          'x-storage-acl-flags goes with an ACL that is written out, and there is none',
        )
      return ask.kind === 'none' ? null : named(ask, asking, parties, place)
    }
    if (ask.kind === 'canned') {
      // a default carries no owner: each new object adds its own (rule 26)
      const owner = kind === 'default-object' ? null : parties.owner
      const acl = expandCanned(parseCanned(ask.name, ask.dialect, kind), owner, parties.bucketOwner)
      return { kind: 'own', acl: { ...acl, ...flags } }
    }
    // the owner never changes by writing an ACL (rule 11)
    if (ask.owner !== null && ask.owner !== parties.owner)
      throw new AccessError('other-owner', 'the Owner in the document is not the owner, who cannot be changed so')
    return { kind: 'own', acl: await resolveGrants(ask.grants, directory, flags) }
  }

  /** An ACL object, by copy or by reference (rules 30 to 34). Whoever cannot read it does not learn that it is there. */
  const named = async (ask: NamedAsk, asking: Asking, parties: Parties, place: Place | null): Promise<BoundAcl> => {
    const { name, mode } = ask
    if (place !== null && samePlace(place, name))
      throw new AccessError('invalid-acl-object', 'an object is not its own ACL')
    if (asking.named === null || !samePlace(asking.named.place, name)) throw denied('no ACL object of that name')
    const bound = await objects.bind(asking.named)
    if (!mayRead(bound, asking.who)) throw denied('the ACL object does not give this caller R')
    const found = await aclObjects.at(name)
    if (found === null || found.objectId !== bound.envelope.objectId)
      throw new AccessError(
        'invalid-acl-object',
        `${name.bucket}/${name.key} is no ACL object: PUT it, in one piece, as application/vnd.storage.acl+xml`,
      )
    const generation = name.generation === null ? null : Number(name.generation)
    const entries = await aclObjects.entries(found.id, generation)
    if (entries === null)
      throw new AccessError('invalid-acl-object', `${name.bucket}/${name.key} has no generation ${name.generation}`)
    if (mode === 'copy') return { kind: 'own', acl: entries }
    // whoever may write it governs all that refers to it (rule 41)
    if (found.owner !== parties.owner && !found.consent)
      throw new AccessError(
        'invalid-acl-object',
        `the owner of ${name.bucket}/${name.key} does not let others refer to it: copy it, or ask for x-storage-acl-consent`,
      )
    return { kind: 'reference', id: found.id, generation }
  }

  return {
    async ofNewObject(asking, owner, bucket, place) {
      const parties = { owner, bucketOwner: bucket?.owner ?? null }
      const own = await asked(askOfCarrier(asking.proof), asking, 'object', parties, place)
      if (own !== null) return own
      if (bucket === null || bucket.defaultAcl === null)
        return { kind: 'own', acl: expandCanned('private', owner, null) }
      if (bucket.defaultAcl.kind === 'reference') return bucket.defaultAcl
      const { acl } = bucket.defaultAcl
      // a list that is full goes without the owner's entry: he has all rights anyway (rule 12)
      if (acl.entries.length === ENTRIES_MAX) return bucket.defaultAcl
      const ownEntry = { scope: { kind: 'user', id: owner }, rights: FULL } as const
      return { kind: 'own', acl: makeAcl([ownEntry, ...acl.entries], acl) }
    },
    async ofForm(form, named, bucket, place) {
      const asking = { proof: form, who: { kind: 'anonymous' }, named, aclWrites: 'refused' } as const
      const parties = { owner: null, bucketOwner: bucket.owner }
      return (await asked(askOfCarrier(form), asking, 'object', parties, place)) ?? anonymousObjectAcl(bucket)
    },
    async ofNewBucket(asking, owner) {
      const parties = { owner, bucketOwner: owner }
      const own = await asked(askOfCarrier(asking.proof), asking, 'bucket', parties, null)
      return own ?? { kind: 'own', acl: expandCanned('private', owner, owner) }
    },
    async ofChange(asking, document, on, parties, place) {
      const { proof } = asking
      requireAclWrites(asking.aclWrites)
      const inHeaders = askOfCarrier(proof)
      if (document.length === 0) {
        const own = await asked(inHeaders, asking, on, parties, place)
        if (own === null) throw new AccessError('malformed-acl', 'want an ACL, as a document or in a header')
        return own
      }
      if (inHeaders.kind !== 'none')
        throw new AccessError('acl-sources', 'an ACL is asked for in one way: a header and a document came together')
      requireSigned(asking, document)
      const own = await asked(
        parseAclDocument(document, on === 'bucket' ? 'bucket' : 'object'),
        asking,
        on,
        parties,
        place,
      )
      if (own === null) throw denied('a document that asks for nothing')
      return own
    },
  }
}

/** What a signed request wants of the metageneration of the ACL that it changes (rule 28). @throws AccessError "malformed-precondition" */
export function metagenerationWish(proof: RequestProof): Wish {
  return ('headers' in proof && parsePreconditions(proof.headers, 'x-goog-if-')?.metageneration) || NO_WISH
}

/** @throws ReleaseError "unsigned-acl" */
function requireAclWrites(aclWrites: AclWrites): void {
  if (aclWrites === 'refused')
    throw new ReleaseError(
      'unsigned-acl',
      'ACLs are changed by signed requests: a token or session proves who asks, and not what for (setting aclWritesByBearer)',
    )
}

/**
 * A document that nobody signed could be anybody's; where such are taken, a digest that came along must still be its own.
 * @throws ReleaseError "denied" | "unsigned-acl"
 */
export function requireSigned(
  { proof, aclWrites }: { proof: RequestProof; aclWrites: AclWrites },
  document: Uint8Array,
): void {
  requireAclWrites(aclWrites)
  const payload = 'payload' in proof ? proof.payload : ''
  if (aclWrites === 'unsigned' && !/^[0-9a-f]{64}$/.test(payload)) return
  if (hash('sha256', document, 'hex') !== payload)
    throw denied('the document is not the one whose SHA-256 was signed as x-amz-content-sha256')
}
