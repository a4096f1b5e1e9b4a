import type { DeviceId, JobId, ObjectId } from '../../format/bytes.ts'
import { encodeCustodyEntry, signCustodyEvent } from '../../format/custody.ts'
import { SHA_256 } from '../../format/digest.ts'
import { Frontier, leafHash } from '../../format/merkle.ts'
import { encodeReceiptLine, type ReceiptLine, signReceipt } from '../../format/receipt.ts'
import { encodeReceiptEntry, encodeReceiptFileHead } from '../../format/receipt-file.ts'
import { messageHash } from '../../format/signed.ts'
import { ACCOUNT, BUCKET, DAY, NOW } from './parties.ts'
import type { Signer } from './signer.ts'

export async function custodyLog(device: Signer, ids: { job: JobId; device: DeviceId }): Promise<Buffer> {
  const out: Buffer[] = []
  let previous: Buffer = Buffer.alloc(32)
  for (const [at, event] of (['unlocked', 'wrong-code', 'sealed'] as const).entries()) {
    const signed = await signCustodyEvent(
      { job: ids.job, device: ids.device, number: at + 1, previous, at: NOW + at, event, detail: { why: 'test' } },
      device.sign,
    )
    previous = messageHash(signed)
    out.push(encodeCustodyEntry(signed))
  }
  return Buffer.concat(out)
}

export async function receiptFile(
  provider: Signer,
  certificate: Buffer,
  ids: { job: JobId; device: DeviceId },
  checkpoint: Buffer,
  objectId: ObjectId,
): Promise<Buffer> {
  const digest = { id: SHA_256, bytes: Buffer.alloc(32, 7) } as const
  const line: ReceiptLine = {
    bucket: BUCKET,
    key: 'a.txt',
    objectId,
    size: 17,
    source: digest,
    sealed: digest,
    outcome: 'stored',
    reason: '',
  }
  const lines = [
    line,
    { ...line, key: 'b.txt', source: null, outcome: 'held' as const, reason: 'its key does not open' },
  ].map(encodeReceiptLine)
  const frontier = Frontier.empty()
  for (const each of lines) frontier.append(leafHash(each))
  const signed = await signReceipt(
    {
      job: ids.job,
      device: ids.device,
      account: ACCOUNT,
      level: 'key',
      checkpoint,
      freshness: 'seal-code',
      issuedAt: NOW + DAY,
      lines: 2,
      held: 1,
      root: frontier.root(),
    },
    provider.sign,
  )
  return Buffer.concat([encodeReceiptFileHead(signed, certificate), ...lines.map(encodeReceiptEntry)])
}
