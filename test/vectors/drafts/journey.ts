import { encodeDestructionFile, signDestruction } from '../../../format/destruction.ts'
import { signJobOrder } from '../../../format/job-order.ts'
import { ACCOUNT, BUCKET, NOW } from '../../format/parties.ts'
import type { SmallDrive } from '../../format/small-drive.ts'
import { cut, flip, longer, signed } from './draft.ts'
import { write } from './vector-writer.ts'

/** The papers of a drive on its way: grant, order, custody, receipts. */
export async function writeJourney(folder: string, drive: SmallDrive): Promise<void> {
  const spki = drive.device.spki.toString('hex')
  const otherSpki = drive.provider.spki.toString('hex')
  await write(folder, 'grant', 'The grant file and its unlock code.', [
    {
      name: 'write-only',
      inputs: { signerSpki: otherSpki, unlockCode: drive.unlockCode },
      bytes: drive.files.get('grant') ?? Buffer.alloc(0),
      refused: [
        ['another code', 'wrong-code', { inputs: { unlockCode: '00000-00000-00000-00000-00000' } }],
        [
          'a code whose check symbol does not fit',
          'wrong-code',
          { inputs: { unlockCode: '00000-00000-00000-00000-00001' } },
        ],
        ['signed by another', 'tampered', { inputs: { signerSpki: spki } }],
        cut('malformed'),
        longer('malformed'),
        flip('signature', 'tampered', -115),
      ],
    },
  ])
  const order = await signJobOrder(
    {
      job: drive.ids.job,
      account: ACCOUNT,
      buckets: [BUCKET],
      acl: 'private',
      mode: 'write-only',
      deletes: 'ignore',
      versions: 'latest',
      orderedAt: NOW,
    },
    drive.provider.sign,
  )
  await write(folder, 'job-order', 'Signed by the provider.', [
    { name: 'one bucket', inputs: { signerSpki: otherSpki }, bytes: order, refused: signed(60) },
  ])
  await write(folder, 'receipts', 'A file of two lines, one held.', [
    {
      name: 'level key',
      inputs: { signerSpki: otherSpki },
      bytes: drive.receipts,
      refused: [
        flip('magic', 'malformed', 0),
        flip('version', 'unsupported', 4),
        flip('length of the receipt above its bound', 'limit', 8),
        flip('a line', 'tampered', -1),
        cut('truncated'),
        longer('truncated'),
        ['signed by another', 'tampered', { inputs: { signerSpki: spki } }],
      ],
    },
  ])
  const record = {
    ...{ cause: 'shredded' as const, account: ACCOUNT, accountName: 'Acme', keyName: 'film', version: 2, epochs: 17 },
    ...{ keyDigest: Buffer.alloc(32, 7), by: 'anna', destroyedAt: NOW, auditRow: 9, auditHead: Buffer.alloc(32, 8) },
  }
  const destroyed = encodeDestructionFile({
    signed: await signDestruction(record, drive.provider.sign),
    signerCertificate: drive.signerCertificate,
  })
  await write(folder, 'destruction', 'That a named key is gone for ever, with the certificate of the signer.', [
    {
      name: 'shredded',
      inputs: { signerSpki: otherSpki },
      bytes: destroyed,
      refused: [
        flip('outer CBOR', 'malformed', 0),
        flip('what it is', 'malformed', 10),
        flip('payload', 'tampered', 100, 2),
        cut('malformed'),
        longer('malformed'),
        ['signed by another', 'tampered', { inputs: { signerSpki: spki } }],
      ],
    },
  ])
  const custody = drive.files.get('custody.log') ?? Buffer.alloc(0)
  await write(folder, 'custody', 'Three events.', [
    {
      name: 'unlocked, wrong-code, sealed',
      inputs: { deviceSpki: spki },
      bytes: custody,
      refused: [
        flip('length of the first event above its bound', 'limit', 0),
        flip('signature of the last', 'tampered', -1),
        cut('truncated'),
        longer('truncated'),
        [
          'the first event twice',
          'tampered',
          { append: custody.subarray(0, 4 + custody.readUInt32BE(0)).toString('hex') },
        ],
        ['signed by another', 'tampered', { inputs: { deviceSpki: otherSpki } }],
      ],
    },
  ])
}
