import { openBody } from '../../../format/body-opening.ts'
import { parseId } from '../../../format/bytes.ts'
import { decodeCbor } from '../../../format/cbor.ts'
import { peekCheckpoint, verifyCheckpoint } from '../../../format/checkpoint.ts'
import { CORE_HEADER_BYTES, parseCoreHeader } from '../../../format/core-header.ts'
import { decodeCrockford, readSymbols } from '../../../format/crockford.ts'
import { readCustodyLog, verifyCustodyEvent } from '../../../format/custody.ts'
import { parseDestructionFile, verifyDestruction } from '../../../format/destruction.ts'
import { readDeviceRequest } from '../../../format/device-request.ts'
import { parseDigestId } from '../../../format/digest.ts'
import { parseEnvelope } from '../../../format/envelope.ts'
import { verifyExportJob } from '../../../format/export-job.ts'
import { openFrame, parseCommit, parseFrameHead, parsePackHeader } from '../../../format/frame.ts'
import { parseGrantFile, peekGrant, verifyGrant } from '../../../format/grant.ts'
import { verifyJobOrder } from '../../../format/job-order.ts'
import { peekKeyRecord, verifyKeyRecord } from '../../../format/key-record.ts'
import { parseLeaf, parseTombstoneFrame } from '../../../format/leaf.ts'
import { readLeaves, readManifestHead } from '../../../format/manifest.ts'
import { decodeAnswer, decodeCall, frameCutter, MESSAGE_BYTES_LIMIT } from '../../../format/message-frame.ts'
import { parseMetadata, parseTombstone } from '../../../format/metadata.ts'
import { PACK_START, parseEpochFrame, parseLeavesFrame, readPackHeader, walkPack } from '../../../format/pack-walk.ts'
import { parseProof } from '../../../format/proof.ts'
import { parseReceiptLine, verifyReceipt } from '../../../format/receipt.ts'
import { readReceiptFileHead } from '../../../format/receipt-file.ts'
import { parseBinding } from '../../../format/release.ts'
import { RELEASE_CALLS } from '../../../format/release-calls.ts'
import { decodeProof } from '../../../format/request-proof.ts'
import { checkSealCode } from '../../../format/seal-code.ts'
import { type MessageKind, parseSigned } from '../../../format/signed.ts'
import { readUnlockCode } from '../../../format/unlock-code.ts'
import { parseSealFile, parseVolume } from '../../../format/volume.ts'
import { walkSound } from '../../../store/pack/sound-walk.ts'
import { readAtOf } from '../../format/vector-readers.ts'
import { frames, messages } from './hosts.ts'
import { drain, format, type Parser, utf8 } from './parser.ts'
import { resigned } from './runs.ts'
import { payloadOf, smallDrive, text, vectorBytes, vectorCases } from './samples.ts'

/** What a signed message says, changed and signed again: so that its fields are read and not only its signature. */
const signed = (
  kind: MessageKind,
  covers: string[],
  sample: () => Promise<Uint8Array>,
  verify: (bytes: Uint8Array, signer: Uint8Array) => unknown,
): Parser =>
  format(
    `${kind}, signed again`,
    covers,
    async () => [payloadOf(kind, await sample())],
    bytes => resigned(kind, bytes, verify),
  )

const file = async (name: string): Promise<Buffer> => (await smallDrive()).files.get(name) ?? Buffer.alloc(0)
/** Vectors with everything that opens them: decrypted, verified, and encoded again where there is one encoding only. */
const vectors = (structure: string): Parser =>
  format(
    `${structure} (vectors)`,
    [],
    () => vectorBytes(structure),
    async bytes => {
      for (const each of vectorCases(structure)) await each.read(bytes)
    },
  )
const first = async (structure: string): Promise<Buffer> => vectorBytes(structure)[0] ?? Buffer.alloc(0)

