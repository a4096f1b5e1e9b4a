import { type NameAndPassword, parseBasic } from '../../access/basic.ts'
import { type ChunkClaim, chainHolds } from '../../access/chunk-claim.ts'
import { AccessError } from '../../access/fault.ts'
import { parseFormSignature } from '../../access/form-signature.ts'
import type { KeyRelease, Principal } from '../../format/release.ts'
import { encodeProof, type SignedProof } from '../../format/request-proof.ts'
import type { ObjectStore } from '../../store/object-store.ts'
import type { Admission, ChunkJudge, Gate, GateRequest } from '../../store/s3/gate.ts'
import { header } from '../../store/s3/message.ts'
import type { BoundCaller } from './acl/rights.ts'
import { callerOf, sessionCaller } from './caller.ts'
import type { BasicTickets } from './login/basic.ts'
import { callerAddress } from './login/site.ts'
import type { Unjudged } from './objects/get-verb.ts'
import { asked } from './release-fault.ts'

const SEEN_MAX = 10_000

/**
 * Lets callers in on the authority's word: this process holds no secret by which it could judge, or make, a signature itself.
 * A request without a proof comes in as nobody. A read of an object goes to the authority once, with the question for its key.
 */
export function hostedGate(options: {
  release: KeyRelease
  store: (caller: BoundCaller) => ObjectStore
  /** of nobody, with a form that says what is asked for */
  formStore: (form: Uint8Array) => ObjectStore
  /** gives objects on a proof that it hands to the authority itself */
  reading: (unjudged: Unjudged) => ObjectStore
  /** null: nobody logs in here, and no name and password are taken */
  basic: BasicTickets | null
}): Gate {
  const { release, store, formStore, reading, basic: tickets } = options
  const basicTicket = async (request: GateRequest, basic: NameAndPassword): Promise<string> => {
    if (tickets === null) throw new AccessError('unsupported', 'a name and password are not taken here')
    return tickets.of(header(request, 'host') ?? '', basic, callerAddress(request))
  }
  /** whom a caller of that name was when he was judged last */
  const seen = new Map<string, Principal>()
  const note = (name: string, principal: Principal): void => {
    seen.set(name, principal)
    const [oldest] = seen.keys()
    if (seen.size > SEEN_MAX && oldest !== undefined) seen.delete(oldest)
  }
  return {
    async admitForm(bucket, fields) {
      const proof = encodeProof({ kind: 'policy', bucket, fields: [...fields] })
      if (parseFormSignature(fields) === null) return { principal: null, store: formStore(proof), payload: null }
      const principal = await asked(release.authenticate(proof))
      return { principal: shown(principal), store: store({ proof, principal }), payload: null }
    },
    async admit(request, purpose) {
      const basic = parseBasic(request)
      const caller = basic === null ? callerOf(request) : sessionCaller(request, await basicTicket(request, basic))
      if (caller === null) return { principal: null, store: store(null), payload: null }
      const { proof, bytes, name } = caller
      const { payload } = proof
      const likely = purpose === 'read-object' ? seen.get(name) : undefined
      if (likely !== undefined) return { principal: shown(likely), store: reading({ proof: bytes, likely }), payload }
      const principal = await asked(release.authenticate(bytes))
      note(name, principal)
      const admission = { principal: shown(principal), store: store({ proof: bytes, principal }), payload }
      if (proof.kind !== 'signed') return admission
      const { time, date, region, signature } = proof
      const seed = { time, date, region, signature }
      return { ...admission, chunks: { seed, judge: chunkJudge(release, proof, bytes) } }
    },
  }
}

function shown({ user, name }: Principal): Admission['principal'] {
  return { id: user, displayName: name }
}

function chunkJudge(release: KeyRelease, proof: SignedProof, bytes: Buffer): ChunkJudge {
  let previous = proof.signature
  return async (claims: ChunkClaim[]) => {
    if (!chainHolds(claims, proof, previous))
      throw new AccessError('signature-mismatch', 'a signature inside the body does not match')
    const chunks = claims.map(({ kind, previous: previousSignature, digest, signature }) => ({
      kind,
      previousSignature,
      digest,
      signature,
    }))
    await asked(release.verifyChunks(bytes, chunks))
    previous = claims.at(-1)?.signature ?? previous
  }
}
