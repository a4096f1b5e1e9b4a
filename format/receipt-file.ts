import { prefixed } from './bytes.ts'
import { FormatError } from './fault.ts'
import { Frontier } from './merkle.ts'
import { type ReadAt, readEntries, readEntry } from './read-at.ts'
import {
  checkReceiptLines,
  parseReceiptLine,
  RECEIPT_LINE_LIMIT,
  type Receipt,
  type ReceiptLine,
  receiptLeaf,
  verifyReceipt,
} from './receipt.ts'

/**
 * Receipts as a file: the signed receipt, the certificate of the key that signed it, and every line in order.
 * @see FORMAT.md §9.3
 */
export const RECEIPT_FILE_HEAD_BYTES = 8
const MAGIC = Buffer.from('SLRC', 'ascii')
const VERSION = 1
const RECEIPT_LIMIT = 64 << 10
const CERTIFICATE_LIMIT = 16 << 10

export function encodeReceiptFileHead(signedReceipt: Uint8Array, signerCertificate: Uint8Array): Buffer {
  const head = Buffer.alloc(RECEIPT_FILE_HEAD_BYTES)
  MAGIC.copy(head)
  head[4] = VERSION
  return Buffer.concat([head, prefixed(signedReceipt), prefixed(signerCertificate)])
}

/** @param line - from `encodeReceiptLine` */
export function encodeReceiptEntry(line: Uint8Array): Buffer {
  return prefixed(line)
}

export type ReceiptFileHead = { signedReceipt: Buffer; signerCertificate: Buffer; linesAt: number }

/** The signature is not judged here: `checkReceiptFile` does, with a key from the certificate. */
export async function readReceiptFileHead(read: ReadAt): Promise<ReceiptFileHead> {
  const head = await read(0, RECEIPT_FILE_HEAD_BYTES)
  if (head.length < RECEIPT_FILE_HEAD_BYTES)
    throw new FormatError('truncated', `receipts: wanted ${RECEIPT_FILE_HEAD_BYTES} bytes, found ${head.length}`)
  if (!head.subarray(0, 4).equals(MAGIC)) throw new FormatError('malformed', 'receipts: does not begin with SLRC')
  if (head[4] !== VERSION || head[5] !== 0 || head.readUInt16BE(6) !== 0)
    throw new FormatError('unsupported', `receipts: version ${head[4]}; this reader knows ${VERSION}`)
  const receipt = await readEntry(read, RECEIPT_FILE_HEAD_BYTES, RECEIPT_LIMIT, 'receipts: receipt')
  const certificate = await readEntry(read, receipt.end, CERTIFICATE_LIMIT, 'receipts: certificate')
  return { signedReceipt: receipt.bytes, signerCertificate: certificate.bytes, linesAt: certificate.end }
}

/**
 * Every line against the signature. What `each` has seen counts only when this has returned.
 *
 * @param signer - SPKI of the provider's receipt-signing key
 * @throws FormatError "tampered" | "malformed" | "truncated" | "limit"
 */
export async function checkReceiptFile(
  read: ReadAt,
  signer: Uint8Array,
  each: (line: ReceiptLine) => void | Promise<void>,
): Promise<Receipt> {
  const head = await readReceiptFileHead(read)
  const receipt = verifyReceipt(head.signedReceipt, signer)
  const frontier = Frontier.empty()
  let held = 0
  for await (const encoded of readEntries(read, head.linesAt, RECEIPT_LINE_LIMIT, 'receipt line')) {
    const line = parseReceiptLine(encoded)
    if (line.outcome === 'held') held++
    frontier.append(receiptLeaf(encoded))
    await each(line)
  }
  checkReceiptLines(receipt, frontier)
  if (held !== receipt.held)
    throw new FormatError('malformed', `receipt: signed for ${receipt.held} held lines; these hold ${held}`)
  return receipt
}
