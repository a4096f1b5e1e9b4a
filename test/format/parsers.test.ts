import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type CborValue, decodeCbor, encodeCbor } from '../../format/cbor.ts'
import { peekCheckpoint } from '../../format/checkpoint.ts'
import { parseCoreHeader } from '../../format/core-header.ts'
import { readCustodyLog } from '../../format/custody.ts'
import { parseDestructionFile } from '../../format/destruction.ts'
import { parseEnvelope } from '../../format/envelope.ts'
import { FRAME, PAYLOAD_LIMIT, parseCommit, parseFrameHead, parsePackHeader } from '../../format/frame.ts'
import { parseGrantFile, peekGrant } from '../../format/grant.ts'
import { peekKeyRecord } from '../../format/key-record.ts'
import { parseLeaf, parseTombstoneFrame } from '../../format/leaf.ts'
import { readLeaves, readManifestHead } from '../../format/manifest.ts'
import { decodeAnswer, decodeCall, frameCutter } from '../../format/message-frame.ts'
import { parseMetadata, parseTombstone } from '../../format/metadata.ts'
import { parseEpochFrame, parseLeavesFrame, readPackHeader, walkPack } from '../../format/pack-walk.ts'
import { parseProof } from '../../format/proof.ts'
import type { ReadAt } from '../../format/read-at.ts'
import { parseReceiptLine } from '../../format/receipt.ts'
import { checkReceiptFile } from '../../format/receipt-file.ts'
import { parseBinding } from '../../format/release.ts'
import { decodeProof } from '../../format/request-proof.ts'
import { parseSigned } from '../../format/signed.ts'
import { parseSealFile, parseVolume } from '../../format/volume.ts'
import { faultOf, faultOfAsync } from './faults.ts'
import { MESSAGES } from './release-messages.ts'
import { makeSmallDrive } from './small-drive.ts'

const parsers = suite('parsers')
const drive = await makeSmallDrive()
const calls = MESSAGES.map(({ name, codec }): [string, (bytes: Buffer) => unknown] => [
  name,
  bytes => codec.take(decodeCbor(bytes, 1 << 20, 'message'), 'message'),
])

const SYNC: Record<string, (bytes: Buffer) => unknown> = {
  parseCoreHeader,
  parseEnvelope,
  parsePackHeader,
  parseFrameHead,
  parseCommit,
  parseLeaf,
  parseTombstoneFrame,
  parseMetadata,
  parseTombstone,
  parseEpochFrame,
  parseLeavesFrame,
  parseGrantFile,
  peekGrant,
  peekKeyRecord,
  peekCheckpoint,
  parseReceiptLine,
  parseDestructionFile,
  parseProof,
  parseVolume,
  parseSealFile,
  parseBinding,
  'signed message': bytes => parseSigned(bytes, 'receipt'),
  decodeProof,
  decodeCall,
  decodeAnswer,
  frames: bytes => frameCutter()(bytes),
  ...Object.fromEntries(calls),
}
const spki = drive.provider.spki
const drain = async (items: AsyncIterable<unknown>): Promise<void> => {
  for await (const item of items) assert.ok(item)
}
const ASYNC: Record<string, (read: ReadAt) => Promise<unknown>> = {
  pack: async read => {
    await readPackHeader(read)
    await drain(walkPack(read))
  },
  frames: read => drain(walkPack(read)),
  manifest: async read => drain(readLeaves(read, (await readManifestHead(read)).leavesAt)),
  leaves: read => drain(readLeaves(read, 0)),
  receipts: read => checkReceiptFile(read, spki, () => {}),
  custody: read => drain(readCustodyLog(read)),
}

/** Never more than a frame at a time is asked for, whatever the bytes say; a walk that goes on and on is stopped. */
function guardedRead(bytes: Buffer): ReadAt {
  let calls = 0
  return async (offset, length) => {
    if (length > PAYLOAD_LIMIT + 80) throw new Error(`${length} bytes asked for`)
    if (calls++ > 20_000) throw new Error('too many reads')
    return bytes.subarray(offset, offset + length)
  }
}

