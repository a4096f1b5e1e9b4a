import { createSecretKey, randomBytes } from 'node:crypto'
import type { BodySummary } from '../../format/body.ts'
import { type EpochId, newId, type ObjectId } from '../../format/bytes.ts'
import { type Checkpoint, signCheckpoint } from '../../format/checkpoint.ts'
import { coreHeaderHash } from '../../format/core-header.ts'
import { SHA_256 } from '../../format/digest.ts'
import {
  COMPOSITE,
  type CompositePart,
  compositeHeaderHash,
  type EnvelopeFields,
  encodeParts,
  OBJECT,
  PART,
  parseEnvelope,
  sealEnvelope,
  TOMBSTONE,
} from '../../format/envelope.ts'
import { deriveEpochKeys, deriveMetadataKey, type EpochKeys, wrapMetadataKey } from '../../format/epoch-key.ts'
import { encodeCommit, FRAME } from '../../format/frame.ts'
import { grantHash, sealGrantFile } from '../../format/grant.ts'
import { makeKeyRecord, type RecipientKey } from '../../format/key-record.ts'
import { encodeLeaf, encodeTombstoneFrame, leafOf, tombstoneLeaf } from '../../format/leaf.ts'
import { encodeManifestHead } from '../../format/manifest.ts'
import { Frontier, leafHash } from '../../format/merkle.ts'
import { encodeMetadata, encodeTombstone, type ObjectMetadata, sealMetadata } from '../../format/metadata.ts'
import { encodeEpochFrame, encodeLeavesFrame } from '../../format/pack-walk.ts'
import { sealCode } from '../../format/seal-code.ts'
import { messageHash } from '../../format/signed.ts'
import { readUnlockCode } from '../../format/unlock-code.ts'
import {
  checkpointPath,
  encodeSealFile,
  encodeVolume,
  keyRecordPath,
  manifestPath,
  packPath,
} from '../../format/volume.ts'
import { HPKE_P256, keyId, sealTo } from '../../format/wrap-suite.ts'
import { PackBuilder, type Sealed, sealWhole } from './pack-builder.ts'
import { ACCOUNT, BUCKET, makeParties, NOW } from './parties.ts'
import { custodyLog, receiptFile } from './small-statements.ts'

