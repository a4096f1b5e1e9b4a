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
  parseEnvelope,
  sealEnvelope,
} from '../../format/envelope.ts'
import { deriveEpochKeys, type EpochKeys } from '../../format/epoch-key.ts'
import { verifyKeyRecord } from '../../format/key-record.ts'
import { sealMetadata } from '../../format/metadata.ts'
import { signReceipt } from '../../format/receipt.ts'
import {
  type CannedAcl,
  encodeBinding,
  type JobAnswer,
  type KeyRelease,
  type ObjectPlace,
  type Principal,
  parseBinding,
  ReleaseError,
  type StationProof,
  type StoredObject,
} from '../../format/release.ts'
import { decodeProof } from '../../format/request-proof.ts'
import type { Sign } from '../../format/signed.ts'
import { openWith } from '../store/pack/device.ts'

export type Authority = KeyRelease & {
  addKey(account: string, name: string): { accessKey: string; secretKey: string }
  /** a proof that stands for this principal without a request: for stores that are bound by hand */
  callerOf(account: string): { proof: Buffer; principal: Principal }
  /** accounts whose keys are refused although their data is not */
  refused: Set<string>
  down: boolean
  epochs: Map<EpochId, { keys: EpochKeys; account: string; job: JobId | null }>
  jobAcl: Map<string, CannedAcl>
  /** but `authenticate`, which is counted */
  calls: string[]
  authentications: number
  addJob(id: JobId, job: KnownJob): void
}

export type KnownJob = {
  answer: JobAnswer
  account: string
  identity: Buffer
  importKey: KeyObject
  signReceipt: Sign
}
type Key = { account: string; name: string; secretKey: string }

export function openAuthority(): Authority {
  const keys = new Map<string, Key>()
  const hand = new Map<string, Principal>()
  const own = new Map<string, EpochId>()
  const bindings = new Map<string, CannedAcl>()
  const epochs: Authority['epochs'] = new Map()
  const jobAcl: Authority['jobAcl'] = new Map()
  const refused = new Set<string>()

  const judge = (proof: Uint8Array): { principal: Principal; key: KeyObject | null } => {
    if (authority.down) throw new ReleaseError('unavailable', 'the token is away')
    const byHand = hand.get(Buffer.from(proof).toString('latin1'))
    if (byHand) return { principal: byHand, key: null }
    const request = decodeProof(proof)
    const found = keys.get(request.accessKey)
    if (!found) throw new ReleaseError('no-credential', 'no such access key')
    const key = signingKey(found.secretKey, request)
    const verdict = verifyProof(request, key, new Date())
    if (!verdict.ok) {
      const { fault, message } = verdict
      throw new ReleaseError(fault === 'expired' || fault === 'skewed' ? fault : 'bad-proof', message)
    }
    return { principal: { account: found.account, name: found.name, accessKey: request.accessKey }, key }
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
  const aclOf = (object: StoredObject, envelope: Envelope): { owner: string; acl: CannedAcl } => {
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
    if (owner !== account && acl !== 'public-read') throw new ReleaseError('denied', 'the binding says no')
  }
  const sealed = (
    account: string,
    place: ObjectPlace,
    acl: CannedAcl,
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
        binding: encodeBinding(account, acl),
      },
    )
  }

  const jobs = new Map<string, KnownJob>()
  const jobOf = (station: StationProof): KnownJob => {
    if (authority.down) throw new ReleaseError('unavailable', 'the token is away')
    const known = jobs.get(station.job)
    if (!known) throw new ReleaseError('denied', 'no such job')
    return known
  }
  const openRecord = async (station: StationProof, record: Uint8Array) => {
    const known = jobOf(station)
    try {
      const { epoch } = verifyKeyRecord(record, known.identity)
      return { epoch, keys: deriveEpochKeys(await openWith(known.importKey, record, known.identity)), known }
    } catch (cause) {
      throw new ReleaseError('denied', cause instanceof Error ? cause.message : '', { cause })
    }
  }
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
      const principal = { account, name: account, accessKey: 'by hand' }
      hand.set(proof.toString('latin1'), principal)
      return { proof, principal }
    },
    async authenticate(proof) {
      authority.authentications++
      return judge(proof).principal
    },
    async verifyChunks(proof, chunks) {
      const { key } = judge(proof)
      const request = decodeProof(proof)
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
      const { account } = judge(request.proof).principal
      const coreHash =
        request.kind === COMPOSITE ? compositeHeaderHash(request.objectId) : coreHeaderHash(request.coreHeader)
      const { kind, objectId, plaintextLength, bodyLength, digestId, parts } = request
      return sealed(account, request.place, request.acl, request.objectKey, coreHash, request.metadata, {
        ...{ kind, objectId, plaintextLength, bodyLength, digestId, parts },
        digest: Buffer.from(request.digest),
      })
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
    async rewrap({ proof, object, parts, destination, acl, metadata }) {
      authority.calls.push('rewrap')
      const { account } = judge(proof).principal
      mayRead(object, account)
      const { key, envelope } = open(object)
      const whole = sealed(account, destination, acl, key, headerHash(envelope, object.coreHeader), metadata, envelope)
      const copies = parts.map(part => {
        const from = open(part.object)
        const to = { ...destination, ...(part.object.place.part && { part: part.object.place.part }) }
        const hash = headerHash(from.envelope, part.object.coreHeader)
        return sealed(account, to, 'private', from.key, hash, part.metadata, from.envelope)
      })
      return [whole, ...copies]
    },
    async bind({ proof, object, acl }) {
      authority.calls.push('bind')
      const { account } = judge(proof).principal
      if (account !== object.account) throw new ReleaseError('denied', 'not the owner')
      bindings.set(bindingName(object, open(object).envelope), acl)
    },
    addJob(id, job) {
      jobs.set(id, job)
    },
    async job(station) {
      return jobOf(station).answer
    },
    async metadataKey(station, record) {
      return (await openRecord(station, record)).keys.metadataKey.export()
    },
    async reseal(station, record) {
      authority.calls.push('reseal')
      const { epoch, keys, known } = await openRecord(station, record)
      epochs.set(epoch, { keys, account: known.account, job: station.job })
    },
    async prove(station, objects) {
      authority.calls.push('prove')
      const { account } = jobOf(station)
      return objects.map(({ envelope, coreHeader, place }) => {
        try {
          open({ envelope, coreHeader, account, job: station.job, place, binding: Buffer.alloc(0) })
          return { outcome: 'proved', reason: '' }
        } catch (error) {
          return { outcome: 'refused', reason: error instanceof Error ? error.message : '' }
        }
      })
    },
    async signReceipt(station, receipt) {
      authority.calls.push('signReceipt')
      return signReceipt(receipt, jobOf(station).signReceipt)
    },
  }
  return authority
}
