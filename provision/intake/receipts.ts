import { createReadStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ObjectId } from '../../format/bytes.ts'
import { parseDigestId } from '../../format/digest.ts'
import { COMPOSITE, OBJECT } from '../../format/envelope.ts'
import { Frontier } from '../../format/merkle.ts'
import { encodeReceiptLine, parseReceiptLine, receiptLeaf } from '../../format/receipt.ts'
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
      const line = row.state === 'stored' ? row.line : await heldLine(work, row)
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

type Line = Pick<ItemRow, 'idx' | 'line' | 'state' | 'reason'>

async function* pagesOf({ database, run }: Work): AsyncGenerator<Line[]> {
  for (let after = -1; ; ) {
    const page = await database
      .selectFrom('items')
      .select(['idx', 'line', 'state', 'reason'])
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

/** Why it did not go in, under its name where that was opened. */
async function heldLine({ database, run }: Work, { idx, line, reason }: Line): Promise<Buffer> {
  const held = { outcome: 'held', reason } as const
  if (line.length > 0) return encodeReceiptLine({ ...parseReceiptLine(line), ...held })
  const row = await database
    .selectFrom('items')
    .select(['object_id', 'size', 'digest_id', 'digest'])
    .where('run', '=', run)
    .where('idx', '=', idx)
    .executeTakeFirstOrThrow()
  const sealed = { id: parseDigestId(row.digest_id), bytes: row.digest }
  const { object_id, size } = row
  return encodeReceiptLine({
    ...{ bucket: '', key: '', objectId: object_id as ObjectId, size, source: null, sealed },
    ...held,
  })
}
