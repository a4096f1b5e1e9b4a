/**
 * Makes `test/vectors/sealift/*.json`: `node test/vectors/make.ts FOLDER`. Bodies, trees and CBOR come out the same every time; what is signed or
 * sealed with random nonces is captured once and kept.
 */
import fs from 'node:fs'
import path from 'node:path'
import { COMPOSITE, compositeHeaderHash, parseEnvelope } from '../../format/envelope.ts'
import { coreHeaderHash } from '../../format/core-header.ts'
import { type CborValue, encodeCbor } from '../../format/cbor.ts'
import { deriveMetadataKey } from '../../format/epoch-key.ts'
import { expand, label } from '../../format/kdf.ts'
import { FormatError } from '../../format/fault.ts'
import { FRAME, parseCommit } from '../../format/frame.ts'
import { signJobOrder } from '../../format/job-order.ts'
import { inclusionProof, leafHash } from '../../format/merkle.ts'
import { openMetadata, parseMetadata } from '../../format/metadata.ts'
import { walkPack } from '../../format/pack-walk.ts'
import { encodeProof } from '../../format/proof.ts'
import { checkpointPath, manifestPath } from '../../format/volume.ts'
import { ACCOUNT, BUCKET, NOW } from '../format/parties.ts'
import { PROOF_DRAFTS, RELEASE_DRAFTS } from './release-drafts.ts'
import { makeSmallDrive } from '../format/small-drive.ts'
import { sealSeeded, seeded } from '../format/stranger.ts'
import { treeRoot } from '../format/stranger-keys.ts'
import {
  type Change,
  changed,
  type Inputs,
  readAtOf,
  READERS,
  type Refusal,
  type VectorFile,
} from '../format/vector-readers.ts'
import { createSecretKey } from 'node:crypto'

const folder = process.argv[2]
if (folder === undefined) throw new Error('wanted the folder to write to')
fs.mkdirSync(folder, { recursive: true })

type Draft = {
  name: string
  inputs: Inputs
  bytes: Buffer
  refused: [why: string, fault: string, change: Change][]
  stored?: Buffer
}

async function write(structure: string, about: string, drafts: Draft[]): Promise<void> {
  const read = READERS[structure]
  if (read === undefined) throw new Error(`no reader of ${structure}`)
  const cases: VectorFile['cases'] = []
  for (const { name, inputs, bytes, refused, stored } of drafts) {
    const expect = await read(inputs, bytes)
    const refusals: Refusal[] = []
    for (const [why, fault, change] of refused) {
      const found = await read({ ...inputs, ...change.inputs }, changed(bytes, change)).then(
        () => 'nothing',
        (error: unknown) => (error instanceof FormatError ? error.fault : String(error)),
      )
      if (found !== fault) throw new Error(`${structure} ${name}: ${why}: wanted ${fault}, found ${found}`)
      refusals.push({ why, fault, ...change })
    }
    cases.push({ name, inputs, bytes: (stored ?? bytes).toString('base64'), expect, refused: refusals })
  }
  save(structure, { structure, about, cases })
}

function save(name: string, value: unknown): void {
  fs.writeFileSync(path.join(folder ?? '', `${name}.json`), `${JSON.stringify(value, null, 1)}\n`)
}

/** Parts of the structures: magic, version, … at an offset, with the fault of a flipped bit there. */
const flip = (why: string, fault: string, at: number, mask = 1): Draft['refused'][number] => [
  why,
  fault,
  { xor: [[at, mask]] },
]
const cut = (fault: string): Draft['refused'][number] => ['one byte cut off', fault, { cut: 1 }]
const longer = (fault: string): Draft['refused'][number] => ['one byte more', fault, { append: '00' }]

