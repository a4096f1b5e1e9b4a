import { ACCOUNT, BUCKET } from '../../format/parties.ts'
import type { SmallDrive } from '../../format/small-drive.ts'
import { cut, flip, longer, signed } from './draft.ts'
import { write } from './vector-writer.ts'

/** The pack of the small drive, its key record, its leaves. */
export async function writePack(folder: string, drive: SmallDrive): Promise<void> {
  const [first] = drive.epochs
  const epochs = drive.epochs.map(({ id, key }) => ({ id, key: key.toString('hex') }))
  const spki = drive.device.spki.toString('hex')
  const otherSpki = drive.provider.spki.toString('hex')
  const scalar = drive.opener.privateKey.export({ format: 'jwk' }).d ?? ''
  await write(folder, 'key-record', 'With the P-256 private key (32 bytes) of its one HPKE recipient.', [
    {
      name: 'one recipient, suite 0x0010',
      inputs: { deviceSpki: spki, privateKey: Buffer.from(scalar, 'base64url').toString('hex') },
      bytes: first.record,
      refused: [
        ...signed(200),
        ['signed by another', 'tampered', { inputs: { deviceSpki: otherSpki } }],
        ['for no key of ours', 'mismatch', { inputs: { privateKey: `${'00'.repeat(31)}05` } }],
      ],
    },
  ])
  await write(
    folder,
    'pack',
    'A whole pack: two epochs, two versions of a.txt, an aborted body, a composite of two parts, a tombstone.',
    [
      {
        name: 'the small drive',
        inputs: {
          epochs: JSON.stringify(epochs),
          account: ACCOUNT,
          bucket: BUCKET,
          plaintexts: JSON.stringify(
            Object.fromEntries([...drive.plain].map(([name, bytes]) => [name, bytes.toString('base64')])),
          ),
        },
        bytes: drive.pack.bytes(),
        refused: [
          flip('magic', 'malformed', 0),
          flip('version', 'unsupported', 4),
          flip('flags', 'tampered', 5),
          flip('drive', 'tampered', 56),
          flip('checksum of the header', 'tampered', 119),
          flip('magic of the first frame', 'malformed', 120),
          flip('type 7', 'unsupported', 124, 6),
          flip('type of the first frame', 'tampered', 124, 4),
          flip('flags of the first frame', 'unsupported', 125),
          flip('payload length above its bound', 'limit', 130, 0x80),
          flip('previous of the first frame', 'tampered', 136),
          flip('payload of the first frame', 'tampered', 210),
          cut('truncated'),
          longer('truncated'),
        ],
      },
    ],
  )
  await write(
    folder,
    'leaf',
    'Leaves of the small drive, in order.',
    drive.leaves.map((bytes, at) => ({
      name: `leaf ${at}`,
      inputs: {},
      bytes,
      refused: [
        flip('unknown kind', 'unsupported', 0, 8),
        flip('unknown digest', 'unsupported', 1, 8),
        flip('reserved', 'malformed', 2),
        flip('metadata length above its bound', 'limit', 4),
        flip('sequence above 2^53', 'limit', 8, 0x80),
        cut('truncated'),
        longer('truncated'),
      ],
    })),
  )
}
