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

/** One line an object, stored or held, under one signature. Commit point: the file's name. */
export async function writeReceipts(work: Work): Promise<{ lines: number; held: number }> {
  const frontier = Frontier.empty()
  let held = 0
  for await (const { line, row } of linesOf(work)) {
    frontier.append(receiptLeaf(line))
    if (row.state === 'held') held++
  }
  const signed = await work.release.signReceipt(work.station, {
    job: work.job,
    device: work.device,
    account: work.order.account,
    level: work.level,
    checkpoint: work.sealedHash,
    freshness: work.freshness,
    issuedAt: work.clock(),
    lines: frontier.size,
    held,
    root: frontier.root(),
  })
  await makeDirectoryDurable(work.receipts, 0o700)
  const path = receiptPath(work)
  const temporary = `${path}.new`
  await rm(temporary, { force: true })
  await writeStreamDurable(temporary, fileOf(work, signed), 0o644)
  await rename(temporary, path)
  await syncDirectory(work.receipts)
  return { lines: frontier.size, held }
}

async function* fileOf(work: Work, signed: Buffer): AsyncGenerator<Uint8Array> {
  yield encodeReceiptFileHead(signed, work.answer.receiptCertificate)
  let pieces: Buffer[] = []
  for await (const { line } of linesOf(work)) {
    pieces.push(encodeReceiptEntry(line))
    if (pieces.length < PAGE) continue
    yield Buffer.concat(pieces)
    pieces = []
  }
  yield Buffer.concat(pieces)
}

async function* linesOf(work: Work): AsyncGenerator<{ line: Buffer; row: ItemRow }> {
  let after = -1
  for (;;) {
    const page = await work.database
      .selectFrom('items')
      .selectAll()
      .where('run', '=', work.run)
      .where('idx', '>', after)
      .where('kind', 'in', [OBJECT, COMPOSITE])
      .where('state', 'in', ['stored', 'held'])
      .orderBy('idx')
      .limit(PAGE)
      .execute()
    if (page.length === 0) return
    for (const row of page) yield { line: lineOf(row), row }
    after = page.at(-1)?.idx ?? after
  }
}

function lineOf(row: ItemRow): Buffer {
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
