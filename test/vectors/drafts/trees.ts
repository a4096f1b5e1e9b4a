import { inclusionProof, leafHash } from '../../../format/merkle.ts'
import { seeded } from '../../format/stranger.ts'
import { treeRoot } from '../../format/stranger-keys.ts'
import { save } from './vector-writer.ts'

/** Trees of 0 to 9 leaves with all their audit paths. */
export async function writeTrees(folder: string): Promise<void> {
  const leaves = Array.from({ length: 9 }, (_, at) => seeded(`leaf ${at}`, at * 7))
  save(folder, 'tree', {
    structure: 'tree',
    about: 'RFC 6962 trees over leaf 0, 1, … (hex); proofs[size][index] is the audit path.',
    leaves: leaves.map(each => each.toString('hex')),
    roots: Array.from({ length: 10 }, (_, size) => treeRoot(leaves.slice(0, size)).toString('hex')),
    proofs: await Promise.all(
      Array.from({ length: 10 }, (_, size) =>
        Promise.all(
          Array.from({ length: size }, async (_, index) =>
            (await inclusionProof(index, size, leaves.slice(0, size).map(leafHash))).map(each => each.toString('hex')),
          ),
        ),
      ),
    ),
  })
}
