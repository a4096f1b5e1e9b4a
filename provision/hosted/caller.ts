import { hash, randomBytes } from 'node:crypto'
import { type Bearer, parseBearer } from '../../access/bearer.ts'
import { AccessError } from '../../access/fault.ts'
import { type Proof, parseProof, type RequestHead } from '../../access/proof.ts'
import { FormatError } from '../../format/fault.ts'
import { encodeProof, type HeadedProof } from '../../format/request-proof.ts'

/** Who a request says it is from, as it goes to the authority, and nothing that could be judged here. */
export type Caller = {
  proof: HeadedProof
  bytes: Buffer
  /** by which he is known again at his next request */
  name: string
}

/** @returns null - a request without a proof. @throws AccessError "malformed" | "unsupported" | "unsigned-header" */
export function callerOf(request: RequestHead): Caller | null {
  const bearer = parseBearer(request)
  if (bearer !== null) return caller(bearerProof(bearer), hash('sha256', bearer.token, 'base64'))
  const proof = parseProof(request)
  return proof === null ? null : caller(proof, proof.accessKey)
}

function caller(proof: Proof | HeadedProof, name: string): Caller {
  try {
    return { proof, bytes: encodeProof(proof), name }
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw new AccessError('unsupported', 'this method cannot be signed for here', { cause })
  }
}

/** A DPoP proof is good for one request: this number tells the authority which of its questions belong to the same. */
function bearerProof(bearer: Bearer): HeadedProof {
  return { kind: 'bearer', ...bearer, requestId: bearer.dpop === null ? '' : randomBytes(16).toString('hex') }
}
