import { decodeProof, type SignedProof } from '../../format/request-proof.ts'

/** A proof in bytes that must be a signature. */
export function decodeSignedProof(bytes: Uint8Array): SignedProof {
  const proof = decodeProof(bytes)
  if (proof.kind !== 'signed') throw new Error(`a signature was wanted, not ${proof.kind}`)
  return proof
}
