/** An honest authority in this process, made of the format's own functions: what the public store and intake are tested against. */
import { type KeyObject, randomBytes } from 'node:crypto'
import { chainHolds, verifyChunk } from '../../access/chunk-claim.ts'
import { verifyProof } from '../../access/proof.ts'
import { signingKey } from '../../access/signing-key.ts'
import { type EpochId, type JobId, NO_ID, newId } from '../../format/bytes.ts'
import type { ObjectContext } from '../../format/context.ts'
import { coreHeaderHash } from '../../format/core-header.ts'
import {
  COMPOSITE,
  compositeHeaderHash,
  type Envelope,
  KEYSTORE_KEK,
  openEnvelope,
  PART,
  parseEnvelope,
  sealEnvelope,
} from '../../format/envelope.ts'
import { deriveEpochKeys } from '../../format/epoch-key.ts'
import { sealMetadata } from '../../format/metadata.ts'
import {
  encodeBinding,
  type KeyRelease,
  type ObjectPlace,
  type Principal,
  parseBinding,
  ReleaseError,
  type StoredObject,
} from '../../format/release.ts'
import { authorityAcls } from './authority-acls.ts'
import { authorityStations, type EpochsHeld, type KnownJob, NO_EXPORTS } from './authority-stations.ts'
import { decodeSignedProof } from './signed-proof.ts'

export type Authority = KeyRelease & {
  addKey(account: string, name: string): { accessKey: string; secretKey: string }
  /** a proof that stands for this principal without a request: for stores that are bound by hand */
  callerOf(account: string): { proof: Buffer; principal: Principal }
  /** accounts whose keys are refused although their data is not */
  refused: Set<string>
  down: boolean
  epochs: EpochsHeld
  jobAcl: Map<string, string>
  /** but `authenticate`, which is counted */
  calls: string[]
  authentications: number
  addJob(id: JobId, job: KnownJob): void
}

type Key = { account: string; name: string; secretKey: string }

function principalOf(account: string, name: string): Omit<Principal, 'accessKey'> {
  return { account, user: account, name, groups: [], domains: [] }
}