type Epoch = { id: EpochId; key: Buffer; keys: EpochKeys; record: Buffer }
/** A sealed drive with every kind of thing on it, and all that opens it. */
export async function makeSmallDrive() {
  const parties = await makeParties()
  const {
    ids,
    device,
    provider,
    opener,
    deviceCertificate,
    signerCertificate,
    grant,
    signedGrant,
    unlockCode,
    grantShare,
  } = parties
  const files = new Map<string, Buffer>()
  files.set('grant', sealGrantFile(signedGrant, grant.id, readUnlockCode(unlockCode), grantShare))
  files.set('volume.json', encodeVolume({ format: 1, ...ids, number: 1, createdAt: new Date(NOW).toISOString() }))
  const pack = new PackBuilder(ids)
  const indexKey = createSecretKey(randomBytes(32))
  const hashOfGrant = grantHash(signedGrant)

  const startEpoch = async (): Promise<Epoch> => {
    const [id, key] = [newId<EpochId>(), randomBytes(32)]
    const head = {
      epoch: id,
      job: ids.job,
      device: ids.device,
      grantHash: hashOfGrant,
      createdAt: NOW,
      maxObjects: 10_000,
      maxBytes: 2 ** 38,
    }
    const recipient: RecipientKey = {
      suite: HPKE_P256,
      keyId: keyId(opener.spki),
      seal: async (secret, context) => sealTo({ suite: HPKE_P256, spki: opener.spki }, secret, context),
    }
    const record = await makeKeyRecord(key, head, [recipient], device.sign)
    files.set(keyRecordPath(id), record)
    pack.frame(FRAME.epoch, encodeEpochFrame(record, wrapMetadataKey(indexKey, deriveMetadataKey(key), id)))
    return { id, key, keys: deriveEpochKeys(key), record }
  }

  let sequence = 0
  const frontier = Frontier.empty()
  const allLeaves: Buffer[] = []
  let leaves: Buffer[] = []
  const committedAt = (): number => NOW + sequence * 1000
  const commit = (
    epoch: Epoch,
    key: string,
    sealed: Sealed | CompositePart[],
    part?: { upload: string; number: number },
  ) => {
    const whole = Array.isArray(sealed) ? null : sealed
    const parts = Array.isArray(sealed) ? sealed : []
    const objectId = whole?.summary.objectId ?? newId<ObjectId>()
    const kind = whole === null ? COMPOSITE : part === undefined ? OBJECT : PART
    const place = { kind, objectId, job: ids.job, epoch: epoch.id }
    const metadata: ObjectMetadata = {
      bucket: BUCKET,
      key,
      modifiedAt: NOW,
      etag: 'e',
      headers: {},
      user: { note: 'ünïcode' },
    }
    if (part !== undefined) metadata.part = part
    const summary: Omit<BodySummary, 'objectId'> = whole?.summary ?? {
      plaintextLength: parts.reduce((sum, each) => sum + each.plaintextLength, 0),
      bodyLength: 0,
      digestId: SHA_256,
      digest: messageHash(encodeParts(parts)),
    }
    const fields: EnvelopeFields = {
      ...summary,
      kind,
      kekKind: 1,
      kekId: epoch.id,
      job: ids.job,
      objectId,
      sealedMetadata: sealMetadata(epoch.keys.metadataKey, place, encodeMetadata(metadata)),
      parts,
    }
    const coreHash = whole === null ? compositeHeaderHash(objectId) : coreHeaderHash(whole.core)
    const context = {
      account: ACCOUNT,
      job: ids.job,
      bucket: BUCKET,
      key,
      objectId,
      ...(part === undefined ? {} : { part }),
    }
    const envelope = sealEnvelope(epoch.keys.wrapKey, whole?.key ?? randomBytes(32), fields, coreHash, context)
    const durableOffset = pack.length
    const bodyOffset = whole === null ? 0 : pack.body(whole.body)
    sequence++
    pack.frame(
      FRAME.commit,
      encodeCommit({ sequence, committedAt: committedAt(), bodyOffset, durableOffset, envelope }),
    )
    leaves.push(encodeLeaf(leafOf(parseEnvelope(envelope), envelope, sequence, committedAt())))
    return fields
  }
  const bury = (epoch: Epoch, key: string, objectIds: ObjectId[]): void => {
    const objectId = newId<ObjectId>()
    const place = { kind: TOMBSTONE, objectId, job: ids.job, epoch: epoch.id }
    const sealed = sealMetadata(epoch.keys.metadataKey, place, encodeTombstone({ bucket: BUCKET, key, objectIds }))
    sequence++
    const stone = {
      sequence,
      committedAt: committedAt(),
      durableOffset: pack.length,
      objectId,
      job: ids.job,
      epoch: epoch.id,
      sealed,
    }
    const payload = encodeTombstoneFrame(stone)
    pack.frame(FRAME.tombstone, payload)
    leaves.push(encodeLeaf(tombstoneLeaf(stone, payload)))
  }
  let previous: Buffer = Buffer.alloc(32)
  let number = 0
  const checkpoints: Buffer[] = []
  const endEpoch = async (epoch: Epoch, state: Checkpoint['state']): Promise<Buffer> => {
    pack.frame(FRAME.leaves, encodeLeavesFrame({ epoch: epoch.id, firstIndex: frontier.size, leaves }))
    for (const leaf of leaves) frontier.append(leafHash(leaf))
    allLeaves.push(...leaves)
    leaves = []
    number++
    const checkpoint: Checkpoint = {
      job: ids.job,
      device: ids.device,
      grantHash: hashOfGrant,
      number,
      previous,
      state,
      createdAt: NOW + number * 60_000,
      epoch: epoch.id,
      treeSize: frontier.size,
      root: frontier.root(),
      peaks: frontier.peaks,
      lastSequence: sequence,
      objects: 5,
      bytes: 65_604 + 70_032,
      drives: [ids.drive],
      packs: [{ pack: pack.pack, drive: ids.drive, length: pack.length, head: pack.head }],
    }
    const signed = await signCheckpoint(checkpoint, device.sign)
    previous = messageHash(signed)
    checkpoints.push(signed)
    files.set(checkpointPath(number), signed)
    return signed
  }

  const plain = new Map<string, Buffer>()
  const big = Buffer.alloc(65_604, 'sealed twice over. ')
  const first = await startEpoch()
  commit(first, 'a.txt', sealWhole(Buffer.from('an older version'), 262_144))
  pack.body(sealWhole(Buffer.from('an upload that was given up'), 65_536).body)
  commit(first, 'big', sealWhole(big, 65_536))
  commit(first, 'empty', sealWhole(Buffer.alloc(0), 262_144))
  const gone = commit(first, 'gone', sealWhole(Buffer.from('soon gone'), 262_144))
  bury(first, 'gone', [gone.objectId])
  const halves = [big.subarray(0, 70_000 - 4_396), Buffer.from('the end of a film')]
  const parts = halves.map((half, at) =>
    commit(first, 'film', sealWhole(half, 65_536), { upload: 'u1', number: at + 1 }),
  )
  const film = parts.map(({ objectId, plaintextLength, bodyLength, digestId, digest }) => ({
    objectId,
    plaintextLength,
    bodyLength,
    digestId,
    digest,
  }))
  commit(first, 'film', film)
  await endEpoch(first, 'epoch')
  const second = await startEpoch()
  commit(second, 'a.txt', sealWhole(Buffer.from('the newer version'), 262_144))
  const sealed = await endEpoch(second, 'sealed')
  plain.set('a.txt', Buffer.from('the newer version'))
  plain.set('big', big)
  plain.set('empty', Buffer.alloc(0))
  plain.set('film', Buffer.concat(halves))

  const code = sealCode(sealed)
  files.set(packPath(pack.pack), pack.bytes())
  files.set(manifestPath(number), Buffer.concat([encodeManifestHead(sealed, deviceCertificate), ...allLeaves]))
  files.set(
    'seal.json',
    encodeSealFile({
      format: 1,
      job: ids.job,
      device: ids.device,
      sealNumber: number,
      code,
      objects: 5,
      bytes: 1,
      sealedAt: new Date(NOW).toISOString(),
    }),
  )
  files.set('custody.log', await custodyLog(device, ids))
  const receipts = await receiptFile(provider, signerCertificate, ids, messageHash(sealed), gone.objectId)
  return {
    ...parties,
    files,
    pack,
    epochs: [first, second] as const,
    leaves: allLeaves,
    checkpoints,
    code,
    plain,
    receipts,
  }
}

export type SmallDrive = Awaited<ReturnType<typeof makeSmallDrive>>
