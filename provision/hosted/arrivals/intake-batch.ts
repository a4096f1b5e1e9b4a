import { randomBytes } from 'node:crypto'
import type { BodyRow, Change } from '../../database/hosted-schema.ts'
import { finder } from '../../database/rows.ts'
import { refer, referenceIn } from '../acl/acl-rows.ts'
import { addBody, insertBodies, insertObjects, placeObject, removeObject, shareBody } from '../objects/commit.ts'
import { takeGenerations, type Unnumbered } from '../objects/generations.ts'
import { jsonOf, keyBytes } from '../rows.ts'
import { changeStored, type Ledger } from '../usage/stored.ts'
import type { RegisteredBody, RegisteredObject, Taken } from './taken.ts'

const NONE = Buffer.alloc(0)

const knownBodies = finder<string>('bodies', 'object_id')
const knownKeys = finder<Buffer>('objects', 'key', 'bucket')

type Named = { taken: Taken; name: string; fresh: boolean }

/**
 * What came by drive, as rows. What stands alone in its batch and meets nothing that is there is most of it, and goes in by the hundred;
 * everything else one by one, in its order, before.
 * @returns blobs that nothing refers to any more
 */
export async function takeBatch(
  change: Change,
  ledger: Ledger,
  origin: string,
  batch: readonly Taken[],
): Promise<string[]> {
  const all = batch.map((taken): Named => ({ taken, name: nameOf(taken), fresh: true }))
  markDoubled(all)
  const packs = new Map<string, string>()
  const dead: string[] = []
  const single = async (taken: Taken): Promise<void> => {
    const done =
      'put' in taken ? put(change, ledger, packs, origin, taken.put) : remove(change, ledger, origin, taken.remove)
    dead.push(...(await done))
  }
  for (const { taken, fresh } of all) if (!fresh) await single(taken)
  const alone = all.flatMap(({ taken, fresh }) => (fresh && 'put' in taken ? [taken.put] : []))
  const met = await thatMeet(change, alone)
  for (const object of alone) if (met.has(object)) await single({ put: object })
  await putFresh(
    change,
    ledger,
    packs,
    origin,
    alone.filter(object => !met.has(object)),
  )
  return dead
}

function nameOf(taken: Taken): string {
  const { bucket, key } = 'put' in taken ? taken.put : taken.remove
  return `${bucket}/${key}`
}

/** Not fresh: removals, composites, and whose name or body comes twice. */
function markDoubled(all: Named[]): void {
  const names = new Map<string, Named>()
  const bodies = new Map<string, Named>()
  for (const each of all) {
    const { taken, name } = each
    each.fresh = 'put' in taken && taken.put.pack !== null
    const same = [names.get(name), 'put' in taken ? bodies.get(taken.put.objectId) : undefined]
    for (const other of same)
      if (other !== undefined) {
        other.fresh = false
        each.fresh = false
      }
    names.set(name, each)
    if ('put' in taken) bodies.set(taken.put.objectId, each)
  }
}

/** Those whose name or body is there already. */
async function thatMeet(change: Change, objects: readonly RegisteredObject[]): Promise<Set<RegisteredObject>> {
  const met = new Set<RegisteredObject>()
  const ids = new Set(
    await knownBodies(
      change,
      objects.map(each => each.objectId),
    ),
  )
  const byBucket = Map.groupBy(objects, each => each.bucket)
  for (const [bucket, some] of byBucket) {
    const found = await knownKeys(
      change,
      some.map(each => keyBytes(each.key)),
      bucket,
    )
    const keys = new Set(found.map(key => key.toString('utf8')))
    for (const object of some) if (keys.has(object.key) || ids.has(object.objectId)) met.add(object)
  }
  return met
}

