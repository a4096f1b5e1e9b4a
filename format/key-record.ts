import { hash } from 'node:crypto'
import { type DeviceId, type EpochId, idBytes, type JobId } from './bytes.ts'
import { type CborValue, encodeCbor, Fields } from './cbor.ts'
import { COMMITMENT_BYTES, checkCommitment, epochCommitment } from './epoch-key.ts'
import { FormatError } from './fault.ts'
import { label } from './kdf.ts'
import { parseSigned, type Sign, signMessage, unverifiedFields, verifySigned } from './signed.ts'
import { type SealContext, type SealedSecret, type WrapSuite, wrapSuite } from './wrap-suite.ts'

/** An epoch's key, sealed to everyone who may open it, with a commitment to the key. @see FORMAT.md §5 */
export type KeyRecord = KeyRecordHead & { recipients: Recipient[] }
export type KeyRecordHead = {
  epoch: EpochId
  job: JobId
  device: DeviceId
  /** SHA-256 of the grant's signed part */
  grantHash: Buffer
  createdAt: number
  maxObjects: number
  maxBytes: number
  commitment: Buffer
}
export type Recipient = SealedSecret & { keyId: Buffer }

/** Seals to one recipient: software for a public key, a token call for a symmetric key. */
export type RecipientKey = {
  suite: WrapSuite
  keyId: Buffer
  seal: (secret: Uint8Array, context: SealContext) => Promise<SealedSecret>
}

export const KEY_ID_BYTES = 16
export const KEY_RECORD_LIMIT = 64 << 10
const MAX_RECIPIENTS = 16

function headMap(head: KeyRecordHead): { [name: string]: CborValue } {
  return {
    v: 1,
    epoch: idBytes(head.epoch),
    job: idBytes(head.job),
    device: idBytes(head.device),
    grant: head.grantHash,
    created: head.createdAt,
    maxObjects: head.maxObjects,
    maxBytes: head.maxBytes,
    commitment: head.commitment,
  }
}

/** Binds a sealed epoch key to its record, suite and recipient: a stanza moved elsewhere does not open. */
export function recipientContext(head: KeyRecordHead, suite: WrapSuite, keyId: Uint8Array): SealContext {
  const suiteBytes = Buffer.alloc(2)
  suiteBytes.writeUInt16BE(suite)
  return {
    info: 'sealift/v1 epoch',
    aad: hash('sha256', Buffer.concat([label('recipient'), encodeCbor(headMap(head)), suiteBytes, keyId]), 'buffer'),
  }
}

export async function makeKeyRecord(
  epochKey: Uint8Array,
  head: Omit<KeyRecordHead, 'commitment'>,
  recipients: RecipientKey[],
  sign: Sign,
): Promise<Buffer> {
  if (recipients.length === 0 || recipients.length > MAX_RECIPIENTS)
    throw new FormatError('limit', `key record: ${recipients.length} recipients`)
  const full = { ...head, commitment: epochCommitment(epochKey, head.job, head.epoch) }
  const sealed: CborValue[] = []
  for (const recipient of recipients) {
    const secret = await recipient.seal(epochKey, recipientContext(full, recipient.suite, recipient.keyId))
    sealed.push({ suite: recipient.suite, key: recipient.keyId, enc: secret.encapsulated, ct: secret.ciphertext })
  }
  return signMessage('key-record', { ...headMap(full), recipients: sealed }, sign)
}

/** @param signer - SPKI: the device's identity key, or of an export the key that signed the grant. @throws FormatError "tampered" | "malformed" | "unsupported" | "limit" */
export function verifyKeyRecord(bytes: Uint8Array, signer: Uint8Array): KeyRecord {
  return takeFields(verifySigned(parseSigned(bytes, 'key-record', KEY_RECORD_LIMIT), signer))
}

/** The record with its signature unjudged: a device finding its own record again in its own pack. */
export function peekKeyRecord(bytes: Uint8Array): KeyRecord {
  return takeFields(unverifiedFields(parseSigned(bytes, 'key-record', KEY_RECORD_LIMIT)))
}

function takeFields(fields: Fields): KeyRecord {
  fields.version(1)
  const record: KeyRecord = {
    epoch: fields.id('epoch'),
    job: fields.id('job'),
    device: fields.id('device'),
    grantHash: fields.bytes('grant', 32),
    createdAt: fields.count('created'),
    maxObjects: fields.count('maxObjects'),
    maxBytes: fields.count('maxBytes'),
    commitment: fields.bytes('commitment', COMMITMENT_BYTES),
    recipients: fields.list('recipients', MAX_RECIPIENTS, takeRecipient),
  }
  fields.end()
  return record
}

function takeRecipient(item: CborValue, what: string): Recipient {
  const fields = new Fields(item, what)
  const out: Recipient = {
    suite: wrapSuite(fields.count('suite', 0xffff)),
    keyId: fields.bytes('key', KEY_ID_BYTES),
    encapsulated: fields.bytes('enc', { max: 2048 }),
    ciphertext: fields.bytes('ct', { max: 2048 }),
  }
  fields.end()
  return out
}

/**
 * The epoch key from the stanza that `open` can open.
 *
 * @param mine - key ids that `open` has
 * @throws FormatError "mismatch" - no stanza is for one of them
 * @throws FormatError "tampered" - it opened to another key than the record commits to
 */
export async function openKeyRecord(
  record: KeyRecord,
  mine: (keyId: Buffer) => boolean,
  open: (keyId: Buffer, sealed: SealedSecret, context: SealContext) => Promise<Buffer>,
): Promise<Buffer> {
  const stanza = record.recipients.find(each => mine(each.keyId))
  if (stanza === undefined)
    throw new FormatError('mismatch', `epoch ${record.epoch}: its key record names no key of ours`)
  const epochKey = await open(stanza.keyId, stanza, recipientContext(record, stanza.suite, stanza.keyId))
  checkCommitment(epochKey, record.job, record.epoch, record.commitment)
  return epochKey
}
