import type { KeyObject } from 'node:crypto'
import { sha256Hex } from './canonical.ts'
import type { Proof } from './proof.ts'
import { scopeText, signatureMatches, signatureOf } from './signing-key.ts'

/**
 * One signature inside an aws-chunked body, of the scheme AWS4 always: what it covers and what the client wrote. Plain strings: another
 * process can judge it.
 * A chain: each names the one before; the first names the request's own signature.
 */
export type ChunkClaim = {
  kind: 'chunk' | 'trailer'
  time: string
  date: string
  region: string
  /** 64 hex digits */
  previous: string
  /** hex SHA-256 of the chunk's bytes, or of the trailer's lines as `name:value\n` */
  digest: string
  signature: string
}

const emptyDigest = sha256Hex('')

export function chunkStringToSign(claim: Omit<ChunkClaim, 'signature'>): string {
  const scope = scopeText({ scheme: 'AWS4', ...claim })
  return claim.kind === 'chunk'
    ? `AWS4-HMAC-SHA256-PAYLOAD\n${claim.time}\n${scope}\n${claim.previous}\n${emptyDigest}\n${claim.digest}`
    : `AWS4-HMAC-SHA256-TRAILER\n${claim.time}\n${scope}\n${claim.previous}\n${claim.digest}`
}

export function signChunk(claim: Omit<ChunkClaim, 'signature'>, key: KeyObject): ChunkClaim {
  return { ...claim, signature: signatureOf(key, chunkStringToSign(claim)) }
}

/** @param key - signing key of the claim's date and region */
export function verifyChunk(claim: ChunkClaim, key: KeyObject): boolean {
  return signatureMatches(key, chunkStringToSign(claim), claim.signature)
}

/**
 * Whether a batch of claims goes on from `previous`, the request's signature or the last one judged, in the scope of that request.
 * Without it a lying store could present chunks of another request of the same day.
 */
export function chainHolds(
  claims: readonly ChunkClaim[],
  proof: Pick<Proof, 'time' | 'date' | 'region'>,
  previous: string,
): boolean {
  let before = previous
  for (const claim of claims) {
    const sameRequest = claim.time === proof.time && claim.date === proof.date && claim.region === proof.region
    if (!sameRequest || claim.previous !== before) return false
    before = claim.signature
  }
  return true
}
