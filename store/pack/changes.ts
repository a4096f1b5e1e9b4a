import type { EpochId, ObjectId, PackId } from '../../format/bytes.ts'
import type { DigestId } from '../../format/digest.ts'
import { COMPOSITE, type Envelope, type EnvelopeKind, PART } from '../../format/envelope.ts'
import type { ObjectMetadata, TombstoneMetadata } from '../../format/metadata.ts'
import type { Index, IndexChange } from '../index-store.ts'
import type { Checksum } from '../object-store.ts'
import {
  attributesOf,
  type BodyRow,
  decodeRow,
  encodeObject,
  json,
  type ObjectRow,
  objectKey,
  type PartRow,
  type Place,
  partKey,
  readBody,
  readObject,
  readTotals,
  text,
} from './rows.ts'
import { closeUpload, openUpload } from './upload-rows.ts'

function totalChange(index: Index, objects: number, bytes: number): IndexChange {
  const now = readTotals(index)
  return {
    table: 'total',
    key: Buffer.of(0),
    value: json({ objects: now.objects + objects, bytes: now.bytes + bytes }),
  }
}

const ANY = Buffer.of(0)

/** Most jobs never take anything back: then no commit looks for a tombstone of its name. */
function anyStone(index: Index): boolean {
  return index.get('stones', ANY) !== null
}

const CHECKSUMS: Checksum['name'][] = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256']

export function checksumOf(metadata: Pick<ObjectMetadata, 'checksum'>): Checksum | null {
  const found = metadata.checksum
  const name = CHECKSUMS.find(each => each === found?.name)
  if (found === undefined || name === undefined) return null
  return { name, value: found.value, type: found.type === 'COMPOSITE' ? 'COMPOSITE' : 'FULL_OBJECT' }
}

/** What rows keep of an envelope. */
export type CommittedObject = {
  kind: EnvelopeKind
  objectId: ObjectId
  kekId: EpochId
  plaintextLength: number
  bodyLength: number
  /** of the body; parts only */
  digest?: { id: DigestId; bytes: Buffer }
  parts: number
}

export function committedObject(envelope: Envelope): CommittedObject {
  const { kind, objectId, kekId, plaintextLength, bodyLength, parts } = envelope
  const digest = { id: envelope.digestId, bytes: envelope.digest }
  return { kind, objectId, kekId, plaintextLength, bodyLength, digest, parts: parts.length }
}

/** Index changes of one committed object, part or composite. Nothing when a newer version of the name is known already. */
export function commitChanges(
  index: Index,
  place: Place,
  sequence: number,
  object: CommittedObject,
  metadata: Omit<ObjectMetadata, 'digest'>,
): IndexChange[] {
  const checksum = checksumOf(metadata)
  if (object.kind === PART && metadata.part !== undefined && object.digest !== undefined) {
    const { upload, number } = metadata.part
    const row: PartRow = {
      place,
      objectId: object.objectId,
      size: object.plaintextLength,
      etag: metadata.etag,
      at: metadata.modifiedAt,
      sequence,
      bodyLength: object.bodyLength,
      digestId: object.digest.id,
      digest: object.digest.bytes.toString('base64'),
      ...(checksum && { checksum }),
    }
    const id = text(object.objectId)
    // its tombstone was met before it, in another pack: the upload is over
    if (index.get('buried', id) !== null)
      return [{ table: 'buried', key: id, value: null }, ...closeUpload(index, upload)]
    const body: BodyRow = { place, upload, number }
    const changes: IndexChange[] = [{ table: 'body', key: id, value: json(body) }]
    if (index.get('closed', text(upload)) !== null) return changes
    const key = partKey(upload, number)
    const old = index.get('part', key)
    if (old === null || decodeRow<PartRow>(old).sequence < sequence)
      changes.push({ table: 'part', key, value: json(row) })
    changes.push(...openUpload(index, upload, metadata, metadata.modifiedAt))
    return changes
  }
  const changes: IndexChange[] = []
  if (object.kind === COMPOSITE && metadata.part !== undefined)
    changes.push(...closeUpload(index, metadata.part.upload))
  const key = objectKey(metadata.bucket, metadata.key)
  const stone = anyStone(index) ? index.get('stone', key) : null
  if (stone !== null && decodeRow<number>(stone) > sequence) return changes
  const old = readObject(index, metadata.bucket, metadata.key)
  if (old !== null && old.sequence >= sequence) return changes
  const row: ObjectRow = {
    place,
    objectId: object.objectId,
    epoch: object.kekId,
    sequence,
    size: object.plaintextLength,
    etag: metadata.etag,
    at: metadata.modifiedAt,
    attributes: attributesOf(metadata),
    ...(checksum && { checksum }),
    ...(object.kind === COMPOSITE && { parts: object.parts, ...(metadata.part && { upload: metadata.part.upload }) }),
  }
  changes.push({ table: 'object', key, value: encodeObject(row) })
  changes.push(totalChange(index, old === null ? 1 : 0, row.size - (old?.size ?? 0)))
  return changes
}

/** A tombstone takes back every version of the name before it, and the parts of an upload that it names. */
export function tombstoneChanges(index: Index, sequence: number, stone: TombstoneMetadata): IndexChange[] {
  const changes: IndexChange[] = []
  if (stone.key !== '') {
    const key = objectKey(stone.bucket, stone.key)
    // packs are replayed in any order: an older stone never takes the place of a newer one
    const last = index.get('stone', key)
    if (last === null || decodeRow<number>(last) < sequence)
      changes.push({ table: 'stone', key, value: json(sequence) }, { table: 'stones', key: ANY, value: ANY })
    const old = readObject(index, stone.bucket, stone.key)
    if (old !== null && old.sequence < sequence)
      changes.push({ table: 'object', key, value: null }, totalChange(index, -1, -old.size))
  }
  for (const objectId of stone.objectIds) {
    const body = readBody(index, objectId)
    if (body === null) {
      changes.push({ table: 'buried', key: text(objectId), value: ANY })
      continue
    }
    changes.push(
      { table: 'body', key: text(objectId), value: null },
      { table: 'part', key: partKey(body.upload, body.number), value: null },
    )
    changes.push(...closeUpload(index, body.upload))
  }
  return changes
}

/** Takes rows out whose object lies in damaged bytes. Looks at every row: only after damage. @returns their names */
export function forgetDamaged(
  index: Index,
  pack: PackId,
  damage: { offset: number; end: number }[],
): { bucket: string; key: string }[] {
  const names: { bucket: string; key: string }[] = []
  const hit = ({ place }: ObjectRow): boolean =>
    place.pack === pack &&
    damage.some(
      ({ offset, end }) =>
        place.commitOffset + place.commitBytes > offset && (place.bodyOffset || place.commitOffset) < end,
    )
  for (let after: Buffer | undefined; ; ) {
    const page = index.scan('object', { prefix: Buffer.alloc(0), limit: 1000, ...(after && { after }) })
    for (const { key, value } of page) {
      after = key
      const row = decodeRow<ObjectRow>(value)
      if (!hit(row)) continue
      index.write([{ table: 'object', key, value: null }, totalChange(index, -1, -row.size)])
      const name = key.toString('utf8')
      const slash = name.indexOf('/')
      names.push({ bucket: name.slice(0, slash), key: name.slice(slash + 1) })
    }
    if (page.length < 1000) return names
  }
}
