/** `seal-4k`: every crypto call for one object of 4 KiB, as the device makes them, without network, index and disk. */
import { randomBytes } from 'node:crypto'
import { BodySealer } from '../../format/body.ts'
import { type EpochId, type JobId, newId, type ObjectId } from '../../format/bytes.ts'
import { coreHeaderHash } from '../../format/core-header.ts'
import { BLAKE3_256, startDigest } from '../../format/digest.ts'
import { EPOCH_KEK, OBJECT, parseEnvelope, sealEnvelope } from '../../format/envelope.ts'
import { deriveEpochKeys } from '../../format/epoch-key.ts'
import { encodeBodyHead, encodeCommit, encodeFrame, FRAME } from '../../format/frame.ts'
import { encodeLeaf, leafOf } from '../../format/leaf.ts'
import { encodeMetadata, sealMetadata } from '../../format/metadata.ts'
import { newObjectKey } from '../../store/pack/sealed-object.ts'
import { judge, type Row } from '../measure.ts'
import type { Run } from '../rounds.ts'

const OBJECTS = 20_000
const WARM_UP = 10_000
const BYTES = 4_096
const PLACE = { job: newId<JobId>(), epoch: newId<EpochId>() }

export async function measureSealing(run: Run): Promise<Row[]> {
  const keys = deriveEpochKeys(randomBytes(32))
  const plaintext = randomBytes(BYTES)
  let previous: Buffer = randomBytes(32)
  const batch = (objects: number): number => {
    const before = process.cpuUsage()
    for (let at = 0; at < objects; at++) previous = sealOne(keys, plaintext, at, previous)
    const { user, system } = process.cpuUsage(before)
    return (user + system) / objects
  }
  batch(WARM_UP)
  const ours = Array.from({ length: Math.max(3, run.rounds) }, () => batch(OBJECTS))
  return [judge('seal-4k', 'us', { text: '<= 80 us of one core', atMost: 80 }, { ours, peers: {} })]
}

/** What `store/pack` does from the first byte to the bytes of the run and the leaf. @returns the chain's next link */
function sealOne(keys: ReturnType<typeof deriveEpochKeys>, plaintext: Buffer, at: number, previous: Buffer): Buffer {
  const objectId = newId<ObjectId>()
  const objectKey = newObjectKey()
  const sealer = new BodySealer(objectId, objectKey)
  const source = startDigest(BLAKE3_256)
  source.update(plaintext)
  const head = sealer.push(plaintext)
  const { sealed, summary } = sealer.finish()
  const key = `d${at % 100}/f${at}`
  const bytes = source.digest()
  const metadata = encodeMetadata({
    bucket: 'photos',
    key,
    modifiedAt: 1_700_000_000_000,
    etag: `${bytes.toString('hex', 0, 16)}-1`,
    headers: {},
    user: { 'sealift-mtime': '1700000000000', 'sealift-mode': '644' },
    digest: { id: BLAKE3_256, bytes },
  })
  const { job, epoch } = PLACE
  const sealedMetadata = sealMetadata(keys.metadataKey, { kind: OBJECT, objectId, job, epoch }, metadata)
  const envelope = sealEnvelope(
    keys.wrapKey,
    objectKey,
    { kind: OBJECT, kekKind: EPOCH_KEK, kekId: epoch, job, ...summary, sealedMetadata, parts: [] },
    coreHeaderHash(sealer.coreHeader),
    { account: 'acme', job, bucket: 'photos', key, objectId },
  )
  const body = [encodeBodyHead(), ...head, ...sealed]
  const commit = {
    sequence: at + 1,
    committedAt: 1_700_000_000_000,
    bodyOffset: body.length,
    durableOffset: 120,
    envelope,
  }
  const { checksum } = encodeFrame(FRAME.commit, previous, encodeCommit(commit))
  encodeLeaf(leafOf(parseEnvelope(envelope), envelope, commit.sequence, commit.committedAt))
  objectKey.fill(0)
  return checksum
}
