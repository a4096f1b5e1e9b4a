import { createReadStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ObjectId } from '../../format/bytes.ts'
import { parseDigestId } from '../../format/digest.ts'
import { COMPOSITE, OBJECT } from '../../format/envelope.ts'
import { Frontier } from '../../format/merkle.ts'
import { parseMetadata } from '../../format/metadata.ts'
import { encodeReceiptLine, receiptLeaf } from '../../format/receipt.ts'
import { encodeReceiptEntry, encodeReceiptFileHead } from '../../format/receipt-file.ts'
import { makeDirectoryDurable, syncDirectory, writeStreamDurable } from '../../store/durable.ts'
import type { ItemRow } from './schema.ts'
import { PAGE, type Work } from './work.ts'

export function receiptPath(work: Pick<Work, 'receipts' | 'job' | 'number'>): string {
  return join(work.receipts, `${work.job}-${work.number}.slr`)
}

/**
 * One line an object, stored or held, under one signature: the lines are written once, beside the file that they go into when their root is
 * signed. Commit point: the file's name.
 */
export async function writeReceipts(work: Work): Promise<void> {
  await makeDirectoryDurable(work.receipts, 0o700)
  const path = receiptPath(work)
  const [lines, whole] = [`${path}.lines`, `${path}.new`]
  for (const left of [lines, whole]) await rm(left, { force: true })
  const counted = { frontier: Frontier.empty(), held: 0 }
  await writeStreamDurable(lines, entriesOf(work, counted), 0o600)
  const signed = await work.release.signReceipt(work.station, {
    job: work.job,
    device: work.device,
    account: work.order.account,
    level: work.level,
    checkpoint: work.sealedHash,
    freshness: work.freshness,
    issuedAt: work.clock(),
    lines: counted.frontier.size,
    held: counted.held,
    root: counted.frontier.root(),
  })
  await writeStreamDurable(whole, fileOf(work, signed, lines), 0o644)
  await rename(whole, path)
  await rm(lines)
  await syncDirectory(work.receipts)
}

async function* entriesOf(work: Work, counted: { frontier: Frontier; held: number }): AsyncGenerator<Uint8Array> {
  for await (const page of pagesOf(work)) {
    const pieces: Buffer[] = []
    for (const row of page) {
      const line = lineOf(row)
      counted.frontier.append(receiptLeaf(line))
      if (row.state === 'held') counted.held++
      pieces.push(encodeReceiptEntry(line))
    }
    yield Buffer.concat(pieces)
  }
}

async function* fileOf(work: Work, signed: Buffer, lines: string): AsyncGenerator<Uint8Array> {
  yield encodeReceiptFileHead(signed, work.answer.receiptCertificate)
  yield* createReadStream(lines, { highWaterMark: 1 << 20 })
}

type Line = Pick<
  ItemRow,
  'idx' | 'object_id' | 'size' | 'digest_id' | 'digest' | 'metadata' | 'bucket' | 'key' | 'state' | 'reason'
>

async function* pagesOf({ database, run }: Work): AsyncGenerator<Line[]> {
  for (let after = -1; ; ) {
    const page = await database
      .selectFrom('items')
      .select(['idx', 'object_id', 'size', 'digest_id', 'digest', 'metadata', 'bucket', 'key', 'state', 'reason'])
      .where('run', '=', run)
      .where('idx', '>', after)
      .where('kind', 'in', [OBJECT, COMPOSITE])
      .where('state', 'in', ['stored', 'held'])
      .orderBy('idx')
      .limit(PAGE)
      .execute()
    if (page.length === 0) return
    yield page
    after = page.at(-1)?.idx ?? after
  }
}

function lineOf(row: Line): Buffer {
  const digest = row.metadata === null ? undefined : parseMetadata(row.metadata).digest
  return encodeReceiptLine({
    bucket: row.bucket,
    key: Buffer.from(row.key).toString('utf8'),
    objectId: row.object_id as ObjectId,
    size: row.size,
    source: digest ?? null,
    sealed: { id: parseDigestId(row.digest_id), bytes: row.digest },
    outcome: row.state === 'stored' ? 'stored' : 'held',
    reason: row.state === 'stored' ? '' : row.reason,
  })
}
