import { type FormFields, parseFormSignature } from '../../access/form-signature.ts'
import type {
  BucketRequest,
  ExportRequest,
  KeyRelease,
  ObjectPlace,
  Released,
  StationProof,
} from '../../format/release.ts'
import { decodeProof } from '../../format/request-proof.ts'
import type { Audit } from './audit.ts'
import type { Exports } from './exports/exports.ts'
import { readTicket } from './proofs/upload-tickets.ts'
import { outside, releaseError } from './refusal.ts'

/**
 * `KeyRelease` with its audit: what gives a key or refuses one is on record before the answer leaves, and a refusal's reason stays here.
 * Requests that only authenticate are on record when they are refused.
 */
export function auditedRelease(inner: Omit<KeyRelease, keyof Exports> & Exports, audit: Audit): KeyRelease {
  type Told<T> = { what: string; who: (answer?: T) => string; about: () => string }
  const told = async <T>({ what, who, about }: Told<T>, work: () => Promise<T>, quiet = false): Promise<T> => {
    let answer: T
    try {
      answer = await work()
    } catch (cause) {
      const error = releaseError(cause)
      await audit.write({ what, who: who(), about: about(), outcome: `${error.fault}: ${error.message}` })
      throw outside(error)
    }
    // a key leaves after its entry is written
    if (!quiet) await audit.write({ what, who: who(answer), about: about(), outcome: 'done' })
    return answer
  }
  return {
    authenticate: proof =>
      told({ what: 'authenticate', who: () => signer(proof), about: () => '' }, () => inner.authenticate(proof), true),
    hold: proof => told({ what: 'hold', who: () => signer(proof), about: () => '' }, () => inner.hold(proof)),
    verifyChunks: (proof, chunks) => {
      const entry = { what: 'verify-chunks', who: () => signer(proof), about: () => `${chunks.length} chunks` }
      return told(entry, () => inner.verifyChunks(proof, chunks), true)
    },
    wrap: request =>
      told(
        {
          what: 'wrap',
          who: () => signer(request.proof),
          about: () => `${request.objectId} ${named(request.place)}`,
        },
        () => inner.wrap(request),
      ),
    beginUpload: request => {
      const about = () => `${named(request.place)} upload ${request.upload}`
      return told({ what: 'upload begin', who: () => signer(request.proof), about }, () => inner.beginUpload(request))
    },
    release: request => {
      const about = () => `${named(request.object.place)}, ${request.parts.length} parts`
      // of every read: whose key signed is known from judging it
      const who = (answer?: Released): string => {
        const accessKey = answer?.principal?.accessKey ?? ''
        return accessKey === '' ? signer(request.proof) : `key ${accessKey}`
      }
      return told({ what: 'release', who, about }, () => inner.release(request))
    },
    rewrap: request => {
      const about = () => `${named(request.object.place)} to ${named(request.destination)}`
      return told({ what: 'rewrap', who: () => signer(request.proof), about }, () => inner.rewrap(request))
    },
    bind: request => {
      const about = () => `${named(request.object.place)}, a document of ${request.document.length} bytes`
      return told({ what: 'bind', who: () => signer(request.proof), about }, () => inner.bind(request))
    },
    putAclObject: request => {
      const about = () => `${named(request.object.place)}, ${request.referrers} referrers`
      return told({ what: 'acl object', who: () => signer(request.proof), about }, () => inner.putAclObject(request))
    },
    aclObjectAt: inner.aclObjectAt,
    dropAclObject: request => {
      const about = () => named(request.place)
      return told({ what: 'acl object drop', who: () => signer(request.proof), about }, () =>
        inner.dropAclObject(request),
      )
    },
    openBucket: request => told(ofBucket('bucket open', request), () => inner.openBucket(request)),
    bindBucket: request => told(ofBucket(`bucket ${request.of}`, request), () => inner.bindBucket(request)),
    closeBucket: request => told(ofBucket('bucket close', request), () => inner.closeBucket(request)),
    orderExport: request => told(ofBucket('export order', request), () => inner.orderExport(request)),
    withdrawExport: request => told(ofBucket('export withdraw', request), () => inner.withdrawExport(request)),
    exportOrders: request => told(ofBucket('export orders', request), () => inner.exportOrders(request), true),
    names: inner.names,
    job: proof => told(byStation('job', proof), () => inner.job(proof)),
    metadataKey: (proof, record) => told(byStation('metadata-key', proof), () => inner.metadataKey(proof, record)),
    reseal: (proof, record) => told(byStation('reseal', proof), () => inner.reseal(proof, record)),
    prove: (proof, objects) => told(byStation(`prove ${objects.length}`, proof), () => inner.prove(proof, objects)),
    signReceipt: (proof, receipt) =>
      told(byStation(`receipt ${receipt.level} ${receipt.lines}`, proof), () => inner.signReceipt(proof, receipt)),
    exportJob: proof => told(byStation('export job', proof), () => inner.exportJob(proof)),
    exportKey: proof => told(byStation('export key', proof), () => inner.exportKey(proof)),
    exportObjects: (proof, request) =>
      told(byStation(`export ${request.objects.length}`, proof), async () => {
        const judged = await inner.exportObjects(proof, request)
        // each object is on record, and why where it was refused, before any of them leaves
        const entries = judged.map(({ outcome, reason }, at) => ({
          what: 'export',
          who: `order ${request.order} by station ${proof.station}`,
          about: exported(proof, request, at),
          outcome: outcome === 'exported' ? 'done' : reason || outcome,
        }))
        await Promise.all(entries.map(audit.write))
        return judged.map(({ outcome, envelopes }) => ({ outcome, envelopes }))
      }),
  }
}

function exported({ job, device }: StationProof, { epoch, objects }: ExportRequest, at: number): string {
  const asked = objects[at]
  const name = asked === undefined ? '' : `${named(asked.object.place)}, ${asked.parts.length} parts`
  return `${name}, to job ${job} device ${device} epoch ${epoch}`
}

function byStation(what: string, { station, job, device }: StationProof) {
  return { what, who: () => `station ${station}`, about: () => `job ${job} device ${device}` }
}

function ofBucket(what: string, { proof, bucket }: BucketRequest) {
  return { what, who: () => signer(proof), about: () => bucket }
}

function named({ bucket, key, part }: ObjectPlace): string {
  return `${bucket}/${key}${part === undefined ? '' : `#${part.number}`}`
}

function formKey(fields: FormFields): string {
  const form = parseFormSignature(fields)
  return form === null ? 'nobody' : `key ${form.accessKey}`
}

/** Whom the proof names, believed or not. */
function signer(proof: Uint8Array | null): string {
  if (proof === null) return 'anonymous'
  try {
    const read = decodeProof(proof)
    if (read.kind === 'upload') return `upload ${readTicket(read.ticket).upload}`
    if (read.kind === 'policy') return `form of ${formKey(new Map(read.fields))}`
    return read.kind === 'signed' ? `key ${read.accessKey}` : `${read.kind} caller`
  } catch {
    return 'key unreadable'
  }
}
