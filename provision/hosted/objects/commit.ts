import { type ObjectRecord, StoreError } from '../../../store/object-store.ts'
import type { BodyRow, Change, HostedSchema, ObjectRow } from '../../database/hosted-schema.ts'
import { inserter, seeker } from '../../database/rows.ts'
import { aclObjectAt, moveReference } from '../acl/acl-rows.ts'
import { BODY_COLUMNS, OBJECT_COLUMNS, recordOf } from '../rows.ts'
import { addInline, type NewBlob } from '../stores/inline.ts'
import { changeStored, type Ledger } from '../usage/stored.ts'
import { judgeTerms, type Terms, takeGenerations, type Unnumbered } from './generations.ts'

export const insertBodies = inserter<BodyRow>('bodies', BODY_COLUMNS)
export const insertObjects = inserter<ObjectRow>('objects', OBJECT_COLUMNS)
const insertBlobs = inserter<HostedSchema['blobs']>('blobs', ['id', 'size', 'refs', 'state', 'origin'])

/** A blob that has just been written, named for the first time. */
export async function addBlob(change: Change, { id, size, bytes }: NewBlob): Promise<void> {
  await insertBlobs(change, [{ id, size, refs: 1, state: 'live', origin: null }])
  if (bytes !== undefined) await addInline(change, id, bytes)
}

/** One row more refers to the body. @returns false: it is gone */
export async function shareBody(change: Change, objectId: string): Promise<boolean> {
  const shared = await change
    .updateTable('bodies')
    .set(row => ({ refs: row('refs', '+', 1) }))
    .where('object_id', '=', objectId)
    .executeTakeFirst()
  return shared.numUpdatedRows > 0n
}

export async function addBody(change: Change, body: Omit<BodyRow, 'refs'>): Promise<void> {
  await insertBodies(change, [{ ...body, refs: 1 }])
}

/**
 * Puts the object under its key in place of what lay there. Its body has been counted for it already.
 * @returns blobs that nothing refers to any more
 * @throws StoreError "precondition-failed" | "no-version" | "in-use" | "over-quota"
 */
export async function placeObject(
  change: Change,
  ledger: Ledger,
  row: Unnumbered,
  terms: Terms = {},
): Promise<{ record: ObjectRecord; dead: string[] }> {
  const old = await oldRow(change, row)
  judgeTerms(terms, old)
  const acl = await aclObjectAt(change, row)
  if (acl !== undefined && acl.object_id !== row.object_id)
    throw new StoreError('in-use', 'an ACL object is replaced by an ACL object, or deleted first')
  if (old !== undefined) await deleteRow(change, row)
  const numbered = { ...row, generation: await takeGenerations(change, 1), metageneration: 1 }
  await insertObjects(change, [numbered])
  await moveReference(change, old?.acl_ref ?? null, row.acl_ref)
  const { bucket, owner, size } = row
  if (old !== undefined && old.owner !== owner)
    await changeStored(change, { bucket, owner: old.owner, objects: -1, bytes: -old.size }, ledger)
  const there = old?.owner === owner ? old.size : null
  await changeStored(change, { bucket, owner, objects: there === null ? 1 : 0, bytes: size - (there ?? 0) }, ledger)
  const dead = old === undefined ? [] : await dropContent(change, old)
  return { record: recordOf(numbered), dead }
}

const OLD_COLUMNS = [
  'object_id',
  'etag',
  'part_set',
  'acl_ref',
  'generation',
  'metageneration',
  'owner',
  'size',
] as const
type OldRow = Pick<ObjectRow, (typeof OLD_COLUMNS)[number] | 'bucket' | 'key'>
const oldByName = seeker<OldRow>('objects', OLD_COLUMNS, ['bucket', 'key'])

function oldRow(
  change: Change,
  name: { bucket: string; key: Buffer },
): Promise<Omit<OldRow, 'bucket' | 'key'> | undefined> {
  return oldByName(change, name.bucket, name.key)
}

/** @throws StoreError "precondition-failed" | "no-version" */
export async function requireTerms(change: Change, name: { bucket: string; key: Buffer }, terms: Terms): Promise<void> {
  judgeTerms(terms, await oldRow(change, name))
}

/** @returns blobs that nothing refers to any more; null: there was no such object */
export async function removeObject(
  change: Change,
  ledger: Ledger,
  name: { bucket: string; key: Buffer },
  terms: Terms = {},
): Promise<string[] | null> {
  const old = await oldRow(change, name)
  judgeTerms(terms, old)
  if (old === undefined) return null
  if ((await aclObjectAt(change, name)) !== undefined)
    throw new StoreError('in-use', 'an ACL object is deleted by a request of its own')
  await deleteRow(change, name)
  await moveReference(change, old.acl_ref, null)
  await changeStored(change, { bucket: name.bucket, owner: old.owner, objects: -1, bytes: -old.size }, ledger)
  return dropContent(change, old)
}

async function deleteRow(change: Change, name: { bucket: string; key: Buffer }): Promise<void> {
  await change.deleteFrom('objects').where('bucket', '=', name.bucket).where('key', '=', name.key).execute()
}

async function dropContent(change: Change, row: Pick<ObjectRow, 'object_id' | 'part_set'>): Promise<string[]> {
  const dead = await dropBody(change, row.object_id)
  return row.part_set === null ? dead : [...dead, ...(await dropPartSet(change, row.part_set))]
}

/** One row less refers to the body. @returns blobs that nothing refers to any more */
export async function dropBody(change: Change, objectId: string): Promise<string[]> {
  const body = await change
    .updateTable('bodies')
    .set(row => ({ refs: row('refs', '-', 1) }))
    .where('object_id', '=', objectId)
    .returning(['refs', 'blob'])
    .executeTakeFirst()
  if (body === undefined || body.refs > 0) return []
  await change.deleteFrom('bodies').where('object_id', '=', objectId).execute()
  return body.blob === null ? [] : dropBlob(change, body.blob)
}

export async function dropPartSet(change: Change, set: string): Promise<string[]> {
  const parts = await change.selectFrom('parts').select('object_id').where('part_set', '=', set).execute()
  return dropParts(
    change,
    set,
    parts.map(part => part.object_id),
  )
}

export async function dropParts(change: Change, set: string, objectIds: string[]): Promise<string[]> {
  const dead: string[] = []
  for (const objectId of objectIds) {
    await change.deleteFrom('parts').where('part_set', '=', set).where('object_id', '=', objectId).execute()
    dead.push(...(await dropBody(change, objectId)))
  }
  return dead
}

/** A pack whose intake is not over is not dead, even when nothing refers to it. */
async function dropBlob(change: Change, blob: string): Promise<string[]> {
  const left = await change
    .updateTable('blobs')
    .set(row => ({ refs: row('refs', '-', 1) }))
    .where('id', '=', blob)
    .returning(['refs', 'origin'])
    .executeTakeFirst()
  if (left === undefined || left.refs > 0 || left.origin !== null) return []
  await change.updateTable('blobs').set({ state: 'dead' }).where('id', '=', blob).execute()
  return [blob]
}
