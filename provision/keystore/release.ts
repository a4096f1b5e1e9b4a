import { hash } from 'node:crypto'
import type { ObjectContext } from '../../format/context.ts'
import { COMPOSITE, type EnvelopeFields, encodeParts, KEYSTORE_KEK, PART, sealEnvelope } from '../../format/envelope.ts'
import { sealMetadata } from '../../format/metadata.ts'
import type { KeyRelease, ObjectPlace, Principal, WrapRequest } from '../../format/release.ts'
import type { Accounts, KnownAccount } from './accounts.ts'
import {
  coversAcl,
  coversCreation,
  coversRead,
  coversWrite,
  type SignedTarget,
  samePlace,
  signedHeader,
} from './coverage.ts'
import { type Epochs, NO_JOB } from './epochs.ts'
import { type Bound, bindingOf, isWhole, mayRead, type Objects } from './objects.ts'
import { checkBody, headerHash } from './opening.ts'
import type { Judged, Proofs } from './proofs.ts'
import { denied } from './refusal.ts'

type Verbs = Pick<KeyRelease, 'wrap' | 'release' | 'rewrap' | 'bind'>

/** The calls of the public store: each is judged by the caller's own signature and by what this process knows. */
export function releaseVerbs(on: { proofs: Proofs; accounts: Accounts; epochs: Epochs; objects: Objects }): Verbs {
  const { proofs, accounts, epochs, objects } = on

  const ownerOf = async (principal: Principal): Promise<KnownAccount> => {
    const account = await accounts.byId(principal.account)
    if (account === null) throw denied('the account is gone')
    return account
  }
  /** A new envelope under the account's own epoch. */
  const sealFor = async (
    owner: KnownAccount,
    objectKey: Uint8Array,
    fields: Omit<EnvelopeFields, 'kekKind' | 'kekId' | 'job' | 'sealedMetadata'>,
    coreHeader: Uint8Array,
    place: ObjectPlace,
    binding: Buffer,
    metadata: Uint8Array,
  ): Promise<{ envelope: Buffer; context: ObjectContext }> => {
    const { id, keys } = await epochs.current(owner)
    const { kind, objectId } = fields
    const sealedMetadata = sealMetadata(keys.metadataKey, { kind, objectId, job: NO_JOB, epoch: id }, metadata)
    const full = { ...fields, kekKind: KEYSTORE_KEK, kekId: id, job: NO_JOB, sealedMetadata } as const
    const context = { account: owner.id, job: null, objectId, binding, ...place }
    const core = headerHash(kind, objectId, coreHeader)
    return { envelope: sealEnvelope(keys.wrapKey, objectKey, full, core, context), context }
  }
  const readable = async (stored: Parameters<Objects['bind']>[0], account: string | null): Promise<Bound> => {
    const bound = await objects.bind(stored)
    if (!isWhole(bound.envelope)) throw denied('a part is read through its composite only')
    if (!mayRead(bound, account)) throw denied('the binding does not give this caller R')
    return bound
  }

  return {
    async wrap(request) {
      const { place, kind, objectId, plaintextLength, bodyLength, digestId, coreHeader } = request
      const judged = await proofs.judge(request.proof)
      const target = needTarget(judged)
      if (!coversWrite(target, place)) throw denied('the proof does not cover this write')
      if ((kind === PART) !== (place.part !== undefined)) throw denied('a part, and only a part, has a number')
      await requireAskedAcl(request, judged, target)
      requireOneBody(request)
      checkBody(request, coreHeader, request.objectKey)
      const owner = await ownerOf(judged.principal)
      const digest = Buffer.from(request.digest)
      const fields = { kind, objectId, plaintextLength, bodyLength, digestId, digest, parts: request.parts }
      const binding = bindingOf(owner.id, kind, request.acl)
      return (await sealFor(owner, request.objectKey, fields, coreHeader, place, binding, request.metadata)).envelope
    },
    async release({ proof, object, parts }) {
      const judged = proof === null ? null : await proofs.judge(proof)
      if (judged !== null && !coversRead(needTarget(judged), object.place))
        throw denied('the proof is for another object or another request')
      const principal = judged?.principal ?? null
      const bound = await readable(object, principal?.account ?? null)
      const key = objects.open(bound)
      if (bound.envelope.kind !== COMPOSITE) {
        if (parts.length > 0) throw denied('only a composite has parts')
        return { principal, keys: [key] }
      }
      return { principal, keys: (await objects.parts(bound, parts)).map(objects.open) }
    },
    async rewrap({ proof, object, parts, destination, acl, metadata }) {
      const judged = await proofs.judge(proof)
      const target = needTarget(judged)
      if (
        !coversWrite(target, destination) ||
        target.copySource === null ||
        !samePlace(target.copySource, object.place)
      )
        throw denied('the proof is no copy of this object to this name')
      if (destination.part === undefined && target.acl !== acl)
        throw denied('the ACL is not the one that was signed for')
      const source = await readable(object, judged.principal.account)
      if (source.envelope.kind === COMPOSITE && destination.part !== undefined)
        throw denied('a composite does not become a part')
      const owner = await ownerOf(judged.principal)
      const copy = async (from: Bound, to: ObjectPlace, sealed: Uint8Array): Promise<Buffer> => {
        const { objectId, plaintextLength, bodyLength, digestId, digest, parts: list, kind: old } = from.envelope
        const kind = to.part === undefined ? old : PART
        const fields = { kind, objectId, plaintextLength, bodyLength, digestId, digest, parts: list }
        const key = objects.open(from)
        const binding = bindingOf(owner.id, kind, acl)
        const made = await sealFor(owner, key, fields, from.stored.coreHeader, to, binding, sealed)
        key.fill(0)
        // a row for this very place would otherwise outlive the ACL that the copy asked for
        await objects.renewAcl(made.context, acl)
        return made.envelope
      }
      const out = [await copy(source, destination, metadata)]
      const found = await objects.parts(
        source,
        parts.map(each => each.object),
      )
      for (const [at, part] of found.entries()) {
        const number = part.stored.place.part
        if (number === undefined) throw denied('a part without its number')
        out.push(await copy(part, { ...destination, part: number }, parts[at]?.metadata ?? Buffer.alloc(0)))
      }
      return out
    },
    async bind({ proof, object, acl }) {
      const judged = await proofs.judge(proof)
      const target = needTarget(judged)
      if (!coversAcl(target, object.place)) throw denied('the proof is for no change of this ACL')
      if (signedHeader(judged.proof, 'x-amz-acl') !== acl) throw denied('the ACL is not the one that was signed for')
      const bound = await objects.bind(object)
      if (!isWhole(bound.envelope)) throw denied('a part has no ACL of its own')
      if (bound.owner.id !== judged.principal.account) throw denied("only the object's owner may change its ACL")
      objects.open(bound).fill(0) // that there is such an object of that name
      await objects.setAcl(bound.context, acl)
    },
  }

  async function requireAskedAcl(request: WrapRequest, judged: Judged, target: SignedTarget): Promise<void> {
    if (request.kind === PART) {
      if (request.acl !== 'private') throw denied('a part has no ACL of its own')
      return
    }
    if (request.creation === null) {
      if (target.acl !== request.acl) throw denied('the ACL is not the one that was signed for')
      return
    }
    const creation = await proofs.judgeCreation(request.creation)
    const created = needTarget(creation)
    const fits = coversCreation(created, request.place) && target.query.has('uploadId')
    if (!fits || creation.principal.account !== judged.principal.account || created.acl !== request.acl)
      throw denied('the upload was not created so')
  }
}

function needTarget(judged: Judged): SignedTarget {
  if (judged.target === null) throw denied('the proof names no object')
  return judged.target
}

/** A composite is its list: lengths add up, and the digest is the list's. */
function requireOneBody({ kind, parts, digest, plaintextLength, bodyLength }: WrapRequest): void {
  if (kind !== COMPOSITE) {
    if (parts.length > 0) throw denied('only a composite has parts')
    return
  }
  const total = parts.reduce((sum, part) => sum + part.plaintextLength, 0)
  if (bodyLength !== 0 || total !== plaintextLength || !hash('sha256', encodeParts(parts), 'buffer').equals(digest))
    throw denied('a composite that is not its list')
}
