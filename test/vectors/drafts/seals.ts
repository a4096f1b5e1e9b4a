import { inclusionProof, leafHash } from '../../../format/merkle.ts'
import { encodeProof } from '../../../format/proof.ts'
import { checkpointPath, manifestPath } from '../../../format/volume.ts'
import type { SmallDrive } from '../../format/small-drive.ts'
import { cut, flip, longer, signed } from './draft.ts'
import { write } from './vector-writer.ts'

/** What binds the small drive together: checkpoints, manifest, proof. */
export async function writeSeals(folder: string, drive: SmallDrive): Promise<void> {
  const spki = drive.device.spki.toString('hex')
  const otherSpki = drive.provider.spki.toString('hex')
  await write(
    folder,
    'checkpoint',
    'Signed by the device.',
    drive.checkpoints.map((bytes, at) => ({
      name: `checkpoint ${at + 1}`,
      inputs: at === 1 ? { deviceSpki: spki, sealCode: drive.code } : { deviceSpki: spki },
      bytes,
      refused: [
        ...signed(200),
        ['signed by another', 'tampered', { inputs: { deviceSpki: otherSpki } }],
        ['another seal code', 'wrong-code', { inputs: { sealCode: '0000-0000-0000-0000' } }],
        ['a short seal code', 'wrong-code', { inputs: { sealCode: '0000-0000-0000-000' } }],
        ['a symbol that is none', 'wrong-code', { inputs: { sealCode: '0000-0000-0000-000U' } }],
      ],
    })),
  )
  const manifest = drive.files.get(manifestPath(2)) ?? Buffer.alloc(0)
  await write(folder, 'manifest', 'Head, sealed checkpoint, certificate, leaves.', [
    {
      name: 'the small drive',
      inputs: { deviceSpki: spki },
      bytes: manifest,
      refused: [
        flip('magic', 'malformed', 0),
        flip('version', 'unsupported', 4),
        flip('reserved', 'unsupported', 7),
        flip('length of the checkpoint above its bound', 'limit', 8),
        flip('a leaf', 'tampered', -1),
        cut('truncated'),
        longer('truncated'),
        ['the last leaf gone', 'tampered', { cut: drive.leaves.at(-1)?.length ?? 0 }],
        ['a leaf twice', 'tampered', { append: drive.leaves.at(-1)?.toString('hex') ?? '' }],
      ],
    },
  ])
  const path9 = await inclusionProof(4, drive.leaves.length, drive.leaves.map(leafHash))
  const proof = encodeProof({
    leaf: drive.leaves[4] ?? Buffer.alloc(0),
    index: 4,
    path: path9,
    checkpoint: drive.files.get(checkpointPath(2)) ?? Buffer.alloc(0),
    certificate: drive.deviceCertificate,
  })
  await write(folder, 'proof', 'One leaf of the small drive.', [
    {
      name: 'leaf 4 of 9',
      inputs: { deviceSpki: spki },
      bytes: proof,
      refused: [
        flip('not JSON', 'malformed', 0),
        ['signed by another', 'tampered', { inputs: { deviceSpki: otherSpki } }],
      ],
    },
  ])
}
