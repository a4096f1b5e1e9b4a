// timeout: 300s, test 200s
import { createSecretKey } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openBody, openHeldBody } from '../../format/body-opening.ts'
import { newId, type ObjectId } from '../../format/bytes.ts'
import { verifyCheckpoint } from '../../format/checkpoint.ts'
import { coreHeaderHash } from '../../format/core-header.ts'
import { verifyCustodyEvent } from '../../format/custody.ts'
import { openEnvelope, parseEnvelope } from '../../format/envelope.ts'
import { encodeFrame, encodePackHeader, FRAME, parseCommit } from '../../format/frame.ts'
import { openGrantFile, parseGrantFile, verifyGrant } from '../../format/grant.ts'
import { verifyKeyRecord } from '../../format/key-record.ts'
import { checkManifest, readManifestHead } from '../../format/manifest.ts'
import { inclusionProof, leafHash } from '../../format/merkle.ts'
import { openMetadata, sealMetadata } from '../../format/metadata.ts'
import { readPackHeader, walkPack } from '../../format/pack-walk.ts'
import { verifyProof } from '../../format/proof.ts'
import { checkReceiptFile, readReceiptFileHead } from '../../format/receipt-file.ts'
import { readUnlockCode } from '../../format/unlock-code.ts'
import { faultOf, faultOfAsync, flippedBit } from './faults.ts'
import { sealWhole } from './pack-builder.ts'
import { ACCOUNT, BUCKET } from './parties.ts'
import { makeSmallDrive } from './small-drive.ts'
import { readAtOf } from './vector-readers.ts'

const flips = suite('every flipped bit is noticed')
const drive = await makeSmallDrive()
const pack = drive.pack.bytes()
const spki = drive.device.spki
const SIGNED = ['tampered', 'malformed', 'mismatch', 'limit', 'unsupported']

/** Faults that a flip at a byte may have: the first range that holds it. */
type Ranges = [end: number, faults: string[]][]

function wantFault(ranges: Ranges, byte: number, found: string, bit: number): void {
  const allowed = ranges.find(([end]) => byte < end)?.[1] ?? []
  assert.ok(allowed.includes(found), `bit ${bit} (byte ${byte}): found ${found}, wanted ${allowed.join(' or ')}`)
}

flips('core header', async () => {
  const { body, key } = sealWhole(Buffer.from('some plaintext'), 65_536)
  const ranges: Ranges = [
    [4, ['malformed']],
    [6, ['unsupported']],
    [7, ['unsupported']],
    [8, ['tampered']], // flags that may be ignored, authentic all the same
    [12, ['limit', 'mismatch']],
    [28, ['tampered']],
    [38, ['mismatch']],
    [102, ['tampered']],
    [body.length, ['tampered']],
  ]
  for (let bit = 0; bit < body.length * 8; bit++) {
    const bytes = flippedBit(body, bit)
    const found = await faultOfAsync(async () => {
      for await (const piece of openBody(readAtOf(bytes), key, bytes.subarray(0, 102), 14)) assert.ok(piece)
    })
    wantFault(ranges, bit >> 3, found, bit)
    wantFault(
      ranges,
      bit >> 3,
      faultOf(() => openHeldBody(bytes, key, bytes.subarray(0, 102), 14)),
      bit,
    )
  }
})

flips('envelope', async () => {
  const { payload } = await firstFrame(FRAME.commit)
  const commit = parseCommit(payload)
  const envelope = parseEnvelope(commit.envelope)
  const coreHash = coreHeaderHash(pack.subarray(commit.bodyOffset + 16, commit.bodyOffset + 118))
  const open = (bytes: Buffer) =>
    openEnvelope(drive.epochs[0].keys.wrapKey, parseEnvelope(bytes), coreHash, {
      account: ACCOUNT,
      job: drive.ids.job,
      bucket: BUCKET,
      key: 'a.txt',
      objectId: envelope.objectId,
    })
  assert.is(open(commit.envelope).length, 32)
  const ranges: Ranges = [
    [4, ['malformed']],
    [5, ['unsupported']],
    [6, ['unsupported', 'tampered', 'malformed']], // another kind that is known: another AAD, or a composite with a body
    [7, ['unsupported']],
    [8, ['unsupported', 'tampered']],
    [56, ['tampered']],
    [72, ['limit', 'tampered']],
    [164, ['tampered']],
    [168, ['limit', 'truncated']],
    [172, ['limit', 'truncated', 'malformed']],
    [commit.envelope.length, ['tampered']],
  ]
  for (let bit = 0; bit < commit.envelope.length * 8; bit++)
    wantFault(
      ranges,
      bit >> 3,
      faultOf(() => open(flippedBit(commit.envelope, bit))),
      bit,
    )
})

async function firstFrame(type: number): Promise<{ payload: Buffer }> {
  for await (const frame of walkPack(readAtOf(pack)))
    if (frame.type === type && frame.type !== FRAME.body) return { payload: frame.payload }
  throw new Error('no such frame')
}