export function openAuthority(): Authority {
  const keys = new Map<string, Key>()
  const hand = new Map<string, Principal>()
  const own = new Map<string, EpochId>()
  const bindings = new Map<string, string>()
  const epochs: Authority['epochs'] = new Map()
  const jobAcl: Authority['jobAcl'] = new Map()
  const refused = new Set<string>()

  const judge = (proof: Uint8Array): { principal: Principal; key: KeyObject | null } => {
    if (authority.down) throw new ReleaseError('unavailable', 'the token is away')
    const byHand = hand.get(Buffer.from(proof).toString('latin1'))
    if (byHand) return { principal: byHand, key: null }
    const request = decodeSignedProof(proof)
    const found = keys.get(request.accessKey)
    if (!found) throw new ReleaseError('no-credential', 'no such access key')
    const key = signingKey(found.secretKey, request)
    const verdict = verifyProof(request, key, new Date())
    if (!verdict.ok) {
      const { fault, message } = verdict
      throw new ReleaseError(fault === 'expired' || fault === 'skewed' ? fault : 'bad-proof', message)
    }
    const { account, name } = found
    return { principal: { ...principalOf(account, name), accessKey: request.accessKey }, key }
  }
  const epochOf = (account: string): EpochId => {
    const known = own.get(account)
    if (known) return known
    const id = newId<EpochId>()
    own.set(account, id)
    epochs.set(id, { keys: deriveEpochKeys(randomBytes(32)), account, job: null })
    return id
  }
  const bindingName = (object: StoredObject, envelope: Envelope) =>
    JSON.stringify([object.account, object.job, object.place.bucket, object.place.key, envelope.objectId])
  const acls = authorityAcls({
    isByHand: proof => hand.has(Buffer.from(proof).toString('latin1')),
    accountOf: proof => judge(proof).principal.account,
  })
  const aclOf = (object: StoredObject, envelope: Envelope): { owner: string; acl: string } => {
    const live = bindings.get(bindingName(object, envelope))
    if (live) return { owner: object.account, acl: live }
    if (object.job !== null) return { owner: object.account, acl: jobAcl.get(object.job) ?? 'private' }
    return parseBinding(object.binding)
  }
  const contextOf = (object: StoredObject, envelope: Envelope): ObjectContext => ({
    account: object.account,
    job: object.job,
    bucket: object.place.bucket,
    key: object.place.key,
    objectId: envelope.objectId,
    ...(object.place.part && { part: object.place.part }),
    ...(object.binding.length > 0 && { binding: object.binding }),
  })
  const headerHash = (envelope: Envelope, coreHeader: Uint8Array) =>
    envelope.kind === COMPOSITE ? compositeHeaderHash(envelope.objectId) : coreHeaderHash(coreHeader)
  const open = (object: StoredObject): { key: Buffer; envelope: Envelope } => {
    const envelope = parseEnvelope(object.envelope)
    const epoch = epochs.get(envelope.kekId)
    if (!epoch || epoch.account !== object.account || epoch.job !== object.job)
      throw new ReleaseError('denied', 'no such epoch')
    try {
      const hash = headerHash(envelope, object.coreHeader)
      return { key: openEnvelope(epoch.keys.wrapKey, envelope, hash, contextOf(object, envelope)), envelope }
    } catch (cause) {
      throw new ReleaseError('denied', 'it does not open', { cause })
    }
  }
  const mayRead = (object: StoredObject, account: string | null): void => {
    const { owner, acl } = aclOf(object, parseEnvelope(object.envelope))
    if (account !== null && refused.has(account)) throw new ReleaseError('denied', 'refused')
    acls.requireRead({ owner, acl, bucket: object.place.bucket }, account)
  }
  const sealed = (
    account: string,
    place: ObjectPlace,
    binding: Buffer,
    objectKey: Uint8Array,
    coreHash: Buffer,
    metadata: Uint8Array,
    fields: Pick<Envelope, 'kind' | 'objectId' | 'plaintextLength' | 'bodyLength' | 'digestId' | 'digest' | 'parts'>,
  ): Buffer => {
    const kekId = epochOf(account)
    const epoch = epochs.get(kekId)
    if (!epoch) throw new ReleaseError('denied', 'no epoch')
    const job = NO_ID as JobId
    const where = { kind: fields.kind, objectId: fields.objectId, job, epoch: kekId }
    return sealEnvelope(
      epoch.keys.wrapKey,
      objectKey,
      {
        ...fields,
        kekKind: KEYSTORE_KEK,
        kekId,
        job,
        sealedMetadata: sealMetadata(epoch.keys.metadataKey, where, metadata),
      },
      coreHash,
      {
        account,
        job: null,
        bucket: place.bucket,
        key: place.key,
        objectId: fields.objectId,
        ...(place.part && { part: place.part }),
        binding,
      },
    )
  }

  const stations = authorityStations({
    epochs,
    requireUp: () => {
      if (authority.down) throw new ReleaseError('unavailable', 'the token is away')
    },
    open: object => open(object).key,
    called: name => void authority.calls.push(name),
  })
  const authority: Authority = {
    refused,
    epochs,
    jobAcl,
    down: false,
    calls: [],
    authentications: 0,
    addKey(account, name) {
      const accessKey = `AK${randomBytes(8).toString('hex').toUpperCase()}`
      const secretKey = randomBytes(20).toString('base64')
      keys.set(accessKey, { account, name, secretKey })
      return { accessKey, secretKey }
    },
    callerOf(account) {
      const proof = randomBytes(16)
      const principal = { ...principalOf(account, account), accessKey: 'by hand' }
      hand.set(proof.toString('latin1'), principal)
      return { proof, principal }
    },
    async authenticate(proof) {
      authority.authentications++
      return judge(proof).principal
    },
    async hold(proof) {
      judge(proof)
    },
    async verifyChunks(proof, chunks) {
      const { key } = judge(proof)
      const request = decodeSignedProof(proof)
      const claims = chunks.map(({ kind, previousSignature: previous, digest, signature }) => ({
        ...{ kind, previous, digest, signature },
        ...{ time: request.time, date: request.date, region: request.region },
      }))
      const first = claims[0]?.previous ?? ''
      if (!key || !chainHolds(claims, request, first) || !claims.every(claim => verifyChunk(claim, key)))
        throw new ReleaseError('bad-proof', 'chunk')
    },
    async wrap(request) {
      authority.calls.push('wrap')
      if (request.proof === null) throw new ReleaseError('denied', 'nobody writes here')
      const { account } = judge(request.proof).principal
      const coreHash =
        request.kind === COMPOSITE ? compositeHeaderHash(request.objectId) : coreHeaderHash(request.coreHeader)
      const { kind, objectId, plaintextLength, bodyLength, digestId, parts } = request
      const acl =
        kind === PART ? '' : acls.ofNewObject(request.creation ?? request.proof, account, request.place.bucket)
      const binding = encodeBinding(account, acl)
      const envelope = sealed(account, request.place, binding, request.objectKey, coreHash, request.metadata, {
        ...{ kind, objectId, plaintextLength, bodyLength, digestId, parts },
        digest: Buffer.from(request.digest),
      })
      return { envelope, binding, account }
    },
    async beginUpload() {
      throw new ReleaseError('denied', 'no tickets here')
    },
    async release({ proof, object, parts }) {
      authority.calls.push('release')
      const principal = proof === null ? null : judge(proof).principal
      mayRead(object, principal?.account ?? null)
      const { key, envelope } = open(object)
      if (envelope.kind !== COMPOSITE) return { principal, keys: [key] }
      const keys = parts.map(part => {
        const opened = open(part)
        if (
          !envelope.parts.some(
            each => each.objectId === opened.envelope.objectId && each.digest.equals(opened.envelope.digest),
          )
        )
          throw new ReleaseError('denied', 'not a part of it')
        return opened.key
      })
      return { principal, keys }
    },
    async rewrap({ proof, object, parts, destination, metadata }) {
      authority.calls.push('rewrap')
      const { account } = judge(proof).principal
      mayRead(object, account)
      const { key, envelope } = open(object)
      const binding = encodeBinding(account, acls.ofNewObject(proof, account, destination.bucket))
      const partBinding = encodeBinding(account, '')
      const whole = sealed(
        account,
        destination,
        binding,
        key,
        headerHash(envelope, object.coreHeader),
        metadata,
        envelope,
      )
      const copies = parts.map(part => {
        const from = open(part.object)
        const to = { ...destination, ...(part.object.place.part && { part: part.object.place.part }) }
        const hash = headerHash(from.envelope, part.object.coreHeader)
        return sealed(account, to, partBinding, from.key, hash, part.metadata, from.envelope)
      })
      return { envelopes: [whole, ...copies], binding, partBinding, revision: 0 }
    },
    async bind({ proof, object }) {
      authority.calls.push('bind')
      const { account } = judge(proof).principal
      if (account !== object.account) throw new ReleaseError('denied', 'not the owner')
      const acl = acls.asked(proof, account, null) ?? ''
      bindings.set(bindingName(object, open(object).envelope), acl)
      const revision = acls.nextRevision()
      return { acl, revision, metageneration: revision + 1, held: true }
    },
    ...acls.calls,
    async putAclObject() {
      throw new ReleaseError('denied', 'no ACL objects here')
    },
    async dropAclObject() {},
    async aclObjectAt() {
      return null
    },
    ...NO_EXPORTS,
    async names(ids) {
      return ids.map(id => [...keys.values()].find(each => each.account === id)?.name ?? null)
    },
    addJob: stations.addJob,
    ...stations.calls,
  }
  return authority
}
