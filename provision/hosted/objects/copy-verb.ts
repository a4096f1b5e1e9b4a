import { randomBytes } from 'node:crypto'
import { W } from '../../../access/acl/acl.ts'
import { parseEnvelope } from '../../../format/envelope.ts'
import { encodeMetadata } from '../../../format/metadata.ts'
import type { KeyRelease } from '../../../format/release.ts'
import type { CopyStore, ObjectName } from '../../../store/ability.ts'
import { isKey } from '../../../store/key.ts'
import { type ObjectAttributes, StoreError } from '../../../store/object-store.ts'
import type { Database, ObjectRow, PartRow } from '../../database/hosted-schema.ts'
import { inOneMoment } from '../../database/shared-file.ts'
import { namedObject } from '../acl/acl-objects.ts'
import { boundColumns } from '../acl/acl-rows.ts'
import { findObject } from '../acl/acl-verbs.ts'
import { type BoundCaller, findBucket, judgeRead, requireBucket, requireKnown } from '../acl/rights.ts'
import { asked } from '../release-fault.ts'
import { keyBytes, keyText, metadataOf, partRecordOf, recordOf, storedObject, storedPart } from '../rows.ts'
import type { Shelf } from '../shelf.ts'
import { placeObject, shareBody } from './commit.ts'
import { bodyOf, partOf } from './reading.ts'

/** Parts whose envelopes go to the authority in one message. */
const PARTS_AT_ONCE = 500

/** A copy is a new envelope for the same body: the authority judges the right to the source and to the destination. */
export function copyVerb(shelf: Shelf, release: KeyRelease, caller: BoundCaller): Pick<CopyStore, 'copy'> {
  const { database } = shelf
  return {
    async copy(source, target, options) {
      const row = await inOneMoment(database, async at => {
        const home = await findBucket(at, source.bucket)
        return judgeRead(at, home, await findObject(at, source.bucket, source.key), caller)
      })
      if (row === null) return null
      await requireBucket(database, target.bucket, caller, W)
      const { proof, principal } = requireKnown(caller)
      if (!isKey(target.key)) throw new RangeError('key must be 1..1024 bytes of UTF-8')
      const { sourceEtag, sourceGeneration = row.generation } = options
      if (row.etag !== sourceEtag || row.generation !== sourceGeneration)
        throw new StoreError('precondition-failed', 'the source was replaced meanwhile')
      const from = recordOf(row)
      const attributes: ObjectAttributes = options.attributes ?? from.attributes
      const modifiedAt = shelf.clock().getTime()
      const finished = { etag: from.etag, ...(from.checksum && { checksum: from.checksum }) }
      const metadata = encodeMetadata(metadataOf({ ...target }, attributes, finished, modifiedAt))
      const copied = await rewrapAll(database, release, { proof, row, target, metadata })
      const done = await database.transaction().execute(async change => {
        await requireBucket(change, target.bucket, caller, W)
        const set = row.part_set === null ? null : randomBytes(16).toString('hex')
        let there = await shareBody(change, row.object_id)
        for (const { part, envelope } of copied.parts) {
          there &&= await shareBody(change, part.object_id)
          if (!there || set === null) break
          await change
            .insertInto('parts')
            .values({
              ...part,
              part_set: set,
              bucket: target.bucket,
              key: keyBytes(target.key),
              account: principal.account,
              job: null,
              envelope,
              binding: copied.partBinding,
            })
            .execute()
        }
        if (!there) throw new StoreError('busy', 'the source was replaced while it was copied; try again')
        const placed = {
          ...row,
          bucket: target.bucket,
          key: keyBytes(target.key),
          modified_at: modifiedAt,
          attributes: JSON.stringify(attributes),
          account: principal.account,
          job: null,
          upload: null,
          part_set: set,
          envelope: copied.envelope,
          binding: copied.binding,
          ...boundColumns(copied.binding),
          acl_revision: copied.revision,
          origin: null,
          sequence: null,
        }
        return placeObject(change, shelf.ledger, placed, {
          condition: options.condition,
          generations: options.generations,
        })
      })
      await shelf.bury(done.dead)
      return done.record
    },
  }
}

type Copied = {
  envelope: Buffer
  binding: Buffer
  partBinding: Buffer
  revision: number
  parts: { part: PartRow; envelope: Buffer }[]
}

/** New envelopes for the object and, of a composite, for each of its parts under the new name. */
async function rewrapAll(
  database: Database,
  release: KeyRelease,
  copy: { proof: Uint8Array; row: ObjectRow; target: ObjectName; metadata: Uint8Array },
): Promise<Copied> {
  const { proof, row, target, metadata } = copy
  const object = storedObject(row, (await bodyOf(database, row.object_id)).core_header)
  const destination = { bucket: target.bucket, key: target.key }
  const list = row.part_set === null ? [] : parseEnvelope(row.envelope).parts
  const named = await namedObject(database, proof)
  const { envelope: old, binding: unbound } = row
  const out: Copied = { envelope: old, binding: unbound, partBinding: unbound, revision: 0, parts: [] }
  for (let at = 0; at === 0 || at < list.length; at += PARTS_AT_ONCE) {
    const rows: PartRow[] = []
    const parts: Parameters<KeyRelease['rewrap']>[0]['parts'] = []
    for (const { objectId } of list.slice(at, at + PARTS_AT_ONCE)) {
      const part = await partOf(database, row.part_set ?? '', objectId)
      rows.push(part.row)
      const place = { ...destination, part: { upload: part.row.upload, number: part.row.number } }
      const { modifiedAt, ...finished } = partRecordOf(part.row)
      const plain = { headers: {}, metadata: {} }
      parts.push({
        object: storedPart(part.row, part.body.core_header),
        metadata: encodeMetadata(metadataOf(place, plain, finished, modifiedAt.getTime())),
      })
    }
    const { envelopes, binding, partBinding, revision } = await asked(
      release.rewrap({ proof, object, parts, destination, metadata, named }),
    )
    const [envelope, ...made] = envelopes
    if (envelope === undefined || made.length !== rows.length)
      throw new StoreError('busy', `the copy of ${row.bucket}/${keyText(row.key)} was answered in part; try again`)
    Object.assign(out, { envelope, binding, partBinding, revision })
    for (const [index, part] of rows.entries()) {
      const own = made[index]
      if (own !== undefined) out.parts.push({ part, envelope: own })
    }
  }
  return out
}