flips('pack header, frame heads and payloads', async () => {
  const ids = { ...drive.ids, pack: drive.pack.pack, firstSequence: 1, createdAt: 5 }
  const one = encodeFrame(FRAME.leaves, Buffer.alloc(32), Buffer.alloc(28, 1))
  const two = encodeFrame(FRAME.tombstone, one.checksum, Buffer.from('payload'))
  const small = Buffer.concat([encodePackHeader(ids), one.frame, two.frame])
  const head: [number, string[]][] = [
    [4, ['malformed']],
    [5, ['unsupported', 'tampered', 'limit', 'malformed', 'truncated']], // another type that is known
    [8, ['unsupported']],
    [16, ['limit', 'truncated', 'tampered']],
    [80, ['tampered']],
  ]
  const shifted = (by: number): Ranges => head.map(([end, faults]) => [end + by, faults])
  const ranges: Ranges = [
    [4, ['malformed']],
    [5, ['unsupported']],
    [120, ['tampered']],
    ...shifted(120),
    [120 + one.frame.length, ['tampered']],
    ...shifted(120 + one.frame.length),
    [small.length, ['tampered']],
  ]
  for (let bit = 0; bit < small.length * 8; bit++) {
    const read = readAtOf(flippedBit(small, bit))
    const found = await faultOfAsync(async () => {
      await readPackHeader(read)
      for await (const frame of walkPack(read)) assert.ok(frame)
    })
    wantFault(ranges, bit >> 3, found, bit)
  }
})

const signedCases: [string, Buffer, (bytes: Buffer) => unknown][] = [
  ['key record', drive.epochs[0].record, bytes => verifyKeyRecord(bytes, spki)],
  ['checkpoint', drive.checkpoints[0] ?? Buffer.alloc(0), bytes => verifyCheckpoint(bytes, spki)],
  [
    'custody event',
    (drive.files.get('custody.log') ?? Buffer.alloc(0))
      .subarray(4)
      .subarray(0, drive.files.get('custody.log')?.readUInt32BE(0)),
    bytes => verifyCustodyEvent(bytes, spki),
  ],
]
for (const [name, signed, verify] of signedCases)
  flips(name, () => {
    verify(signed)
    for (let bit = 0; bit < signed.length * 8; bit++) {
      const found = faultOf(() => verify(flippedBit(signed, bit)))
      assert.ok(SIGNED.includes(found), `bit ${bit}: ${found}`)
      if (bit >= (signed.length - 64) * 8) assert.is(found, 'tampered', `signature, bit ${bit}`)
    }
  })

flips('grant file', () => {
  const file = drive.files.get('grant') ?? Buffer.alloc(0)
  const code = readUnlockCode(drive.unlockCode)
  const open = (bytes: Buffer) => {
    const parsed = parseGrantFile(bytes)
    const grant = verifyGrant(parsed.signed, drive.provider.spki)
    return openGrantFile(parsed, grant.id, code)
  }
  assert.equal(open(file), drive.grantShare)
  for (let bit = 0; bit < file.length * 8; bit++) {
    const found = faultOf(() => open(flippedBit(file, bit)))
    assert.ok([...SIGNED, 'wrong-code'].includes(found), `bit ${bit}: ${found}`)
  }
})

flips('leaf, by its place in the signed tree', async () => {
  const leaf = drive.leaves[2] ?? Buffer.alloc(0)
  const path = await inclusionProof(2, drive.leaves.length, drive.leaves.map(leafHash))
  const rest = { index: 2, path, checkpoint: drive.checkpoints[1] ?? Buffer.alloc(0), certificate: Buffer.alloc(0) }
  verifyProof({ ...rest, leaf }, spki)
  for (let bit = 0; bit < leaf.length * 8; bit++) {
    const found = faultOf(() => verifyProof({ ...rest, leaf: flippedBit(leaf, bit) }, spki))
    const structural = ['malformed', 'unsupported', 'limit', 'truncated', 'mismatch']
    assert.ok(found === 'tampered' || structural.includes(found), `bit ${bit}: ${found}`)
    if (bit >= 88 * 8) assert.is(found, 'tampered')
  }
})

flips('manifest and receipts: every bit outside the certificate, which the caller judges', async () => {
  const manifest = drive.files.get('manifest/00000002.slm') ?? Buffer.alloc(0)
  const { leavesAt, deviceCertificate } = await readManifestHead(readAtOf(manifest))
  const { linesAt, signerCertificate } = await readReceiptFileHead(readAtOf(drive.receipts))
  const files = [
    {
      bytes: manifest,
      from: leavesAt - deviceCertificate.length,
      to: leavesAt,
      check: (bytes: Buffer) => checkManifest(readAtOf(bytes), spki, () => {}),
    },
    {
      bytes: drive.receipts,
      from: linesAt - signerCertificate.length,
      to: linesAt,
      check: (bytes: Buffer) => checkReceiptFile(readAtOf(bytes), drive.provider.spki, () => {}),
    },
  ]
  for (const { bytes, from, to, check } of files) {
    await check(bytes)
    for (let at = 0; at < bytes.length; at++) {
      if (at >= from && at < to) continue
      for (let bit = at * 8; bit < at * 8 + 8; bit++) {
        const found = await faultOfAsync(() => check(flippedBit(bytes, bit)))
        assert.ok([...SIGNED, 'truncated'].includes(found), `bit ${bit}: ${found}`)
      }
    }
  }
})

flips('sealed metadata', () => {
  const key = createSecretKey(Buffer.alloc(32, 5))
  const place = { kind: 1, objectId: newId<ObjectId>(), job: drive.ids.job, epoch: drive.epochs[0].id }
  const sealed = sealMetadata(key, place, Buffer.from('metadata'))
  assert.equal(openMetadata(key, place, sealed), Buffer.from('metadata'))
  for (let bit = 0; bit < sealed.length * 8; bit++)
    assert.is(
      faultOf(() => openMetadata(key, place, flippedBit(sealed, bit))),
      'tampered',
    )
})

flips.run()