async function putFresh(
  change: Change,
  ledger: Ledger,
  packs: Map<string, string>,
  origin: string,
  objects: readonly RegisteredObject[],
): Promise<void> {
  const uses = new Map<string, number>()
  const bodies: BodyRow[] = []
  for (const object of objects) {
    const blob = await blobOfPack(change, packs, object.pack ?? '')
    uses.set(blob, (uses.get(blob) ?? 0) + 1)
    const { objectId: object_id, offset, length, coreHeader: core_header } = object
    bodies.push({ object_id, blob, offset, length, core_header, refs: 1 })
  }
  // ids come in no order: sorted, neighbours in the index are written one after another
  await insertBodies(
    change,
    bodies.sort((a, b) => (a.object_id < b.object_id ? -1 : 1)),
  )
  const first = objects.length === 0 ? 0 : await takeGenerations(change, objects.length)
  await insertObjects(
    change,
    objects.map((object, at) => {
      const row = objectRow(object, keyBytes(object.key), null, origin)
      return { ...row, generation: first + at, metageneration: 1 }
    }),
  )
  for (const [blob, count] of uses) await useBlob(change, blob, count)
  for (const some of Map.groupBy(objects, each => `${each.bucket} ${each.account}`).values()) {
    const [{ bucket, account: owner } = { bucket: '', account: '' }] = some
    const bytes = some.reduce((sum, each) => sum + each.size, 0)
    await changeStored(change, { bucket, owner, objects: some.length, bytes }, ledger)
  }
  for (const [acl, some] of Map.groupBy(objects, each => each.acl)) await refer(change, referenceIn(acl), some.length)
}

async function newerThere(change: Change, origin: string, name: { bucket: string; key: string; sequence: number }) {
  const old = await change
    .selectFrom('objects')
    .select(['origin', 'sequence'])
    .where('bucket', '=', name.bucket)
    .where('key', '=', keyBytes(name.key))
    .executeTakeFirst()
  return old !== undefined && old.origin === origin && (old.sequence ?? 0) >= name.sequence
}

async function remove(
  change: Change,
  ledger: Ledger,
  origin: string,
  name: { bucket: string; key: string; sequence: number },
) {
  if (await newerThere(change, origin, name)) return []
  return (await removeObject(change, ledger, { bucket: name.bucket, key: keyBytes(name.key) })) ?? []
}

async function put(
  change: Change,
  ledger: Ledger,
  packs: Map<string, string>,
  origin: string,
  object: RegisteredObject,
): Promise<string[]> {
  if (await newerThere(change, origin, object)) return []
  const key = keyBytes(object.key)
  await addRegisteredBody(change, packs, object)
  const set = object.pack === null ? randomBytes(16).toString('hex') : null
  if (set !== null)
    for (const part of object.parts) {
      await addRegisteredBody(change, packs, part)
      await change
        .insertInto('parts')
        .values({
          part_set: set,
          object_id: part.objectId,
          upload: part.upload,
          number: part.number,
          bucket: object.bucket,
          key,
          size: part.size,
          etag: part.etag,
          checksum: null,
          modified_at: part.modifiedAt,
          account: object.account,
          job: object.job,
          envelope: part.envelope,
          binding: NONE,
        })
        .execute()
    }
  return (await placeObject(change, ledger, objectRow(object, key, set, origin))).dead
}

function objectRow(object: RegisteredObject, key: Buffer, set: string | null, origin: string): Unnumbered {
  return {
    bucket: object.bucket,
    key,
    object_id: object.objectId,
    size: object.size,
    etag: object.etag,
    modified_at: object.modifiedAt,
    attributes: JSON.stringify(object.attributes),
    checksum: jsonOf(object.checksum ?? undefined),
    parts: object.pack === null ? object.parts.length : null,
    account: object.account,
    job: object.job,
    upload: object.upload,
    part_set: set,
    envelope: object.envelope,
    binding: NONE,
    owner: object.account,
    acl: object.acl,
    acl_ref: referenceIn(object.acl),
    acl_revision: 0,
    master_key: null,
    origin,
    sequence: object.sequence,
  }
}

/** A body that is here already (a copy of it was made) is shared once more. */
async function addRegisteredBody(change: Change, packs: Map<string, string>, body: RegisteredBody): Promise<void> {
  if (await shareBody(change, body.objectId)) return
  const blob = body.pack === null ? null : await blobOfPack(change, packs, body.pack)
  await addBody(change, {
    object_id: body.objectId,
    blob,
    offset: body.offset,
    length: body.length,
    core_header: body.coreHeader,
  })
  if (blob !== null) await useBlob(change, blob, 1)
}

async function useBlob(change: Change, blob: string, times: number): Promise<void> {
  await change
    .updateTable('blobs')
    .set(row => ({ refs: row('refs', '+', times) }))
    .where('id', '=', blob)
    .execute()
}

async function blobOfPack(change: Change, packs: Map<string, string>, pack: string): Promise<string> {
  const known = packs.get(pack)
  if (known !== undefined) return known
  const row = await change.selectFrom('blobs').select('id').where('origin', '=', pack).executeTakeFirst()
  if (row === undefined) throw new RangeError(`pack ${pack} was not adopted`)
  packs.set(pack, row.id)
  return row.id
}
