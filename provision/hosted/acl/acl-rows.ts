import type { Acl } from '../../../access/acl/acl.ts'
import { isReference, parseBoundAcl } from '../../../access/acl/bound.ts'
import { parseAcl } from '../../../access/acl/text.ts'
import { type AclGeneration, parseBinding } from '../../../format/release.ts'
import type { Change, Database, HostedSchema, ObjectRow } from '../../database/hosted-schema.ts'
import type { Look } from '../../database/looking.ts'
import { seeker } from '../../database/rows.ts'

/** What marks an object as the ACL of others (rule 32). */
export const ACL_CONTENT_TYPE = 'application/vnd.storage.acl+xml'

type AclRow = HostedSchema['acls']
const ACL_COLUMNS = ['id', 'bucket', 'key', 'object_id', 'generation', 'refs'] as const
const aclRowByName = seeker<AclRow>('acls', ACL_COLUMNS, ['bucket', 'key'])
const aclRow = seeker<AclRow>('acls', ACL_COLUMNS, ['id'])
const generationRow = seeker<HostedSchema['acl_generations']>('acl_generations', ['acl'], ['id', 'generation'])

/** Entries that decide at this moment, by the text of a row; null: what it refers to is gone (rule 39). */
export async function effectiveAcl(database: Database | Change, text: string): Promise<Acl | null> {
  const bound = parseBoundAcl(text)
  if (bound.kind === 'own') return bound.acl
  let { generation } = bound
  if (generation === null) {
    const row = await aclRow(database, bound.id)
    if (row === undefined || row.key === null) return null
    generation = row.generation
  }
  const found = await generationRow(database, bound.id, generation)
  return found === undefined ? null : parseAcl(found.acl)
}

/** The same in the turn that looks. */
export function effectiveAclNow(look: Look, text: string): Acl | null {
  const bound = parseBoundAcl(text)
  if (bound.kind === 'own') return bound.acl
  let { generation } = bound
  if (generation === null) {
    const row = aclRow.now(look, bound.id)
    if (row === undefined || row.key === null) return null
    generation = row.generation
  }
  const found = generationRow.now(look, bound.id, generation)
  return found === undefined ? null : parseAcl(found.acl)
}

/** The id that the text refers to, for the column beside it. */
export function referenceIn(text: string): string | null {
  // asked for each object of a drive: most texts are entries, and need not be read for this
  if (!isReference(text)) return null
  const bound = parseBoundAcl(text)
  return bound.kind === 'reference' ? bound.id : null
}

type BoundColumns = Pick<ObjectRow, 'owner' | 'acl' | 'acl_ref' | 'acl_revision' | 'master_key'>

/** Owner, ACL and named key of an upload, as its binding says. */
export function boundColumns(binding: Uint8Array): BoundColumns {
  const { owner, acl, encryption } = parseBinding(binding)
  return { owner, acl, acl_ref: referenceIn(acl), acl_revision: 0, master_key: encryption?.key ?? null }
}

/** Something that referred to `before` refers to `after` now; null: to nothing. */
export async function moveReference(change: Change, before: string | null, after: string | null): Promise<void> {
  if (before === after) return
  await refer(change, before, -1)
  await refer(change, after, 1)
}

/** So many more refer to it; null: to nothing. */
export async function refer(change: Change, id: string | null, by: number): Promise<void> {
  if (id === null) return
  await change
    .updateTable('acls')
    .set(row => ({ refs: row('refs', '+', by) }))
    .where('id', '=', id)
    .execute()
}

/** Asked at every write: most names are no ACL object's. */
export function aclObjectAt(
  database: Database | Change,
  { bucket, key }: { bucket: string; key: Buffer },
): Promise<AclRow | undefined> {
  return aclRowByName(database, bucket, key)
}

/** What the authority has put into force. */
export async function recordGeneration(
  change: Change,
  name: { bucket: string; key: Buffer; object_id: string },
  { id, generation, acl }: AclGeneration,
): Promise<void> {
  await change
    .insertInto('acls')
    .values({ ...name, id, generation, refs: 0 })
    .onConflict(conflict => conflict.column('id').doUpdateSet({ object_id: name.object_id, generation }))
    .execute()
  await change
    .insertInto('acl_generations')
    .values({ id, generation, acl })
    .onConflict(conflict => conflict.doNothing())
    .execute()
}

/** Where the reference leads, as it is shown: `bucket/object#generation`; null: nowhere any more. */
export async function shownReference(database: Database | Change, text: string): Promise<string | null> {
  const bound = parseBoundAcl(text)
  if (bound.kind === 'own') return null
  const row = await aclRow(database, bound.id)
  if (row === undefined || row.key === null) return null
  const key = row.key.toString('utf8').split('/').map(encodeURIComponent).join('/')
  return `${row.bucket}/${key}#${bound.generation ?? row.generation}`
}
