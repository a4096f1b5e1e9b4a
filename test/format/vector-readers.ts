import { createSecretKey } from 'node:crypto'
import { openBody } from '../../format/body-opening.ts'
import { type AnyId, type EpochId, type JobId, type ObjectId, parseId } from '../../format/bytes.ts'
import { decodeCbor, encodeCbor, Fields } from '../../format/cbor.ts'
import { verifyCheckpoint } from '../../format/checkpoint.ts'
import type { ObjectContext } from '../../format/context.ts'
import { CORE_HEADER_BYTES, parseCoreHeader } from '../../format/core-header.ts'
import { CustodyChain, readCustodyLog } from '../../format/custody.ts'
import { parseDestructionFile, verifyDestruction } from '../../format/destruction.ts'
import { BLAKE3_256, digestOf, SHA_256 } from '../../format/digest.ts'
import { openEnvelope, parseEnvelope } from '../../format/envelope.ts'
import { deriveEpochKeys } from '../../format/epoch-key.ts'
import { verifyExportJob } from '../../format/export-job.ts'
import { openGrantFile, parseGrantFile, verifyGrant } from '../../format/grant.ts'
import { hpkeOpen } from '../../format/hpke.ts'
import { verifyJobOrder } from '../../format/job-order.ts'
import { type KeyRecord, openKeyRecord, verifyKeyRecord } from '../../format/key-record.ts'
import { encodeLeaf, parseLeaf } from '../../format/leaf.ts'
import { checkManifest } from '../../format/manifest.ts'
import {
  decodeAnswer,
  decodeCall,
  encodeAnswer,
  encodeCall,
  frameCutter,
  MESSAGE_BYTES_LIMIT,
} from '../../format/message-frame.ts'
import { encodeMetadata, openMetadata, parseMetadata } from '../../format/metadata.ts'
import { readPackHeader, walkPack } from '../../format/pack-walk.ts'
import { parseProof, verifyProof } from '../../format/proof.ts'
import type { ReadAt } from '../../format/read-at.ts'
import { checkReceiptFile } from '../../format/receipt-file.ts'
import { decodeProof, encodeProof } from '../../format/request-proof.ts'
import { checkSealCode } from '../../format/seal-code.ts'
import { readUnlockCode } from '../../format/unlock-code.ts'
import { keyId } from '../../format/wrap-suite.ts'
import { ecdhOf } from './parties.ts'
import { MESSAGES, spelled } from './release-messages.ts'

/** One structure's vectors, as JSON: what goes in, the bytes (base64), what comes out, and changes that must be refused. */
export type VectorFile = {
  structure: string
  about: string
  cases: { name: string; inputs: Inputs; bytes: string; expect: Expect; refused: Refusal[] }[]
}
export type Inputs = Record<string, string>
export type Expect = Record<string, string | number>
/** Exclusive or of single bytes (negative: from the end), bytes cut off the end, bytes put on it, or another input. */
export type Change = { xor?: [number, number][]; cut?: number; append?: string; inputs?: Inputs }
export type Refusal = Change & { why: string; fault: string }

export function changed(bytes: Buffer, change: Change): Buffer {
  const out = Buffer.concat([
    bytes.subarray(0, bytes.length - (change.cut ?? 0)),
    Buffer.from(change.append ?? '', 'hex'),
  ])
  for (const [at, mask] of change.xor ?? []) {
    const place = at < 0 ? out.length + at : at
    out[place] = (out[place] ?? 0) ^ mask
  }
  return out
}

export function readAtOf(bytes: Buffer): ReadAt {
  return async (offset, length) => bytes.subarray(offset, offset + length)
}

type Reader = (inputs: Record<string, string>, bytes: Buffer) => Promise<Expect>
const hex = (inputs: Record<string, string>, name: string): Buffer => Buffer.from(inputs[name] ?? '', 'hex')
const text = (inputs: Record<string, string>, name: string): string => inputs[name] ?? ''
const id = <T extends AnyId>(inputs: Record<string, string>, name: string): T => parseId<T>(text(inputs, name), name)
const same = (wanted: Buffer, found: Buffer): void => {
  if (!wanted.equals(found)) throw new Error('the encoding of what was parsed is another')
}

