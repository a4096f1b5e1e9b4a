import { needBytes, prefixed } from './bytes.ts'
import { type Checkpoint, peekCheckpoint, verifyCheckpoint } from './checkpoint.ts'
import { FormatError } from './fault.ts'
import { LEAF_FIXED_BYTES, type Leaf, leafLength, parseLeaf } from './leaf.ts'
import { Frontier, leafHash } from './merkle.ts'
import { type ReadAt, readEntry } from './read-at.ts'
import { MESSAGE_LIMIT } from './signed.ts'

/**
 * `manifest/<number>.slm`: the sealed checkpoint, the device's certificate, and every leaf in order. Whoever trusts the certificate's
 * issuer can check it offline. @see FORMAT.md §7.6
 */
export const MANIFEST_HEAD_BYTES = 8
const MAGIC = Buffer.from('SLMF', 'ascii')
const VERSION = 1
const CERTIFICATE_LIMIT = 16 << 10

export function encodeManifestHead(sealedCheckpoint: Uint8Array, deviceCertificate: Uint8Array): Buffer {
  const head = Buffer.alloc(MANIFEST_HEAD_BYTES)
  MAGIC.copy(head)
  head[4] = VERSION
  return Buffer.concat([head, prefixed(sealedCheckpoint), prefixed(deviceCertificate)])
}

export type ManifestHead = {
  checkpoint: Checkpoint
  signedCheckpoint: Buffer
  deviceCertificate: Buffer
  leavesAt: number
}

/** Its signature is not judged here: `checkManifest` does, with a key from the certificate. */
export async function readManifestHead(read: ReadAt): Promise<ManifestHead> {
  const head = await read(0, MANIFEST_HEAD_BYTES)
  needBytes(head, 0, MANIFEST_HEAD_BYTES, 'manifest')
  if (!head.subarray(0, 4).equals(MAGIC)) throw new FormatError('malformed', 'manifest: does not begin with SLMF')
  if (head[4] !== VERSION || head[5] !== 0 || head.readUInt16BE(6) !== 0)
    throw new FormatError('unsupported', `manifest: version ${head[4]}`)
  const checkpoint = await readEntry(read, MANIFEST_HEAD_BYTES, MESSAGE_LIMIT, 'manifest: checkpoint')
  const certificate = await readEntry(read, checkpoint.end, CERTIFICATE_LIMIT, 'manifest: certificate')
  return {
    checkpoint: peekCheckpoint(checkpoint.bytes),
    signedCheckpoint: checkpoint.bytes,
    deviceCertificate: certificate.bytes,
    leavesAt: certificate.end,
  }
}

const BATCH_BYTES = 1 << 20

/** Leaves one after another from `offset` to the end, as they stand. */
export async function* readLeaves(read: ReadAt, offset: number): AsyncGenerator<Buffer> {
  let held: Buffer = Buffer.alloc(0)
  let at = offset
  for (;;) {
    const more = await read(at, BATCH_BYTES)
    at += more.length
    held = held.length === 0 ? more : Buffer.concat([held, more])
    let used = 0
    while (held.length - used >= LEAF_FIXED_BYTES) {
      const length = leafLength(held, used)
      if (held.length - used < length) break
      yield held.subarray(used, used + length)
      used += length
    }
    held = held.subarray(used)
    if (more.length === 0) {
      if (held.length > 0) throw new FormatError('truncated', `manifest: ${held.length} bytes after its last leaf`)
      return
    }
  }
}

/**
 * The whole manifest against its signature: every leaf, in order, under the signed root.
 *
 * @param signer - the device's identity key (SPKI)
 * @throws FormatError "tampered" | "mismatch" | "truncated"
 */
export async function checkManifest(
  read: ReadAt,
  signer: Uint8Array,
  each: (leaf: Leaf, encoded: Buffer) => void | Promise<void>,
): Promise<Checkpoint> {
  const head = await readManifestHead(read)
  const checkpoint = verifyCheckpoint(head.signedCheckpoint, signer)
  if (checkpoint.state !== 'sealed')
    throw new FormatError('mismatch', `manifest: wanted a sealed checkpoint, found one in state ${checkpoint.state}`)
  const frontier = Frontier.empty()
  for await (const encoded of readLeaves(read, head.leavesAt)) {
    const leaf = parseLeaf(encoded)
    if (leaf.job !== checkpoint.job) throw new FormatError('mismatch', `manifest: a leaf of job ${leaf.job}`)
    frontier.append(leafHash(encoded))
    await each(leaf, encoded)
  }
  if (frontier.size !== checkpoint.treeSize || !frontier.root().equals(checkpoint.root))
    throw new FormatError(
      'tampered',
      `manifest: its ${frontier.size} leaves are not the ${checkpoint.treeSize} that were signed`,
    )
  return checkpoint
}
