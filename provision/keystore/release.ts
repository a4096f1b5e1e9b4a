import { hash } from 'node:crypto'
import { NO_ENTRIES as NONE, W } from '../../access/acl/acl.ts'
import type { BoundAcl } from '../../access/acl/bound.ts'
import type { DecisionSettings, Who } from '../../access/acl/decide.ts'
import type { Account } from '../../format/administration.ts'
import type { ObjectContext } from '../../format/context.ts'
import {
  COMPOSITE,
  type EnvelopeFields,
  encodeParts,
  KEYSTORE_KEK,
  OBJECT,
  PART,
  sealEnvelope,
} from '../../format/envelope.ts'
import { sealMetadata } from '../../format/metadata.ts'
import type { KeyRelease, ObjectPlace, WrapRequest } from '../../format/release.ts'
import { decodeProof } from '../../format/request-proof.ts'
import { type AskedAcls, type Asking, anonymousObjectAcl, metagenerationWish } from './acl/asked-acl.ts'
import type { BucketRights } from './acl/bucket-rights.ts'
import type { Buckets } from './acl/buckets.ts'
import { askedKey } from './keys/asked-key.ts'
import { type Epochs, NO_JOB } from './keys/epochs.ts'
import type { MasterKeys } from './keys/master-keys.ts'
import { checkBody, headerHash } from './keys/opening.ts'
import { type Bound, bindingOf, isWhole, mayChangeAcl, mayRead, type Objects } from './objects.ts'
import type { Accounts } from './people/accounts.ts'
import {
  coversAcl,
  coversBeginning,
  coversCreation,
  coversRead,
  coversWrite,
  type RequestTarget,
  samePlace,
} from './proofs/coverage.ts'
import { requireLength, unsignedForm } from './proofs/policy-proofs.ts'
import type { Judged, Proofs } from './proofs/proofs.ts'
import { spendingOf } from './proofs/spent.ts'
import { isCreation, type UploadTickets } from './proofs/upload-tickets.ts'
import { denied } from './refusal.ts'

type Verbs = Pick<KeyRelease, 'beginUpload' | 'wrap' | 'release' | 'rewrap' | 'bind'>

