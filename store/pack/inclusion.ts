import type { Checkpoint } from '../../format/checkpoint.ts'
import { parseLeaf } from '../../format/leaf.ts'
import { inclusionProof, leafHash } from '../../format/merkle.ts'
import type { Proof } from '../../format/proof.ts'
import type { Index } from '../index-store.ts'
import { StoreError } from '../object-store.ts'
import type { Drive } from './drive.ts'
import { leavesOfDrive } from './manifest.ts'
import type { PackSet } from './pack-set.ts'
import type { ObjectRow } from './rows.ts'

/** Where the leaves are, and the signed checkpoint whose tree they make. */
export type SignedTree = {
  drive: Drive
  packs: PackSet
  index: Index
  checkpoint: Checkpoint
  signed: Buffer
  certificate: Buffer
}

/**
 * Shows that one object is under a signed checkpoint. Reads all leaves twice and holds a path of the tree.
 * @throws StoreError "invalid-state" - committed after the checkpoint: seal first
 */
export async function proveInclusion(tree: SignedTree, row: ObjectRow): Promise<Proof> {
  const { checkpoint } = tree
  const found = await findLeaf(tree, row)
  if (found === null)
    throw new StoreError('invalid-state', 'this object is not under a signed checkpoint yet: seal the job first')
  const path = await inclusionProof(found.index, checkpoint.treeSize, leafHashes(tree))
  return { ...found, path, checkpoint: tree.signed, certificate: tree.certificate }
}

async function findLeaf(
  { drive, packs, index, checkpoint }: SignedTree,
  row: ObjectRow,
): Promise<{ leaf: Buffer; index: number } | null> {
  let at = 0
  for await (const encoded of leavesOfDrive(drive, packs, index)) {
    if (at >= checkpoint.treeSize) return null
    const leaf = parseLeaf(encoded)
    if (leaf.objectId === row.objectId && leaf.sequence === row.sequence)
      return { leaf: Buffer.from(encoded), index: at }
    at++
  }
  return null
}

async function* leafHashes({ drive, packs, index, checkpoint }: SignedTree): AsyncGenerator<Buffer> {
  let at = 0
  for await (const encoded of leavesOfDrive(drive, packs, index)) {
    if (at++ >= checkpoint.treeSize) return
    yield leafHash(encoded)
  }
}
