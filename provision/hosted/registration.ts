import { randomBytes } from 'node:crypto'
import type { Checksum, ObjectAttributes } from '../../store/object-store.ts'
import { addBody, placeObject, removeObject, shareBody } from './commit.ts'
import { readFully } from './reading.ts'
import { aclOf, jsonOf, keyBytes } from './rows.ts'
import type { Change, Shelf } from './shelf.ts'

/** A sealed body inside an adopted pack. `pack` is null for a composite. */
export type RegisteredBody = {
  objectId: string
  pack: string | null
  offset: number
  length: number
  coreHeader: Buffer
  envelope: Buffer
}
export type RegisteredPart = RegisteredBody & {
  upload: string
  number: number
  size: number
  etag: string
  modifiedAt: number
}
export type RegisteredObject = RegisteredBody & {
  bucket: string
  key: string
  size: number
  etag: string
  modifiedAt: number
  attributes: ObjectAttributes
  checksum: Checksum | null
  account: string
  job: string
  acl: 'private' | 'public-read'
  /** of the commit on its device: of two versions of a name from one device the higher one stays */
  sequence: number
  /** of a composite: the upload that its key is bound to */
  upload: string | null
  parts: RegisteredPart[]
}
export type Taken = { put: RegisteredObject } | { remove: { bucket: string; key: string; sequence: number } }

/** What came by drive enters here: packs whole, objects by the thousand. Nothing of it needs or sees a key. */
export type Registration = {
  /** Makes the account's bucket where it is missing. 'foreign': another account has one of that name. */
  openBucket(bucket: string, account: string): Promise<'ready' | 'foreign'>
  /** Copies a pack in; the same name again gives what is there. It stays till `settle`, even when nothing refers to it. */
  adopt(pack: string, path: string): Promise<{ size: number }>
  /** Reads the copy. null: not adopted, or settled. */
  open(pack: string): Promise<PackReader | null>
  /**
   * Makes a batch visible, in one step and once: a batch whose position is not above the last one of `source` changes nothing.
   * @param origin - job "/" device
   */
  register(source: string, position: number, origin: string, batch: Taken[]): Promise<void>
  /** The intake is over: packs that nothing refers to are removed. */
  settle(packs: string[]): Promise<void>
}
export type PackReader = {
  size: number
  read(offset: number, length: number): Promise<Buffer>
  close(): Promise<void>
}

export function registrationOf(shelf: Shelf): Registration {
  const { database } = shelf
  const adopted = (pack: string) =>
    database.selectFrom('blobs').select(['id', 'size']).where('origin', '=', pack).executeTakeFirst()
  return {
    async openBucket(bucket, account) {
      await database
        .insertInto('buckets')
        .values({ name: bucket, owner: account, acl: 'private', created_at: shelf.clock().getTime() })
        .onConflict(conflict => conflict.column('name').doNothing())
        .execute()
      const row = await database.selectFrom('buckets').select('owner').where('name', '=', bucket).executeTakeFirst()
      return row?.owner === account ? 'ready' : 'foreign'
    },
    async adopt(pack, path) {
      const there = await adopted(pack)
      if (there !== undefined) return { size: there.size }
      const { blob, size } = await shelf.blobs.adopt(path)
      try {
        // the commit point: from here on the copy is a pack of this intake, and a crash does not lose it
        await database.insertInto('blobs').values({ id: blob, size, refs: 0, state: 'live', origin: pack }).execute()
      } catch (error) {
        await shelf.blobs.remove(blob)
        throw error
      }
      await shelf.blobs.keep(blob)
      return { size }
    },
    async open(pack) {
      const row = await adopted(pack)
      const reader = row === undefined ? null : await shelf.blobs.open(row.id)
      if (row === undefined || reader === null) return null
      return {
        size: row.size,
        read: (offset, length) => readFully(reader, offset, length),
        close: () => reader.close(),
      }
    },
    async register(source, position, origin, batch) {
      const dead = await database.transaction().execute(async change => {
        const last = await change
          .selectFrom('intakes')
          .select('position')
          .where('origin', '=', source)
          .executeTakeFirst()
        if (last !== undefined && last.position >= position) return []
        const dead: string[] = []
        const packs = new Map<string, string>()
        for (const taken of batch)
          dead.push(
            ...('put' in taken
              ? await put(change, packs, origin, taken.put)
              : await remove(change, origin, taken.remove)),
          )
        await change
          .insertInto('intakes')
          .values({ origin: source, position })
          .onConflict(conflict => conflict.column('origin').doUpdateSet({ position }))
          .execute()
        return dead
      })
      await shelf.bury(dead)
    },
    async settle(packs) {
      for (const pack of packs) {
        const row = await adopted(pack)
        if (row === undefined) continue
        const dead = await database.transaction().execute(async change => {
          const left = await change
            .updateTable('blobs')
            .set({ origin: null })
            .where('id', '=', row.id)
            .returning('refs')
            .executeTakeFirst()
          if (left === undefined || left.refs > 0) return []
          await change.updateTable('blobs').set({ state: 'dead' }).where('id', '=', row.id).execute()
          return [row.id]
        })
        await shelf.bury(dead)
      }
    },
  }
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

async function remove(change: Change, origin: string, name: { bucket: string; key: string; sequence: number }) {
  if (await newerThere(change, origin, name)) return []
  return (await removeObject(change, { bucket: name.bucket, key: keyBytes(name.key) })) ?? []
}

async function put(
  change: Change,
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
          binding: Buffer.alloc(0),
        })
        .execute()
    }
  const placed = await placeObject(change, {
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
    binding: Buffer.alloc(0),
    owner: object.account,
    acl: aclOf(object.acl),
    origin,
    sequence: object.sequence,
  })
  return placed.dead
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
  if (blob !== null)
    await change
      .updateTable('blobs')
      .set(row => ({ refs: row('refs', '+', 1) }))
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
