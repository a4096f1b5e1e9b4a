import { W } from '../../../access/acl/acl.ts'
import { OBJECT } from '../../../format/envelope.ts'
import type { KeyRelease } from '../../../format/release.ts'
import { isKey } from '../../../store/key.ts'
import type { ObjectRecord, ObjectStore, PutOptions } from '../../../store/object-store.ts'
import { requireLength } from '../../../store/shelf.ts'
import type { Change } from '../../database/hosted-schema.ts'
import { isAclObject, namedObject, putAclObject, readAclObject } from '../acl/acl-objects.ts'
import { boundColumns } from '../acl/acl-rows.ts'
import { type BoundCaller, requireBucket, requireKnown } from '../acl/rights.ts'
import { jsonOf, keyBytes, metadataOf } from '../rows.ts'
import type { Shelf } from '../shelf.ts'
import { addBlob, addBody, placeObject } from './commit.ts'
import type { Unnumbered } from './generations.ts'
import { holding, type Sealed, sealToBlob, wrapSealed } from './sealing.ts'

/** An object in one stream. What is marked as an ACL is held whole, judged, and comes into force before it is seen. */
export function putVerb(
  shelf: Shelf,
  release: KeyRelease,
  caller: BoundCaller,
  form: Uint8Array | null,
): ObjectStore['put'] {
  const { database } = shelf
  const proof = caller?.proof ?? form
  return async (bucket, key, body, options) => {
    await requireBucket(database, bucket, caller, W)
    if (!isKey(key)) throw new RangeError('key must be 1..1024 bytes of UTF-8')
    const document = isAclObject(options.attributes) ? await readAclObject(body) : null
    const content = document === null ? body : once(document)
    const sealed = await sealToBlob(shelf, bucket, content, holding(release, proof))
    let done: { record: ObjectRecord; dead: string[] }
    try {
      const row = await rowOf(shelf, release, proof, { bucket, key }, sealed, options)
      const check = async (change: Change) => void (await requireBucket(change, bucket, caller, W))
      const keepBody = (change: Change) => keep(change, sealed)
      const { condition, generations } = options
      const terms = { condition, generations }
      if (document !== null) {
        const { proof: known } = requireKnown(caller)
        const { coreHeader } = sealed
        done = await putAclObject(shelf, release, known, { row, document, coreHeader, keepBody, check, terms })
      }
      // the commit point: from this transaction on, readers and restarts see the new object
      else
        done = await database.transaction().execute(async change => {
          await check(change)
          await keepBody(change)
          return placeObject(change, shelf.ledger, row, terms)
        })
    } catch (error) {
      sealed.objectKey.fill(0)
      // what is staged is settled by the authority's word; what is named by nothing goes
      if (document === null || !(await isNamed(shelf, sealed.blob.id))) await shelf.blobs.remove(sealed.blob.id)
      throw error
    }
    await shelf.blobs.keep(sealed.blob.id)
    await shelf.bury(done.dead)
    return done.record
  }
}

/** Whether the tables know the blob. */
async function isNamed({ database }: Shelf, blob: string): Promise<boolean> {
  return (await database.selectFrom('blobs').select('id').where('id', '=', blob).executeTakeFirst()) !== undefined
}

async function* once(bytes: Uint8Array) {
  yield bytes
}

async function keep(change: Change, sealed: Sealed): Promise<void> {
  await addBlob(change, sealed.blob)
  await addBody(change, {
    object_id: sealed.summary.objectId,
    blob: sealed.blob.id,
    offset: 0,
    length: sealed.summary.bodyLength,
    core_header: sealed.coreHeader,
  })
}

/** Has the key wrapped, which says whose the object is and what its ACL. */
async function rowOf(
  shelf: Shelf,
  release: KeyRelease,
  proof: Uint8Array | null,
  place: { bucket: string; key: string },
  sealed: Sealed,
  { attributes, length, finish }: PutOptions,
): Promise<Unnumbered> {
  requireLength(sealed.summary.plaintextLength, length)
  const finished = finish()
  const modifiedAt = shelf.clock().getTime()
  const metadata = metadataOf(place, attributes, finished, modifiedAt, sealed.digest)
  const named = await namedObject(shelf.database, proof)
  const { envelope, binding, account } = await wrapSealed(release, proof, sealed, {
    kind: OBJECT,
    place,
    metadata,
    named,
  })
  return {
    bucket: place.bucket,
    key: keyBytes(place.key),
    object_id: sealed.summary.objectId,
    size: sealed.summary.plaintextLength,
    etag: finished.etag,
    modified_at: modifiedAt,
    attributes: JSON.stringify(attributes),
    checksum: jsonOf(finished.checksum),
    parts: null,
    account,
    job: null,
    upload: null,
    part_set: null,
    envelope,
    binding,
    ...boundColumns(binding),
    origin: null,
    sequence: null,
  }
}
