import { type Checkpoint, verifyCheckpoint } from './checkpoint.ts'
import { FormatError } from './fault.ts'
import { type Leaf, parseLeaf } from './leaf.ts'
import { HASH_BYTES, leafHash, verifyInclusion } from './merkle.ts'

/**
 * Shows that one object is in a signed set, without the rest of the set. A file of its own, JSON, binary fields in base64.
 * @see FORMAT.md §7.7
 */
export type Proof = {
  leaf: Buffer
  index: number
  /** siblings from the leaf up, as `inclusionProof` gives them */
  path: Buffer[]
  /** the signed checkpoint */
  checkpoint: Buffer
  /** X.509, DER: the device's identity certificate */
  certificate: Buffer
}

export const PROOF_LIMIT = 8 << 20
const PATH_LIMIT = 53

export function encodeProof(proof: Proof): Buffer {
  const document = {
    format: 1,
    leaf: proof.leaf.toString('base64'),
    index: proof.index,
    path: proof.path.map(each => each.toString('base64')),
    checkpoint: proof.checkpoint.toString('base64'),
    certificate: proof.certificate.toString('base64'),
  }
  return Buffer.from(`${JSON.stringify(document, null, 2)}\n`, 'utf8')
}

/** @throws FormatError "malformed" | "unsupported" | "limit" */
export function parseProof(bytes: Uint8Array): Proof {
  if (bytes.length > PROOF_LIMIT)
    throw new FormatError('limit', `proof: at most ${PROOF_LIMIT} bytes, found ${bytes.length}`)
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch (cause) {
    throw new FormatError('malformed', 'proof: not JSON', { cause })
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new FormatError('malformed', 'proof: wanted an object')
  const map = new Map<string, unknown>(Object.entries(value))
  if (map.get('format') !== 1) throw new FormatError('unsupported', 'proof: format is not 1')
  const index = map.get('index')
  if (typeof index !== 'number' || !Number.isSafeInteger(index) || index < 0)
    throw new FormatError('malformed', 'proof: "index" wanted a whole number')
  const path = map.get('path')
  if (!Array.isArray(path)) throw new FormatError('malformed', 'proof: "path" wanted a list')
  if (path.length > PATH_LIMIT) throw new FormatError('limit', `proof: "path" has more than ${PATH_LIMIT} items`)
  return {
    leaf: base64(map.get('leaf'), 'leaf'),
    index,
    path: path.map(each => hashOf(each)),
    checkpoint: base64(map.get('checkpoint'), 'checkpoint'),
    certificate: base64(map.get('certificate'), 'certificate'),
  }
}

function hashOf(value: unknown): Buffer {
  const out = base64(value, 'path')
  if (out.length !== HASH_BYTES) throw new FormatError('malformed', `proof: a hash of ${out.length} bytes in "path"`)
  return out
}

function base64(value: unknown, name: string): Buffer {
  if (typeof value !== 'string') throw new FormatError('malformed', `proof: "${name}" wanted base64`)
  const out = Buffer.from(value, 'base64')
  if (out.toString('base64') !== value) throw new FormatError('malformed', `proof: "${name}" is not base64`)
  return out
}

/**
 * @param signer - SPKI from the proof's certificate, which the caller has verified up to a CA that it trusts
 * @returns what was proved: this leaf is in the set of this checkpoint
 * @throws FormatError "tampered" | "mismatch" | "malformed"
 */
export function verifyProof(proof: Proof, signer: Uint8Array): { leaf: Leaf; checkpoint: Checkpoint } {
  const checkpoint = verifyCheckpoint(proof.checkpoint, signer)
  const leaf = parseLeaf(proof.leaf)
  if (leaf.job !== checkpoint.job) throw new FormatError('mismatch', 'proof: object and checkpoint are of two jobs')
  verifyInclusion(leafHash(proof.leaf), proof.index, checkpoint.treeSize, proof.path, checkpoint.root)
  return { leaf, checkpoint }
}
