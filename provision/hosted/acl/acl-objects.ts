import { parseAclDocument } from '../../../access/acl/document.ts'
import { askOfCarrier } from '../../../access/acl/headers.ts'
import type { WireHeader } from '../../../access/canonical.ts'
import { AccessError } from '../../../access/fault.ts'
import { NO_ID, type ObjectId } from '../../../format/bytes.ts'
import type { AclGeneration, KeyRelease, StoredObject } from '../../../format/release.ts'
import { decodeProof } from '../../../format/request-proof.ts'
import { type ObjectRecord, StoreError } from '../../../store/object-store.ts'
import type { Change, Database } from '../../database/hosted-schema.ts'
import { dropBody, placeObject, requireTerms } from '../objects/commit.ts'
import { type Terms, takeGenerations, type Unnumbered } from '../objects/generations.ts'
import { bodyOf } from '../objects/reading.ts'
import { asked } from '../release-fault.ts'
import { keyBytes, keyText, recordOf, storedObject } from '../rows.ts'
import type { Shelf } from '../shelf.ts'
import type { Ledger } from '../usage/stored.ts'
import { ACL_CONTENT_TYPE, aclObjectAt, recordGeneration } from './acl-rows.ts'
import { type BoundCaller, requireKnown } from './rights.ts'

/** ACL objects are held whole: they are judged before anybody sees them. */
export const ACL_OBJECT_MAX = 64 << 10

export function isAclObject(attributes: { contentType?: string }): boolean {
  return attributes.contentType?.split(';')[0]?.trim().toLowerCase() === ACL_CONTENT_TYPE
}

/** @throws AccessError "malformed-acl" - what a marked object must not be (rule 32) */
export async function readAclObject(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > ACL_OBJECT_MAX)
      throw new AccessError('malformed-acl', `an ACL object has at most ${ACL_OBJECT_MAX} bytes`)
    chunks.push(chunk)
  }
  const document = Buffer.concat(chunks)
  parseAclDocument(document, 'bucket')
  return document
}

/**
 * The authority takes a document only from who signed it; said here, where the caller can be told what to do.
 * @throws StoreError "forbidden"
 */
export function requireSignedDocument(proof: Uint8Array): void {
  const said = decodeProof(proof)
  // of callers who sign nothing the authority says whether it takes a document
  const unsigned = said.kind === 'signed' && !/^[0-9a-f]{64}$/.test(said.payload)
  if (said.kind === 'policy' || said.kind === 'upload' || unsigned)
    throw new StoreError(
      'forbidden',
      'An ACL document must be signed: send its SHA-256 as x-amz-content-sha256 (switch payload signing on).',
    )
}

const OURS = Buffer.from('x-storage-')

/** The ACL object that a request names, as it lies here; null: it names none, or there is none. */
export async function namedObject(database: Database, proof: Uint8Array | null): Promise<StoredObject | null> {
  if (proof === null || !Buffer.from(proof.buffer, proof.byteOffset, proof.byteLength).includes(OURS)) return null
  const ask = askOfCarrier(decodeProof(proof))
  if (ask.kind !== 'named') return null
  const row = await database
    .selectFrom('objects')
    .selectAll()
    .where('bucket', '=', ask.name.bucket)
    .where('key', '=', keyBytes(ask.name.key))
    .executeTakeFirst()
  return row === undefined ? null : storedObject(row, (await bodyOf(database, row.object_id)).core_header)
}

/** What is asked of the row's buffers, in JSON. */
type Staged = Omit<Unnumbered, 'key' | 'envelope' | 'binding'> & { envelope: string; binding: string }

/**
 * A new generation of an ACL object, in the order of rule 44: kept, invisible; in force at the authority; visible. What a crash leaves
 * between is finished by `finishStaged`.
 *
 * @param keepBody - names the blob and the body, in the transaction that stages the row
 */
export async function putAclObject(
  shelf: Shelf,
  release: KeyRelease,
  proof: Uint8Array,
  given: {
    row: Unnumbered
    document: Buffer
    coreHeader: Uint8Array
    keepBody: (change: Change) => Promise<void>
    check: (change: Change) => Promise<void>
    terms: Terms
  },
): Promise<{ record: ObjectRecord; dead: string[] }> {
  requireSignedDocument(proof)
  const { object_id } = given.row
  shelf.staging.add(object_id)
  try {
    return await stageAndPut(shelf, release, proof, given)
  } finally {
    shelf.staging.delete(object_id)
  }
}