/** The calls of the public store: each is judged by the caller's own signature and by what this process knows. */
export function releaseVerbs(on: {
  proofs: Proofs
  uploads: Pick<UploadTickets, 'mint'>
  accounts: Accounts
  masters: Pick<MasterKeys, 'find' | 'usable'>
  epochs: Epochs
  objects: Objects
  buckets: Pick<Buckets, 'find'>
  bucketRights: BucketRights
  askedAcls: AskedAcls
  decision: DecisionSettings
}): Verbs {
  const { proofs, uploads, accounts, masters, epochs, objects, buckets, bucketRights, askedAcls, decision } = on

  const accountOf = async (id: string): Promise<Account> => {
    const account = await accounts.byId(id)
    if (account === null || account.disabled) throw denied('the account is gone or switched off')
    return account
  }
  /** A new envelope under the account's epoch of that key. */
  const sealFor = async (
    owner: Account,
    master: string,
    objectKey: Uint8Array,
    fields: Omit<EnvelopeFields, 'kekKind' | 'kekId' | 'job' | 'sealedMetadata'>,
    coreHeader: Uint8Array,
    place: ObjectPlace,
    binding: Buffer,
    metadata: Uint8Array,
  ): Promise<{ envelope: Buffer; context: ObjectContext }> => {
    const { id, keys } = await epochs.current(owner.id, master)
    const { kind, objectId } = fields
    const sealedMetadata = sealMetadata(keys.metadataKey, { kind, objectId, job: NO_JOB, epoch: id }, metadata)
    const full = { ...fields, kekKind: KEYSTORE_KEK, kekId: id, job: NO_JOB, sealedMetadata } as const
    const context = { account: owner.id, job: null, objectId, binding, ...place }
    const core = headerHash(kind, objectId, coreHeader)
    return { envelope: sealEnvelope(keys.wrapKey, objectKey, full, core, context), context }
  }
  const readable = async (stored: Parameters<Objects['bind']>[0], who: Who): Promise<Bound> => {
    const bound = await objects.bind(stored)
    if (!isWhole(bound.envelope)) throw denied('a part is read through its composite only')
    if (!mayRead(bound, who)) throw denied('the binding does not give this caller R')
    return bound
  }

  return {
    async beginUpload({ proof, place, upload, named }) {
      const judged = await proofs.judge(proof)
      if (!coversBeginning(judged.proof, needTarget(judged), place) || place.part !== undefined)
        throw denied('the proof begins no upload of this object')
      await bucketRights.require(place.bucket, judged.who, W)
      // one that cannot be had is refused before the bytes come; which it is, is said when the object is there
      await newAcl({ ...judged, named }, place)
      await askedKey(masters, judged, judged.principal.account)
      return uploads.mint(judged.principal, proof, place, upload)
    },
    async wrap(request) {
      const { place, kind, objectId, plaintextLength, bodyLength, digestId, coreHeader } = request
      const digest = Buffer.from(request.digest)
      const fields = { kind, objectId, plaintextLength, bodyLength, digestId, digest, parts: request.parts }
      const form = unsignedForm(request.proof, place)
      if (request.proof === null || form !== null) {
        if (kind !== OBJECT || place.part !== undefined) throw denied('only an object is put without a proof')
        const bucket = await bucketRights.require(place.bucket, ANONYMOUS, W)
        requireOneBody(request)
        checkBody(request, coreHeader, request.objectKey)
        const owner = await accountOf(bucket.account)
        const { named } = request
        const acl = form === null ? anonymousObjectAcl(bucket) : await askedAcls.ofForm(form, named, bucket, place)
        if (form !== null && (await askedKey(masters, { proof: form, who: ANONYMOUS }, owner.id)).encryption !== null)
          throw denied('nobody who is not known uses a named key')
        const binding = bindingOf(null, kind, acl, null)
        const made = await sealFor(
          owner,
          owner.id,
          request.objectKey,
          fields,
          coreHeader,
          place,
          binding,
          request.metadata,
        )
        return { envelope: made.envelope, binding, account: owner.id }
      }
      const judged = await proofs.judgeWrite(request.proof)
      const target = needTarget(judged)
      if (!coversWrite(target, place)) throw denied('the proof does not cover this write')
      requireLength(judged.proof, plaintextLength)
      // who began may have lost it since
      if (judged.proof.kind === 'upload') await bucketRights.require(place.bucket, judged.who, W)
      if ((kind === PART) !== (place.part !== undefined)) throw denied('a part, and only a part, has a number')
      if (kind === COMPOSITE ? request.creation === null : kind === OBJECT && request.creation !== null)
        throw denied('what is uploaded in parts, and nothing else, was asked for by the request that began it')
      const asking = request.creation === null ? judged : await creationOf(request, request.creation, judged, target)
      requireOneBody(request)
      checkBody(request, coreHeader, request.objectKey)
      const owner = await accountOf(judged.principal.account)
      const { user } = judged.principal
      const { master, encryption } = await askedKey(masters, { ...asking, who: judged.who }, owner.id)
      const acl = kind === PART ? NO_ENTRIES : await newAcl({ ...asking, named: request.named }, place)
      const binding = bindingOf(user, kind, acl, encryption)
      const made = await sealFor(owner, master, request.objectKey, fields, coreHeader, place, binding, request.metadata)
      return { envelope: made.envelope, binding, account: owner.id }
    },
    async release({ proof, object, parts }) {
      const judged = proof === null ? null : await proofs.judge(proof)
      if (judged !== null && !coversRead(needTarget(judged), object.place))
        throw denied('the proof is for another object or another request')
      const principal = judged?.principal ?? null
      const bound = await readable(object, judged?.who ?? ANONYMOUS)
      const key = objects.open(bound)
      if (bound.envelope.kind !== COMPOSITE) {
        if (parts.length > 0) throw denied('only a composite has parts')
        return { principal, keys: [key] }
      }
      return { principal, keys: (await objects.parts(bound, parts)).map(objects.open) }
    },
    async rewrap({ proof, object, parts, destination, metadata, named }) {
      const judged = await proofs.judge(proof)
      const target = needTarget(judged)
      if (
        !coversWrite(target, destination) ||
        target.copySource === null ||
        !samePlace(target.copySource, object.place)
      )
        throw denied('the proof is no copy of this object to this name')
      await bucketRights.require(destination.bucket, judged.who, W)
      const source = await readable(object, judged.who)
      if (source.envelope.kind === COMPOSITE && destination.part !== undefined)
        throw denied('a composite does not become a part')
      const owner = await accountOf(judged.principal.account)
      const { user } = judged.principal
      const acl = destination.part === undefined ? await newAcl({ ...judged, named }, destination) : NO_ENTRIES
      const { master, encryption } = await askedKey(masters, judged, owner.id)
      let revision = 0
      const copy = async (from: Bound, to: ObjectPlace, sealed: Uint8Array): Promise<Buffer> => {
        const { objectId, plaintextLength, bodyLength, digestId, digest, parts: list, kind: old } = from.envelope
        const kind = to.part === undefined ? old : PART
        const fields = { kind, objectId, plaintextLength, bodyLength, digestId, digest, parts: list }
        const key = objects.open(from)
        const binding = bindingOf(user, kind, acl, encryption)
        const made = await sealFor(owner, master, key, fields, from.stored.coreHeader, to, binding, sealed)
        key.fill(0)
        // a row for this very place would otherwise outlive the ACL that the copy asked for
        const spending = spendingOf(proof, judged)
        const renewed = await objects.renewAcl(made.context, kind === PART ? NO_ENTRIES : acl, spending)
        if (from === source) revision = renewed
        return made.envelope
      }
      const envelopes = [await copy(source, destination, metadata)]
      const found = await objects.parts(
        source,
        parts.map(each => each.object),
      )
      for (const [at, part] of found.entries()) {
        const number = part.stored.place.part
        if (number === undefined) throw denied('a part without its number')
        envelopes.push(await copy(part, { ...destination, part: number }, parts[at]?.metadata ?? Buffer.alloc(0)))
      }
      const kind = destination.part === undefined ? source.envelope.kind : PART
      return {
        envelopes,
        binding: bindingOf(user, kind, acl, encryption),
        partBinding: bindingOf(user, PART, NO_ENTRIES, encryption),
        revision,
      }
    },
    async bind({ proof, object, document, named }) {
      const judged = await proofs.judge(proof)
      const target = needTarget(judged)
      if (!coversAcl(target, object.place)) throw denied('the proof is for no change of this ACL')
      const bound = await objects.bind(object)
      if (!isWhole(bound.envelope)) throw denied('a part has no ACL of its own')
      if (!mayChangeAcl(bound, judged.who, decision)) throw denied('the binding does not give this caller WA')
      objects.open(bound).fill(0) // that there is such an object of that name
      const { place } = object
      const acl = await askedAcls.ofChange({ ...judged, named }, document, 'object', bound, place)
      return objects.setAcl(bound.context, acl, spendingOf(proof, judged), metagenerationWish(judged.proof))
    },
  }

  async function newAcl(asking: Judged & Asking, place: ObjectPlace): Promise<BoundAcl> {
    return askedAcls.ofNewObject(asking, asking.principal.user, await buckets.find(place.bucket), place)
  }

  /** The request that began the upload that this one completes: what it asked for holds. */
  async function creationOf(
    request: WrapRequest,
    creation: Uint8Array,
    judged: Judged,
    target: RequestTarget,
  ): Promise<Judged> {
    if (judged.proof.kind === 'upload') {
      if (!isCreation(judged.proof, creation)) throw denied('the upload was not begun so')
      return { ...judged, proof: decodeProof(creation) }
    }
    const created = await proofs.judgeCreation(creation)
    const fits = coversCreation(needTarget(created), request.place) && target.query.has('uploadId')
    if (!fits || created.principal.user !== judged.principal.user) throw denied('the upload was not created so')
    return created
  }
}

const ANONYMOUS: Who = { kind: 'anonymous' }
const NO_ENTRIES: BoundAcl = { kind: 'own', acl: NONE }

function needTarget(judged: Judged): RequestTarget {
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