/** Everything that lies on a drive or passes between the two houses. */
export const FORMAT_PARSERS: Parser[] = [
  format(
    'core header',
    ['parseCoreHeader'],
    () => vectorBytes('body').map(each => each.subarray(0, 200)),
    parseCoreHeader,
  ),
  format(
    'body',
    [],
    () => vectorBytes('body'),
    bytes => drain(openBody(readAtOf(bytes), Buffer.alloc(32), bytes.subarray(0, CORE_HEADER_BYTES), bytes.length)),
  ),
  format('envelope', ['parseEnvelope'], () => vectorBytes('envelope'), parseEnvelope),
  format('key record', ['peekKeyRecord'], () => vectorBytes('key-record'), peekKeyRecord),
  format(
    'metadata',
    ['parseMetadata'],
    async () => [...vectorBytes('metadata'), ...(await frames('metadata'))],
    parseMetadata,
  ),
  format('tombstone', ['parseTombstone'], () => frames('tombstone'), parseTombstone),
  format(
    'pack header',
    ['parsePackHeader'],
    () => vectorBytes('pack').map(each => each.subarray(0, 120)),
    parsePackHeader,
  ),
  format(
    'frame head',
    ['parseFrameHead'],
    () => vectorBytes('pack').map(each => each.subarray(120, 220)),
    parseFrameHead,
  ),
  format('frame', [], () => frames('frame'), openFrame),
  format('epoch frame', ['parseEpochFrame'], () => frames('epoch'), parseEpochFrame),
  format(
    'commit frame',
    ['parseCommit'],
    () => frames('commit'),
    bytes => parseEnvelope(parseCommit(bytes).envelope),
  ),
  format(
    'leaves frame',
    ['parseLeavesFrame'],
    () => frames('leaves'),
    bytes => parseLeavesFrame(bytes).leaves.map(parseLeaf),
  ),
  format('tombstone frame', ['parseTombstoneFrame'], () => frames('stone'), parseTombstoneFrame),
  format(
    'pack walk',
    [],
    async () => [...vectorBytes('pack'), ...(await frames('pack'))],
    async bytes => {
      await readPackHeader(readAtOf(bytes))
      await drain(walkPack(readAtOf(bytes)))
    },
  ),
  format(
    'pack walk over damage',
    [],
    () => frames('pack'),
    bytes => drain(walkSound(readAtOf(bytes), bytes.length, PACK_START)),
  ),
  format('leaf', ['parseLeaf'], () => vectorBytes('leaf'), parseLeaf),
  format('checkpoint', ['peekCheckpoint'], () => vectorBytes('checkpoint'), peekCheckpoint),
  format(
    'manifest',
    [],
    () => vectorBytes('manifest'),
    async bytes => drain(readLeaves(readAtOf(bytes), (await readManifestHead(readAtOf(bytes))).leavesAt)),
  ),
  format(
    'seal code',
    [],
    () => text('ABCD-EFGH-JKMN-PQRS', '0000-0000-0000-0000'),
    async bytes => checkSealCode(utf8(bytes), await first('checkpoint')),
  ),
  format(
    'unlock code',
    [],
    () => text('0123A-BCDEF-GHJKM-NPQRS-TVWXY'),
    bytes => readUnlockCode(utf8(bytes)),
  ),
  format(
    'symbols',
    ['decodeCrockford'],
    () => text('0123ABCD', 'il-o1 0'),
    bytes => decodeCrockford(readSymbols(utf8(bytes), 8, 'symbols', 'plain')),
  ),
  format(
    'id',
    ['parseId', 'parseDigestId'],
    () => text('00112233445566778899aabbccddeeff'),
    bytes => [parseId(utf8(bytes), 'id'), parseDigestId(bytes.length)],
  ),
  format(
    'grant file',
    ['parseGrantFile', 'peekGrant'],
    () => vectorBytes('grant'),
    bytes => peekGrant(parseGrantFile(bytes).signed),
  ),
  format('receipt line', ['parseReceiptLine'], () => frames('receipt line'), parseReceiptLine),
  format(
    'receipt file',
    [],
    () => vectorBytes('receipts'),
    async bytes => readReceiptFileHead(readAtOf(bytes)),
  ),
  format('destruction', ['parseDestructionFile'], () => vectorBytes('destruction'), parseDestructionFile),
  format(
    'custody log',
    [],
    () => vectorBytes('custody'),
    bytes => drain(readCustodyLog(readAtOf(bytes))),
  ),
  format('proof', ['parseProof'], () => vectorBytes('proof'), parseProof),
  format('volume', ['parseVolume'], async () => [await file('volume.json')], parseVolume),
  format('seal file', ['parseSealFile'], async () => [await file('seal.json')], parseSealFile),
  format('binding', ['parseBinding'], () => frames('binding'), parseBinding),
  format(
    'signed message',
    ['parseSigned'],
    () => vectorBytes('checkpoint'),
    bytes => parseSigned(bytes, 'checkpoint'),
  ),
  format('device request', [], () => frames('device request'), readDeviceRequest),
  format(
    'CBOR',
    ['decodePlain', 'decodeCbor'],
    () => [...vectorBytes('cbor'), ...vectorBytes('release')],
    bytes => decodeCbor(bytes, 1 << 20, 'value'),
  ),
  format('request proof', ['decodeProof'], () => vectorBytes('request-proof'), decodeProof),
  format(
    'message frames',
    ['decodeCall', 'decodeAnswer'],
    () => vectorBytes('message-frame'),
    bytes => frameCutter()(bytes).map(each => (bytes.length % 2 === 0 ? decodeCall(each) : decodeAnswer(each))),
  ),
  ...Object.entries(RELEASE_CALLS).flatMap(([call, { ask, answer }]) =>
    [ask, answer].map((codec, at) =>
      format(
        `release: ${call} ${at === 0 ? 'ask' : 'answer'}`,
        [],
        () => messages(call, at),
        bytes => codec.take(decodeCbor(bytes, MESSAGE_BYTES_LIMIT, call), call),
      ),
    ),
  ),
  ...[
    'envelope',
    'metadata',
    'key-record',
    'leaf',
    'checkpoint',
    'manifest',
    'proof',
    'grant',
    'job-order',
    'export-job',
    'export-epoch',
    'receipts',
    'destruction',
    'custody',
    'message-frame',
    'request-proof',
  ].map(vectors),
  signed('grant', [], async () => parseGrantFile(await first('grant')).signed, verifyGrant),
  signed('key-record', [], () => first('key-record'), verifyKeyRecord),
  signed('checkpoint', [], () => first('checkpoint'), verifyCheckpoint),
  signed('custody-event', [], async () => (await frames('custody event'))[0] ?? Buffer.alloc(0), verifyCustodyEvent),
  signed('receipt', [], async () => (await frames('receipt'))[0] ?? Buffer.alloc(0), verifyReceipt),
  signed('destruction', [], async () => parseDestructionFile(await first('destruction')).signed, verifyDestruction),
  signed('job-order', [], () => first('job-order'), verifyJobOrder),
  signed('export-job', [], () => first('export-job'), verifyExportJob),
]
