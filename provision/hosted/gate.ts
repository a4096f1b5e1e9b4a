import { type ChunkClaim, chainHolds } from '../../access/chunk-claim.ts'
import { AccessError } from '../../access/fault.ts'
import { type Proof, parseProof } from '../../access/proof.ts'
import { FormatError } from '../../format/fault.ts'
import type { KeyRelease } from '../../format/release.ts'
import { encodeProof } from '../../format/request-proof.ts'
import type { ObjectStore } from '../../store/object-store.ts'
import type { ChunkJudge, Gate } from '../../store/s3/gate.ts'
import { asked } from './release-fault.ts'
import type { BoundCaller } from './rights.ts'

/**
 * Lets callers in on the authority's word: this process holds no secret by which it could judge, or make, a signature itself.
 * A request without a proof comes in as nobody.
 */
export function hostedGate(options: { release: KeyRelease; store: (caller: BoundCaller) => ObjectStore }): Gate {
  const { release, store } = options
  return {
    async admit(request) {
      const proof = parseProof(request)
      if (proof === null) return { principal: null, store: store(null), payload: null }
      const bytes = proofBytes(proof)
      const principal = await asked(release.authenticate(bytes))
      const { time, date, region, signature } = proof
      return {
        principal: { id: principal.account, displayName: principal.name },
        store: store({ proof: bytes, principal }),
        payload: proof.payload,
        chunks: { seed: { time, date, region, signature }, judge: chunkJudge(release, proof, bytes) },
      }
    },
  }
}

function proofBytes(proof: Proof): Buffer {
  try {
    return encodeProof(proof)
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw new AccessError('unsupported', 'this method cannot be signed for here', { cause })
  }
}

function chunkJudge(release: KeyRelease, proof: Proof, bytes: Buffer): ChunkJudge {
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
