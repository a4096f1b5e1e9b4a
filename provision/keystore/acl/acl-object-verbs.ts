import { W } from '../../../access/acl/acl.ts'
import { parseAclDocument } from '../../../access/acl/document.ts'
import { type Directory, resolveGrants } from '../../../access/acl/grantees.ts'
import { encodeAcl } from '../../../access/acl/text.ts'
import { AccessError } from '../../../access/fault.ts'
import type { KeyRelease } from '../../../format/release.ts'
import type { RequestProof } from '../../../format/request-proof.ts'
import type { Objects } from '../objects.ts'
import { coversDelete, coversWrite, requestHeader } from '../proofs/coverage.ts'
import type { Proofs } from '../proofs/proofs.ts'
import { spendingOf } from '../proofs/spent.ts'
import { denied } from '../refusal.ts'
import type { AclObjects } from './acl-objects.ts'
import { requireSigned } from './asked-acl.ts'
import type { BucketRights } from './bucket-rights.ts'

type Verbs = Pick<KeyRelease, 'putAclObject' | 'dropAclObject' | 'aclObjectAt'>

const CONSENT = 'x-storage-acl-consent'

/** Objects that are the ACLs of others: what they say is judged here before anybody can read it. */
export function aclObjectVerbs(on: {
  proofs: Proofs
  objects: Objects
  aclObjects: AclObjects
  bucketRights: BucketRights
  directory: Directory
}): Verbs {
  const { proofs, objects, aclObjects, bucketRights, directory } = on
  return {
    async putAclObject({ proof, object, document, replaces }) {
      const judged = await proofs.judge(proof)
      const { place } = object
      if (judged.target === null || !coversWrite(judged.target, place) || place.part !== undefined)
        throw denied('the proof does not cover this write')
      requireSigned(judged, document)
      const bound = await objects.bind(object)
      if (bound.owner !== judged.principal.user) throw denied('an object that another made')
      objects.open(bound).fill(0) // that there is such an object of that name
      await bucketRights.require(place.bucket, judged.who, W)
      // W in it counts for buckets that refer to it (rule 38)
      const acl = await resolveGrants(parseAclDocument(document, 'bucket').grants, directory)
      const { objectId } = bound.envelope
      const made = { objectId, owner: bound.owner, consent: consentOf(judged.proof), acl, replaces }
      const { id, generation } = await aclObjects.put(place, made, spendingOf(proof, judged))
      return { id, generation, acl: encodeAcl(acl) }
    },
    async aclObjectAt(place) {
      const found = await aclObjects.at(place)
      const acl = found === null ? null : await aclObjects.entries(found.id, null)
      if (found === null || acl === null) return null
      const { id, generation, objectId } = found
      return { id, generation, objectId, acl: encodeAcl(acl) }
    },
    async dropAclObject({ proof, place, objectId }) {
      const judged = await proofs.judge(proof)
      if (judged.target === null || !(coversDelete(judged.target, place) || coversWrite(judged.target, place)))
        throw denied('the proof is for no deletion of this object')
      await bucketRights.require(place.bucket, judged.who, W)
      await aclObjects.drop(place, objectId)
    },
  }
}

/** @throws AccessError "malformed-acl" */
function consentOf(proof: RequestProof): boolean {
  const text = requestHeader(proof, CONSENT)?.toLowerCase()
  if (text === undefined || text === 'owner') return false
  if (text === 'any') return true
  throw new AccessError('malformed-acl', `${CONSENT}: want any or owner, got ${JSON.stringify(text.slice(0, 40))}`)
}