/** The epoch key, with the private key of one recipient. */
function openedWith(inputs: Record<string, string>, record: KeyRecord): Promise<Buffer> {
  const { spki, agree } = ecdhOf(hex(inputs, 'privateKey'))
  return openKeyRecord(
    record,
    each => each.equals(keyId(spki)),
    async (_, sealed, context) => hpkeOpen(agree, spki, sealed, Buffer.from(context.info), context.aad),
  )
}

export const READERS: Record<string, Reader> = {
  body: async (inputs, bytes) => {
    const core = parseCoreHeader(bytes)
    const length = Number(text(inputs, 'plaintextLength'))
    const out: Buffer[] = []
    const header = bytes.subarray(0, CORE_HEADER_BYTES)
    for await (const piece of openBody(readAtOf(bytes), hex(inputs, 'objectKey'), header, length)) out.push(piece)
    return {
      objectId: core.objectId,
      bodyLength: bytes.length,
      bodySha256: digestOf(SHA_256, bytes).toString('hex'),
      bodyBlake3: digestOf(BLAKE3_256, bytes).toString('hex'),
      plaintextSha256: digestOf(SHA_256, Buffer.concat(out)).toString('hex'),
    }
  },
  envelope: async (inputs, bytes) => {
    const envelope = parseEnvelope(bytes)
    const context: ObjectContext = {
      account: text(inputs, 'account'),
      job: id(inputs, 'job'),
      bucket: text(inputs, 'bucket'),
      key: text(inputs, 'key'),
      objectId: envelope.objectId,
    }
    if (inputs.upload !== undefined) context.part = { upload: inputs.upload, number: Number(inputs.number) }
    const objectKey = openEnvelope(createSecretKey(hex(inputs, 'wrapKey')), envelope, hex(inputs, 'coreHash'), context)
    return {
      kind: envelope.kind,
      objectKey: objectKey.toString('hex'),
      plaintextLength: envelope.plaintextLength,
      bodyLength: envelope.bodyLength,
      parts: envelope.parts.length,
    }
  },
  metadata: async (inputs, bytes) => {
    const place = {
      kind: Number(text(inputs, 'kind')),
      objectId: id<ObjectId>(inputs, 'objectId'),
      job: id<JobId>(inputs, 'job'),
      epoch: id<EpochId>(inputs, 'epoch'),
    }
    const plain = openMetadata(createSecretKey(hex(inputs, 'metadataKey')), place, bytes)
    const metadata = parseMetadata(plain)
    same(plain, encodeMetadata(metadata))
    return { bucket: metadata.bucket, key: metadata.key, cbor: plain.toString('hex') }
  },
  'key-record': async (inputs, bytes) => {
    const record = verifyKeyRecord(bytes, hex(inputs, 'deviceSpki'))
    const epochKey = await openedWith(inputs, record)
    return {
      epoch: record.epoch,
      job: record.job,
      recipients: record.recipients.length,
      epochKey: epochKey.toString('hex'),
    }
  },
  pack: async (_, bytes) => {
    const header = await readPackHeader(readAtOf(bytes))
    const frames: number[] = []
    for await (const frame of walkPack(readAtOf(bytes))) frames.push(frame.type)
    return { pack: header.pack, job: header.job, frames: frames.join(' ') }
  },
  leaf: async (_, bytes) => {
    const leaf = parseLeaf(bytes)
    same(bytes, encodeLeaf(leaf))
    return { kind: leaf.kind, sequence: leaf.sequence, objectId: leaf.objectId, bodyLength: leaf.bodyLength }
  },
  checkpoint: async (inputs, bytes) => {
    const checkpoint = verifyCheckpoint(bytes, hex(inputs, 'deviceSpki'))
    if (inputs.sealCode !== undefined) checkSealCode(inputs.sealCode, bytes)
    return {
      number: checkpoint.number,
      state: checkpoint.state,
      size: checkpoint.treeSize,
      root: checkpoint.root.toString('hex'),
    }
  },
  manifest: async (inputs, bytes) => {
    const sequences: number[] = []
    const checkpoint = await checkManifest(
      readAtOf(bytes),
      hex(inputs, 'deviceSpki'),
      leaf => void sequences.push(leaf.sequence),
    )
    return { number: checkpoint.number, sequences: sequences.join(' ') }
  },
  proof: async (inputs, bytes) => {
    const { leaf } = verifyProof(parseProof(bytes), hex(inputs, 'deviceSpki'))
    return { objectId: leaf.objectId, sequence: leaf.sequence }
  },
  grant: async (inputs, bytes) => {
    const file = parseGrantFile(bytes)
    const grant = verifyGrant(file.signed, hex(inputs, 'signerSpki'))
    const share = openGrantFile(file, grant.id, readUnlockCode(text(inputs, 'unlockCode')))
    return { id: grant.id, mode: grant.mode, account: grant.account, grantShare: share.toString('hex') }
  },
  'job-order': async (inputs, bytes) => {
    const order = verifyJobOrder(bytes, hex(inputs, 'signerSpki'))
    return { job: order.job, account: order.account, buckets: order.buckets.join(' ') }
  },
  'export-job': async (inputs, bytes) => {
    const { job, account, buckets, endsAt } = verifyExportJob(bytes, hex(inputs, 'signerSpki'))
    return { job, account, buckets: buckets.join(' '), endsAt }
  },
  'export-epoch': async (inputs, bytes) => {
    const record = verifyKeyRecord(bytes, hex(inputs, 'signerSpki'))
    const keys = deriveEpochKeys(await openedWith(inputs, record))
    const envelope = parseEnvelope(hex(inputs, 'envelope'))
    const { objectId } = envelope
    const [account, bucket, key] = [text(inputs, 'account'), text(inputs, 'bucket'), text(inputs, 'key')]
    const context: ObjectContext = { account, job: record.job, bucket, key, objectId }
    const objectKey = openEnvelope(keys.wrapKey, envelope, hex(inputs, 'coreHash'), context)
    return { epoch: record.epoch, recipients: record.recipients.length, objectKey: objectKey.toString('hex') }
  },
  receipts: async (inputs, bytes) => {
    const keys: string[] = []
    const receipt = await checkReceiptFile(readAtOf(bytes), hex(inputs, 'signerSpki'), line => void keys.push(line.key))
    return { level: receipt.level, lines: receipt.lines, held: receipt.held, keys: keys.join(' ') }
  },
  destruction: async (inputs, bytes) => {
    const record = verifyDestruction(parseDestructionFile(bytes).signed, hex(inputs, 'signerSpki'))
    const { cause, account, keyName, version, epochs, by, auditRow } = record
    return { cause, account, keyName, version, epochs, by, auditRow }
  },
  custody: async (inputs, bytes) => {
    const chain = new CustodyChain(hex(inputs, 'deviceSpki'))
    const events: string[] = []
    for await (const entry of readCustodyLog(readAtOf(bytes))) events.push(chain.take(entry).event)
    return { events: events.join(' '), head: chain.head.hash.toString('hex') }
  },
  release: async (inputs, bytes) => {
    const name = text(inputs, 'message')
    const codec = MESSAGES.find(each => each.name === name)?.codec
    if (codec === undefined) throw new Error(`no message ${name}`)
    const value = codec.take(decodeCbor(bytes, MESSAGE_BYTES_LIMIT, name), name)
    same(bytes, encodeCbor(codec.encode(value)))
    return { value: spelled(value) }
  },
  'message-frame': async (inputs, bytes) => {
    const bodies = frameCutter()(bytes)
    const answers = text(inputs, 'side') === 'answer'
    const messages = bodies.map(body => (answers ? decodeAnswer(body) : decodeCall(body)))
    const again = messages.map(each => ('call' in each ? encodeCall(each) : encodeAnswer(each)))
    same(bytes.subarray(0, Buffer.concat(again).length), Buffer.concat(again))
    return { messages: spelled(messages) }
  },
  'request-proof': async (_, bytes) => {
    const proof = decodeProof(bytes)
    same(bytes, encodeProof(proof))
    return { proof: spelled(proof) }
  },
  cbor: async (_, bytes) => {
    const fields = new Fields(decodeCbor(bytes, 1024, 'map'), 'map')
    return { a: fields.count('a') }
  },
}
