import { type DeviceId, idBytes, type JobId, type ObjectId } from './bytes.ts'
import { type CborValue, decodeCbor, encodeCbor, Fields } from './cbor.ts'
import { DIGEST_BYTES, type DigestId, parseDigestId } from './digest.ts'
import { FormatError } from './fault.ts'
import { type Frontier, HASH_BYTES, leafHash } from './merkle.ts'
import { parseSigned, type Sign, signMessage, verifySigned } from './signed.ts'

/**
 * The provider's signed answer for all objects of a seal: one signature over the Merkle root of the lines, so that a receipt for one
 * object can be shown alone. @see FORMAT.md §9
 */
export type Receipt = {
  job: JobId
  device: DeviceId
  account: string
  /** what was proved of each object before this was signed */
  level: ReceiptLevel
  /** SHA-256 of the signed sealed checkpoint that was taken in */
  checkpoint: Buffer
  freshness: 'seal-code' | 'seal-file' | 'challenge' | 'overridden'
  issuedAt: number
  lines: number
  held: number
  root: Buffer
}
export const RECEIPT_LEVELS = ['digest', 'key', 'content'] as const
export type ReceiptLevel = (typeof RECEIPT_LEVELS)[number]
export const FRESHNESS = ['seal-code', 'seal-file', 'challenge', 'overridden'] as const

export type ReceiptLine = {
  bucket: string
  key: string
  objectId: ObjectId
  size: number
  /** digest of the cleartext: the device's statement */
  source: { id: DigestId; bytes: Buffer } | null
  /** digest of the sealed body, as verified */
  sealed: { id: DigestId; bytes: Buffer }
  outcome: 'stored' | 'held'
  /** why it is held; empty when stored */
  reason: string
}

export function encodeReceiptLine(line: ReceiptLine): Buffer {
  return encodeCbor({
    b: line.bucket,
    k: line.key,
    o: idBytes(line.objectId),
    n: line.size,
    s: line.source === null ? null : { i: line.source.id, d: line.source.bytes },
    d: { i: line.sealed.id, d: line.sealed.bytes },
    r: line.outcome,
    w: line.reason,
  })
}

export const RECEIPT_LINE_LIMIT = 8 << 10

export function parseReceiptLine(bytes: Uint8Array): ReceiptLine {
  const fields = new Fields(decodeCbor(bytes, RECEIPT_LINE_LIMIT, 'receipt line'), 'receipt line')
  const digest = (value: CborValue): ReceiptLine['sealed'] => {
    const inner = new Fields(value, 'receipt line: digest')
    const out = { id: parseDigestId(inner.count('i')), bytes: inner.bytes('d', DIGEST_BYTES) }
    inner.end()
    return out
  }
  const source = fields.take('s')
  const line: ReceiptLine = {
    bucket: fields.text('b', 255),
    key: fields.text('k', 1024),
    objectId: fields.id('o'),
    size: fields.count('n'),
    source: source === null ? null : digest(source),
    sealed: digest(fields.take('d')),
    outcome: fields.oneOf('r', ['stored', 'held']),
    reason: fields.text('w', 1024),
  }
  fields.end()
  return line
}

export function signReceipt(receipt: Receipt, sign: Sign): Promise<Buffer> {
  return signMessage(
    'receipt',
    {
      v: 1,
      job: idBytes(receipt.job),
      device: idBytes(receipt.device),
      account: receipt.account,
      level: receipt.level,
      checkpoint: receipt.checkpoint,
      freshness: receipt.freshness,
      issued: receipt.issuedAt,
      lines: receipt.lines,
      held: receipt.held,
      root: receipt.root,
    },
    sign,
  )
}

/** @param signer - SPKI of the provider's receipt-signing key */
export function verifyReceipt(bytes: Uint8Array, signer: Uint8Array): Receipt {
  const fields = verifySigned(parseSigned(bytes, 'receipt'), signer)
  fields.version(1)
  const receipt: Receipt = {
    job: fields.id('job'),
    device: fields.id('device'),
    account: fields.text('account', 128),
    level: fields.oneOf('level', RECEIPT_LEVELS),
    checkpoint: fields.bytes('checkpoint', 32),
    freshness: fields.oneOf('freshness', FRESHNESS),
    issuedAt: fields.count('issued'),
    lines: fields.count('lines'),
    held: fields.count('held'),
    root: fields.bytes('root', HASH_BYTES),
  }
  fields.end()
  return receipt
}

/** Says when a source may be deleted: at level `key` or `content`, stored, freshness shown. */
export function mayDeleteSource(receipt: Receipt, line: ReceiptLine): boolean {
  return line.outcome === 'stored' && receipt.level !== 'digest' && receipt.freshness !== 'overridden'
}

/** @throws FormatError "tampered" - the lines are not those that were signed */
export function checkReceiptLines(receipt: Receipt, frontier: Frontier): void {
  if (frontier.size !== receipt.lines || !frontier.root().equals(receipt.root))
    throw new FormatError('tampered', `receipt: signed for ${receipt.lines} lines; these ${frontier.size} are others`)
}

export function receiptLeaf(line: Uint8Array): Buffer {
  return leafHash(line)
}