const FAULTS = ['nothing', 'truncated', 'malformed', 'unsupported', 'limit', 'tampered', 'mismatch']
async function checkAll(bytes: Buffer): Promise<void> {
  for (const [name, parse] of Object.entries(SYNC)) {
    const found = faultOf(() => parse(bytes))
    assert.ok(FAULTS.includes(found), `${name}: ${found}`)
  }
  for (const [name, run] of Object.entries(ASYNC)) {
    const found = await faultOfAsync(() => run(guardedRead(bytes)))
    assert.ok(FAULTS.includes(found), `${name}: ${found}`)
  }
}

parsers('random bytes make them throw their own faults, and nothing else', () =>
  fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 600 }), bytes => checkAll(Buffer.from(bytes))),
    { numRuns: 150 },
  ),
)

const MAGICS = [
  'SLFT\x01\x01\x00\x00',
  'SLEV\x01',
  'SLPK\x01',
  'SLFR\x02',
  'SLFR\x03',
  'SLMF\x01\x00\x00\x00',
  'SLRC\x01\x00\x00\x00',
]
parsers('so do random bytes behind a magic', () =>
  fc.assert(
    fc.asyncProperty(fc.constantFrom(...MAGICS), fc.uint8Array({ maxLength: 400 }), (magic, bytes) =>
      checkAll(Buffer.concat([Buffer.from(magic, 'latin1'), bytes])),
    ),
    { numRuns: 150 },
  ),
)

const value: fc.Arbitrary<CborValue> = fc.letrec<{ value: CborValue }>(tie => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.nat(),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.string({ maxLength: 20 }),
    fc.uint8Array({ maxLength: 40 }),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(
      fc.constantFrom('v', 'b', 'k', 'o', 'epoch', 'job', 'signed', 'payload', 'p', '__proto__'),
      tie('value'),
      { maxKeys: 6 },
    ),
  ),
})).value
parsers('so do sound CBOR values of any shape', () =>
  fc.assert(
    fc.asyncProperty(value, async each => checkAll(encodeCbor(each))),
    { numRuns: 200 },
  ),
)

const samples = [...drive.files.values(), drive.receipts, ...drive.leaves].map(each => each.subarray(0, 8000))
parsers('so do sound files with bytes changed, cut out and put in', () =>
  fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...samples),
      fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('set', 'cut', 'insert')), {
        minLength: 1,
        maxLength: 4,
      }),
      async (sample, edits) => {
        let bytes: Buffer = Buffer.from(sample)
        for (const [place, byte, how] of edits) {
          const at = place % (bytes.length + 1)
          const rest = how === 'insert' ? bytes.subarray(at) : bytes.subarray(at + 1)
          bytes = Buffer.concat([bytes.subarray(0, at), how === 'cut' ? Buffer.alloc(0) : Buffer.of(byte), rest])
        }
        await checkAll(bytes)
      },
    ),
    { numRuns: 150 },
  ),
)

parsers('CBOR nested to any depth is refused without harm', async () => {
  for (const depth of [100, 1000, 2500, 5000, 20_000, 200_000]) {
    for (const head of [0x81, 0xa1]) await checkAll(Buffer.concat([Buffer.alloc(depth, head), Buffer.of(0)]))
    await checkAll(Buffer.concat([Buffer.from('a16161', 'hex'), Buffer.alloc(depth, 0x81), Buffer.of(0)]))
  }
})

parsers('reserved and unknown frame types are refused', () => {
  for (const type of [0, FRAME.checkpoint, FRAME.parity, 8, 255]) {
    const head = Buffer.alloc(16)
    head.write('SLFR', 'ascii')
    head[4] = type
    assert.is(
      faultOf(() => parseFrameHead(head)),
      'unsupported',
    )
  }
})

parsers.run()