async function stageAndPut(
  shelf: Shelf,
  release: KeyRelease,
  proof: Uint8Array,
  { row, document, coreHeader, keepBody, check, terms }: Parameters<typeof putAclObject>[3],
): Promise<{ record: ObjectRecord; dead: string[] }> {
  const { database, members } = shelf
  await database.transaction().execute(async change => {
    await check(change)
    await requireTerms(change, row, terms)
    await keepBody(change)
    const { key, envelope, binding, ...plain } = row
    const staged: Staged = { ...plain, envelope: envelope.toString('base64'), binding: binding.toString('base64') }
    await change
      .insertInto('staged_acls')
      .values({ object_id: row.object_id, bucket: row.bucket, key, row: JSON.stringify(staged), holder: members.own })
      .execute()
  })
  const object = storedObject(row, coreHeader)
  const there = await aclObjectAt(database, row)
  const referrers = there?.refs ?? 0
  // of writes side by side that want the same, one wins: the authority knows which
  const wanted = terms.condition !== undefined || terms.generations !== undefined
  const replaces = wanted ? ((there?.object_id ?? NO_ID) as ObjectId) : null
  try {
    // commit point: in force for all that refer to it
    const made = await asked(release.putAclObject({ proof, object, document, referrers, replaces }))
    return await database.transaction().execute(change => show(change, shelf.ledger, row, made))
  } catch (error) {
    // refused, or an answer that was lost: the authority knows which; when it is away, the next start asks it
    await settle(shelf, release, row.object_id).catch(() => undefined)
    throw error
  }
}

async function show(
  change: Change,
  ledger: Ledger,
  row: Unnumbered,
  made: AclGeneration,
): Promise<{ record: ObjectRecord; dead: string[] }> {
  await change.deleteFrom('staged_acls').where('object_id', '=', row.object_id).execute()
  const there = await aclObjectAt(change, row)
  // of writes side by side the last at the authority is the last here
  if (there !== undefined && there.generation >= made.generation)
    return {
      record: recordOf({ ...row, generation: await takeGenerations(change, 1), metageneration: 1 }),
      dead: await dropBody(change, row.object_id),
    }
  // first the generation: what lies under the name is replaced by the same ACL object
  await recordGeneration(change, { bucket: row.bucket, key: row.key, object_id: row.object_id }, made)
  return placeObject(change, ledger, row)
}

/**
 * Rolls forward what the authority has put into force, and takes back what it has not (rule 44): of processes that died, and of this one what
 * it could not ask about. What a process is at is left to it.
 */
export async function finishStaged(shelf: Shelf, release: KeyRelease): Promise<void> {
  const { database, members, staging } = shelf
  const all = await database.selectFrom('staged_acls').select(['object_id', 'holder']).execute()
  if (all.every(each => staging.has(each.object_id))) return
  await members.alone(async isGone => {
    for (const { object_id, holder } of all)
      if (holder === members.own ? !staging.has(object_id) : isGone(holder)) await settle(shelf, release, object_id)
  })
}

async function settle(shelf: Shelf, release: KeyRelease, objectId: string): Promise<void> {
  const { database } = shelf
  const staged = await database
    .selectFrom('staged_acls')
    .selectAll()
    .where('object_id', '=', objectId)
    .executeTakeFirst()
  if (staged === undefined) return
  const place = { bucket: staged.bucket, key: keyText(staged.key) }
  const live = await asked(release.aclObjectAt(place))
  const dead = await database.transaction().execute(async change => {
    const kept = JSON.parse(staged.row) as Staged
    const row: Unnumbered = {
      ...kept,
      key: staged.key,
      envelope: Buffer.from(kept.envelope, 'base64'),
      binding: Buffer.from(kept.binding, 'base64'),
    }
    if (live !== null && live.objectId === staged.object_id) return (await show(change, shelf.ledger, row, live)).dead
    await change.deleteFrom('staged_acls').where('object_id', '=', staged.object_id).execute()
    return dropBody(change, staged.object_id)
  })
  await shelf.bury(dead)
}

/**
 * Before an object is deleted: where it is an ACL object, it is none any more (rule 39).
 * @throws StoreError "in-use" - others refer to it, or it is one of many to be deleted by one request
 */
export async function dropAclObject(
  shelf: Shelf,
  release: KeyRelease,
  caller: BoundCaller,
  name: { bucket: string; key: string },
  terms: Terms,
): Promise<void> {
  const { database } = shelf
  const at = { bucket: name.bucket, key: keyBytes(name.key) }
  const there = await aclObjectAt(database, at)
  if (there === undefined) return
  await database.transaction().execute(change => requireTerms(change, at, terms))
  const { proof } = requireKnown(caller)
  const request = decodeProof(proof)
  if (!('method' in request) || request.method !== 'DELETE')
    throw new StoreError(
      'in-use',
      'an ACL object is deleted by a DELETE of its own: it is not among those of one request',
    )
  if (there.refs > 0 && !isForced(request.headers))
    throw new StoreError(
      'in-use',
      `${there.refs} objects or buckets refer to this ACL; they would be their owners' alone. x-storage-force: true deletes it all the same`,
    )
  // the authority first: from here on it gives nobody anything
  await asked(release.dropAclObject({ proof, place: name, objectId: there.object_id as ObjectId }))
  await database.updateTable('acls').set({ key: null }).where('id', '=', there.id).execute()
}

function isForced(headers: readonly WireHeader[]): boolean {
  return headers.some(([name, value]) => name === 'x-storage-force' && value.trim().toLowerCase() === 'true')
}
