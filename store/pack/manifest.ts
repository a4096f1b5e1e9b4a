import { openFrame } from '../../format/frame.ts'
import { encodeManifestHead } from '../../format/manifest.ts'
import { Frontier, leafHash } from '../../format/merkle.ts'
import { parseLeavesFrame } from '../../format/pack-walk.ts'
import type { Index } from '../index-store.ts'
import { StoreError } from '../object-store.ts'
import { type Drive, writeManifestFile } from './drive.ts'
import { readLeavesRows } from './pack-rows.ts'
import type { PackSet } from './pack-set.ts'

const PIECE_BYTES = 1 << 20

/** The leaves of a drive in tree order. What a recovery wrote again stands twice in the packs and comes once. */
export async function* leavesOfDrive(drive: Drive, packs: PackSet, index: Index): AsyncGenerator<Buffer> {
  let next = 0
  for (const row of readLeavesRows(index, drive.volume.drive)) {
    if (row.firstIndex + row.count <= next) continue
    const frame = await packs.read(row.pack, row.offset, row.end - row.offset)
    const { leaves } = parseLeavesFrame(openFrame(frame).payload)
    for (const leaf of leaves.slice(Math.max(0, next - row.firstIndex))) yield leaf
    next = row.firstIndex + row.count
  }
}

/**
 * Writes `manifest/<number>.slm` and checks the tree on the way.
 * @throws StoreError "damaged" - the drive's leaves are not those that were signed
 */
export async function writeManifest(
  drive: Drive,
  packs: PackSet,
  index: Index,
  sealed: { signed: Buffer; number: number; root: Buffer; size: number },
  deviceCertificate: Uint8Array,
): Promise<string> {
  const frontier = Frontier.empty()
  async function* pieces(): AsyncGenerator<Buffer> {
    let held: Buffer[] = [encodeManifestHead(sealed.signed, deviceCertificate)]
    let bytes = 0
    for await (const leaf of leavesOfDrive(drive, packs, index)) {
      frontier.append(leafHash(leaf))
      held.push(Buffer.from(leaf))
      bytes += leaf.length
      if (bytes > PIECE_BYTES) {
        yield Buffer.concat(held)
        held = []
        bytes = 0
      }
    }
    yield Buffer.concat(held)
    requireSigned()
  }
  const requireSigned = (): void => {
    if (frontier.size !== sealed.size || !frontier.root().equals(sealed.root))
      throw new StoreError(
        'damaged',
        `${drive.path}: its leaves (${frontier.size}) are not those that were signed (${sealed.size}); do not ship this drive`,
      )
  }
  return writeManifestFile(drive, sealed.number, pieces())
}
