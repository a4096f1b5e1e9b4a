import { hash, randomBytes } from 'node:crypto'
import { type Bearer, parseBearer, unsignedRequest } from '../../access/bearer.ts'
import { fromThisSite } from '../../access/cookie.ts'
import { AccessError } from '../../access/fault.ts'
import { type Proof, parseProof, type RequestHead } from '../../access/proof.ts'
import { FormatError } from '../../format/fault.ts'
import { TICKET_MAX } from '../../format/login.ts'
import { encodeProof, type HeadedProof } from '../../format/request-proof.ts'
import { header } from '../../store/s3/message.ts'
import { cookieOf } from './login/site.ts'

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
  if (proof !== null) return caller(proof, proof.accessKey)
  const ticket = cookieOf(request, 'session')
  if (ticket === null) return null
  const reads = request.method === 'GET' || request.method === 'HEAD'
  // the cookie goes along with whatever a page of somebody else makes the browser send
  if (!reads && !fromThisSite(request, header(request, 'host') ?? ''))
    throw new AccessError('denied', 'With a session, what changes something must be sent by a page of this very host.')
  return sessionCaller(request, ticket)
}

/** @throws AccessError "bad-token" - no ticket of ours */
export function sessionCaller(request: RequestHead, ticket: string): Caller {
  if (ticket.length > TICKET_MAX || !/^[\w-]+$/.test(ticket))
    throw new AccessError('bad-token', 'the session is none of ours')
  return caller({ kind: 'session', ...unsignedRequest(request), ticket }, hash('sha256', ticket, 'base64'))
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