const SEGMENT = 65_536
const ROOM = SEGMENT - 32
await write(
  'body',
  'Bodies are not kept: plaintext = seeded(plaintextSeed, plaintextLength); IV and nonces = seeded(nonceSeed, 32 + 12 a segment); seeded is AES-256-CTR under SHA-256(seed), counter 0. bodySha256 is of the result.',
  [0, 1, ROOM - 1, ROOM, ROOM + 1, 2 * ROOM, 2 * ROOM + 1].map(length => {
    const objectKey = seeded(`key ${length}`, 32)
    const objectId = seeded(`id ${length}`, 16).toString('hex')
    const inputs = {
      objectId,
      objectKey: objectKey.toString('hex'),
      segmentBytes: String(SEGMENT),
      plaintextSeed: `plain ${length}`,
      plaintextLength: String(length),
      nonceSeed: `nonce ${length}`,
    }
    const bytes = sealSeeded(objectId, objectKey, seeded(inputs.plaintextSeed, length), SEGMENT, inputs.nonceSeed)
    const refused: Draft['refused'] = [
      flip('magic', 'malformed', 0),
      flip('version', 'unsupported', 4),
      flip('suite', 'unsupported', 5),
      flip('a critical flag', 'unsupported', 6),
      flip('a flag that may be ignored is authentic all the same', 'tampered', 7),
      flip('segment length 0', 'limit', 9),
      flip('another segment length', 'mismatch', 11),
      flip('object id', 'tampered', 12),
      flip('FLOE parameters', 'mismatch', 28),
      flip('IV', 'tampered', 38),
      flip('header tag', 'tampered', 101),
      flip('length word of the first segment', 'tampered', 105),
      flip(
        'nonce of the last segment',
        'tampered',
        bytes.length - ((length === 0 ? 0 : length % ROOM || ROOM) + 16) - 1,
      ),
      flip('tag of the last segment', 'tampered', -1),
      cut('truncated'),
      ['another key', 'tampered', { inputs: { objectKey: '00'.repeat(32) } }],
    ]
    if (length > ROOM)
      refused.push([
        'a whole segment less, plaintext length to match',
        'tampered',
        { cut: bytes.length - 102 - SEGMENT, inputs: { plaintextLength: String(ROOM) } },
      ])
    return { name: `${length} bytes in segments of ${SEGMENT}`, inputs, bytes, stored: Buffer.alloc(0), refused }
  }),
)

const drive = await makeSmallDrive()
const spki = drive.device.spki.toString('hex')
const [first] = drive.epochs
const pack = drive.pack.bytes()
const wrapKey = expand(first.key, label('wrap key'), 32)
const metadataKey = deriveMetadataKey(first.key)
const envelopes: Draft[] = []
const metadatas: Draft[] = []
const epochs = drive.epochs.map(({ id, key }) => ({ id, key: key.toString('hex') }))
for await (const frame of walkPack(readAtOf(pack))) {
  if (frame.type !== FRAME.commit) continue
  const commit = parseCommit(frame.payload)
  const envelope = parseEnvelope(commit.envelope)
  if (envelope.kekId !== first.id) continue
  const place = { kind: envelope.kind, objectId: envelope.objectId, job: envelope.job, epoch: envelope.kekId }
  const { key, part } = parseMetadata(openMetadata(createSecretKey(metadataKey), place, envelope.sealedMetadata))
  const core = pack.subarray(commit.bodyOffset + 16, commit.bodyOffset + 118)
  const coreHash = (
    envelope.kind === COMPOSITE ? compositeHeaderHash(envelope.objectId) : coreHeaderHash(core)
  ).toString('hex')
  const inputs: Inputs = {
    account: ACCOUNT,
    job: envelope.job,
    bucket: BUCKET,
    key,
    wrapKey: wrapKey.toString('hex'),
    coreHash,
  }
  if (part !== undefined) Object.assign(inputs, { upload: part.upload, number: String(part.number) })
  const others = {
    account: 'acme2',
    bucket: 'photo',
    key: `${key}x`,
    wrapKey: '00'.repeat(32),
    job: '0'.repeat(32),
    coreHash: '00'.repeat(48),
  }
  const composite = envelope.kind === COMPOSITE
  envelopes.push({
    name: `kind ${envelope.kind}: ${key}${part === undefined ? '' : `, part ${part.number}`}`,
    inputs,
    bytes: commit.envelope,
    refused: [
      flip('magic', 'malformed', 0),
      flip('version', 'unsupported', 4),
      flip('unknown kind', 'unsupported', 5, 8),
      flip('kind of key', 'tampered', 6, 3),
      flip('unknown kind of key', 'unsupported', 6, 8),
      flip('unknown digest', 'unsupported', 7, 8),
      flip('key id', 'tampered', 8),
      flip('job', 'tampered', 24),
      flip('object id', 'tampered', 40),
      flip('plaintext length above 2^53', 'limit', 56, 0x80),
      flip('plaintext length', composite ? 'malformed' : 'tampered', 63),
      flip('body length', composite ? 'malformed' : 'tampered', 71),
      flip('digest', 'tampered', 72),
      flip('nonce', 'tampered', 104),
      flip('wrapped key', 'tampered', 116),
      flip('its tag', 'tampered', 163),
      flip('metadata length above its bound', 'limit', 165, 0x80),
      flip('part count above its bound', 'limit', 168, 0x80),
      flip('sealed metadata', 'tampered', 172),
      flip('last byte', 'tampered', -1),
      cut('truncated'),
      longer('truncated'),
      ...Object.entries(others).map(([name, value]): Draft['refused'][number] => [
        `another ${name}`,
        'tampered',
        { inputs: { [name]: value } },
      ]),
      ['as another part', 'tampered', { inputs: { upload: 'u1', number: '9' } }],
    ],
  })
  metadatas.push({
    name: `of ${key}${part === undefined ? '' : `, part ${part.number}`}`,
    inputs: {
      kind: String(place.kind),
      objectId: place.objectId,
      job: place.job,
      epoch: place.epoch,
      metadataKey: metadataKey.toString('hex'),
    },
    bytes: envelope.sealedMetadata,
    refused: [
      flip('nonce', 'tampered', 0),
      flip('text', 'tampered', 12),
      flip('tag', 'tampered', -1),
      cut('tampered'),
      ['almost nothing', 'truncated', { cut: envelope.sealedMetadata.length - 27 }],
      ['as another kind', 'tampered', { inputs: { kind: '4' } }],
      ['of another object', 'tampered', { inputs: { objectId: 'ab'.repeat(16) } }],
    ],
  })
}
await write(
  'envelope',
  'Opening gives the object key. coreHash: SHA-384 of the core header, or of the composite label.',
  envelopes,
)
await write('metadata', 'Sealed metadata; cbor is the plaintext.', metadatas)

const scalar = drive.opener.privateKey.export({ format: 'jwk' }).d ?? ''
const signed = (at: number): Draft['refused'] => [
  flip('outer CBOR', 'malformed', 0),
  flip('payload', 'tampered', at, 2),
  flip('signature', 'tampered', -1),
  cut('malformed'),
  longer('malformed'),
]
const otherSpki = drive.provider.spki.toString('hex')
await write('key-record', 'With the P-256 private key (32 bytes) of its one HPKE recipient.', [
  {
    name: 'one recipient, suite 0x0010',
    inputs: { deviceSpki: spki, privateKey: Buffer.from(scalar, 'base64url').toString('hex') },
    bytes: first.record,
    refused: [
      ...signed(200),
      ['signed by another', 'tampered', { inputs: { deviceSpki: otherSpki } }],
      ['for no key of ours', 'mismatch', { inputs: { privateKey: `${'00'.repeat(31)}05` } }],
    ],
  },
])
await write(
  'pack',
  'A whole pack: two epochs, two versions of a.txt, an aborted body, a composite of two parts, a tombstone.',
  [
    {
      name: 'the small drive',
      inputs: {
        epochs: JSON.stringify(epochs),
        account: ACCOUNT,
        bucket: BUCKET,
        plaintexts: JSON.stringify(
          Object.fromEntries([...drive.plain].map(([name, bytes]) => [name, bytes.toString('base64')])),
        ),
      },
      bytes: pack,
      refused: [
        flip('magic', 'malformed', 0),
        flip('version', 'unsupported', 4),
        flip('flags', 'tampered', 5),
        flip('drive', 'tampered', 56),
        flip('checksum of the header', 'tampered', 119),
        flip('magic of the first frame', 'malformed', 120),
        flip('type 7', 'unsupported', 124, 6),
        flip('type of the first frame', 'tampered', 124, 4),
        flip('flags of the first frame', 'unsupported', 125),
        flip('payload length above its bound', 'limit', 130, 0x80),
        flip('previous of the first frame', 'tampered', 136),
        flip('payload of the first frame', 'tampered', 210),
        cut('truncated'),
        longer('truncated'),
      ],
    },
  ],
)
await write(
  'leaf',
  'Leaves of the small drive, in order.',
  drive.leaves.map((bytes, at) => ({
    name: `leaf ${at}`,
    inputs: {},
    bytes,
    refused: [
      flip('unknown kind', 'unsupported', 0, 8),
      flip('unknown digest', 'unsupported', 1, 8),
      flip('reserved', 'malformed', 2),
      flip('metadata length above its bound', 'limit', 4),
      flip('sequence above 2^53', 'limit', 8, 0x80),
      cut('truncated'),
      longer('truncated'),
    ],
  })),
)
await write(
  'checkpoint',
  'Signed by the device.',
  drive.checkpoints.map((bytes, at) => ({
    name: `checkpoint ${at + 1}`,
    inputs: at === 1 ? { deviceSpki: spki, sealCode: drive.code } : { deviceSpki: spki },
    bytes,
    refused: [
      ...signed(200),
      ['signed by another', 'tampered', { inputs: { deviceSpki: otherSpki } }],
      ['another seal code', 'wrong-code', { inputs: { sealCode: '0000-0000-0000-0000' } }],
      ['a short seal code', 'wrong-code', { inputs: { sealCode: '0000-0000-0000-000' } }],
      ['a symbol that is none', 'wrong-code', { inputs: { sealCode: '0000-0000-0000-000U' } }],
    ],
  })),
)
const manifest = drive.files.get(manifestPath(2)) ?? Buffer.alloc(0)
await write('manifest', 'Head, sealed checkpoint, certificate, leaves.', [
  {
    name: 'the small drive',
    inputs: { deviceSpki: spki },
    bytes: manifest,
    refused: [
      flip('magic', 'malformed', 0),
      flip('version', 'unsupported', 4),
      flip('reserved', 'unsupported', 7),
      flip('length of the checkpoint above its bound', 'limit', 8),
      flip('a leaf', 'tampered', -1),
      cut('truncated'),
      longer('truncated'),
      ['the last leaf gone', 'tampered', { cut: drive.leaves.at(-1)?.length ?? 0 }],
      ['a leaf twice', 'tampered', { append: drive.leaves.at(-1)?.toString('hex') ?? '' }],
    ],
  },
])
const path9 = await inclusionProof(4, drive.leaves.length, drive.leaves.map(leafHash))
const proof = encodeProof({
  leaf: drive.leaves[4] ?? Buffer.alloc(0),
  index: 4,
  path: path9,
  checkpoint: drive.files.get(checkpointPath(2)) ?? Buffer.alloc(0),
  certificate: drive.deviceCertificate,
})
await write('proof', 'One leaf of the small drive.', [
  {
    name: 'leaf 4 of 9',
    inputs: { deviceSpki: spki },
    bytes: proof,
    refused: [
      flip('not JSON', 'malformed', 0),
      ['signed by another', 'tampered', { inputs: { deviceSpki: otherSpki } }],
    ],
  },
])
await write('grant', 'The grant file and its unlock code.', [
  {
    name: 'write-only',
    inputs: { signerSpki: otherSpki, unlockCode: drive.unlockCode },
    bytes: drive.files.get('grant') ?? Buffer.alloc(0),
    refused: [
      ['another code', 'wrong-code', { inputs: { unlockCode: '00000-00000-00000-00000-00000' } }],
      [
        'a code whose check symbol does not fit',
        'wrong-code',
        { inputs: { unlockCode: '00000-00000-00000-00000-00001' } },
      ],
      ['signed by another', 'tampered', { inputs: { signerSpki: spki } }],
      cut('malformed'),
      longer('malformed'),
      flip('signature', 'tampered', -115),
    ],
  },
])
const order = await signJobOrder(
  {
    job: drive.ids.job,
    account: ACCOUNT,
    buckets: [BUCKET],
    acl: 'private',
    mode: 'write-only',
    deletes: 'ignore',
    versions: 'latest',
    orderedAt: NOW,
  },
  drive.provider.sign,
)
await write('job-order', 'Signed by the provider.', [
  { name: 'one bucket', inputs: { signerSpki: otherSpki }, bytes: order, refused: signed(60) },
])
await write('receipts', 'A file of two lines, one held.', [
  {
    name: 'level key',
    inputs: { signerSpki: otherSpki },
    bytes: drive.receipts,
    refused: [
      flip('magic', 'malformed', 0),
      flip('version', 'unsupported', 4),
      flip('length of the receipt above its bound', 'limit', 8),
      flip('a line', 'tampered', -1),
      cut('truncated'),
      longer('truncated'),
      ['signed by another', 'tampered', { inputs: { signerSpki: spki } }],
    ],
  },
])
const custody = drive.files.get('custody.log') ?? Buffer.alloc(0)
await write('custody', 'Three events.', [
  {
    name: 'unlocked, wrong-code, sealed',
    inputs: { deviceSpki: spki },
    bytes: custody,
    refused: [
      flip('length of the first event above its bound', 'limit', 0),
      flip('signature of the last', 'tampered', -1),
      cut('truncated'),
      longer('truncated'),
      [
        'the first event twice',
        'tampered',
        { append: custody.subarray(0, 4 + custody.readUInt32BE(0)).toString('hex') },
      ],
      ['signed by another', 'tampered', { inputs: { deviceSpki: otherSpki } }],
    ],
  },
])
const hostile = (why: string, fault: string, bytes: Buffer, value: CborValue): Draft['refused'][number] => [
  why,
  fault,
  { cut: bytes.length, append: encodeCbor(value).toString('hex') },
]
await write(
  'release',
  'What every call of KeyRelease asks and answers: the CBOR of p and of r. value is what is read, bytes in hex.',
  RELEASE_DRAFTS.map(({ message, name = message, value, refused }) => {
    const bytes = encodeCbor(value)
    return {
      name,
      inputs: { message },
      bytes,
      refused: [
        cut('malformed'),
        longer('malformed'),
        ...refused.map(([why, fault, wrong]) => hostile(why, fault, bytes, wrong)),
      ],
    }
  }),
)
const framed = (value: CborValue): Buffer => {
  const body = encodeCbor(value)
  const head = Buffer.alloc(4)
  head.writeUInt32BE(body.length)
  return Buffer.concat([head, body])
}
const calls = [
  { n: 1, m: 'authenticate', p: [Buffer.from('p')] },
  { n: 2, m: 'bind', p: [] },
]
const answers = [
  { n: 2, f: 'denied', e: 'no' },
  { n: 1, r: null },
]
const framing = (list: CborValue[]): Draft['refused'] => [
  ['a length above the bound', 'limit', { xor: [[0, 0x80]] }],
  flip('length of the first', 'malformed', 3),
  flip('CBOR of the first', 'malformed', 4),
  hostileFrame('an extra field', { ...Object(list[0]), z: 1 }),
  hostileFrame('no number', { m: 'bind', p: [] }),
  hostileFrame('no map', []),
]
function hostileFrame(why: string, value: CborValue): Draft['refused'][number] {
  return [why, 'malformed', { append: framed(value).toString('hex') }]
}
await write('message-frame', 'Two calls on a stream, and their answers in another order.', [
  { name: 'calls', inputs: { side: 'ask' }, bytes: Buffer.concat(calls.map(framed)), refused: framing(calls) },
  { name: 'answers', inputs: { side: 'answer' }, bytes: Buffer.concat(answers.map(framed)), refused: framing(answers) },
])
await write(
  'request-proof',
  'A request signed by header, and a presigned one.',
  PROOF_DRAFTS.map(({ name, value, refused }) => {
    const bytes = encodeCbor(value)
    return {
      name,
      inputs: {},
      bytes,
      refused: [
        cut('malformed'),
        longer('malformed'),
        ...refused.map(([why, fault, wrong]) => hostile(why, fault, bytes, wrong)),
      ],
    }
  }),
)
const cbor = (name: string, wrong: string): Draft['refused'][number] => [name, 'malformed', { cut: 4, append: wrong }]
await write(
  'cbor',
  'The map {"a": 1}, and what is not the deterministic encoding of a map with a whole number in "a".',
  [
    {
      name: '{"a": 1}',
      inputs: {},
      bytes: Buffer.from('a1616101', 'hex'),
      refused: [
        cbor('a longer head', 'a161611801'),
        cbor('an indefinite map', 'bf616101ff'),
        cbor('unsorted keys', 'a2616201616101'),
        cbor('a key twice', 'a2616101616101'),
        cbor('a float', 'a16161f93c00'),
        cbor('a tag', 'a16161c101'),
        cbor('undefined', 'a16161f7'),
        cbor('a negative number', 'a1616120'),
        cbor('2^64-1', 'a161611bffffffffffffffff'),
        cbor('text that is no UTF-8', 'a16180f7'),
        cbor('a number as key', 'a10102'),
        cbor('two items', 'a161610101'),
        cbor('a list', '8101'),
        cbor('nothing', ''),
        ['above its length', 'limit', { append: '00'.repeat(1024) }],
      ],
    },
  ],
)

const leaves = Array.from({ length: 9 }, (_, at) => seeded(`leaf ${at}`, at * 7))
save('tree', {
  structure: 'tree',
  about: 'RFC 6962 trees over leaf 0, 1, … (hex); proofs[size][index] is the audit path.',
  leaves: leaves.map(each => each.toString('hex')),
  roots: Array.from({ length: 10 }, (_, size) => treeRoot(leaves.slice(0, size)).toString('hex')),
  proofs: await Promise.all(
    Array.from({ length: 10 }, (_, size) =>
      Promise.all(
        Array.from({ length: size }, async (_, index) =>
          (await inclusionProof(index, size, leaves.slice(0, size).map(leafHash))).map(each => each.toString('hex')),
        ),
      ),
    ),
  ),
})
