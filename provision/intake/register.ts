import { COMPOSITE, PART, parseEnvelope, TOMBSTONE } from '../../format/envelope.ts'
import { type ObjectMetadata, parseMetadata } from '../../format/metadata.ts'
import type { Checksum, ObjectAttributes } from '../../store/object-store.ts'
import type { ItemRow, WorkSchema } from './schema.ts'
import type { Taken, TakenBody, TakenPart } from './target.ts'
import { packName, type Work } from './work.ts'

/** Why a tombstone that was carried out is only noted from then on. */
export const APPLIED_DELETE = 'deletes: apply'

/** Bodies (objects and parts) that become visible in one step. */
const BATCH_BODIES = 1000

/**
 * Hands what is ready to the target, in the order of the tree. Commit point: the target's own transaction, which remembers how far it
 * came; a batch that was taken and not yet marked here is sent again and changes nothing.
 */
export async function registerObjects(work: Work): Promise<void> {
  const { database, run } = work
  for (;;) {
    const rows = await database
      .selectFrom('items')
      .selectAll()
      .where('run', '=', run)
      .where('state', 'in', ['ready', 'delete'])
      .orderBy('idx')
      .limit(BATCH_BODIES)
      .execute()
    if (rows.length === 0) break
    const batch: Taken[] = []
    let bodies = 0
    let last = -1
    for (const row of rows) {
      const taken = await takenOf(work, row)
      const weight = 'put' in taken ? 1 + taken.put.parts.length : 1
      if (batch.length > 0 && bodies + weight > BATCH_BODIES) break
      batch.push(taken)
      bodies += weight
      last = row.idx
    }
    await work.target.register(run, last, `${work.job}/${work.device}`, batch)
    await database.transaction().execute(async change => {
      const upTo = change.updateTable('items').where('run', '=', run).where('idx', '<=', last)
      await upTo.set({ state: 'stored' }).where('state', '=', 'ready').execute()
      await upTo.set({ state: 'noted', reason: APPLIED_DELETE }).where('state', '=', 'delete').execute()
    })
    work.progress('register', last + 1, work.last.treeSize)
  }
  const packs = await database.selectFrom('packs').select('pack').where('run', '=', run).execute()
  await work.target.settle(packs.map(each => packName(work, each.pack)))
}

async function takenOf(work: Work, item: ItemRow): Promise<Taken> {
  const key = Buffer.from(item.key).toString('utf8')
  if (item.kind === TOMBSTONE) return { remove: { bucket: item.bucket, key, sequence: item.sequence } }
  const commit = await commitOf(work, item.object_id)
  const metadata = parseMetadata(item.metadata ?? Buffer.alloc(0))
  return {
    put: {
      ...bodyOf(work, item, commit),
      bucket: item.bucket,
      key,
      size: item.size,
      etag: metadata.etag,
      modifiedAt: metadata.modifiedAt,
      attributes: attributesOf(metadata),
      checksum: checksumOf(metadata),
      account: work.order.account,
      job: work.job,
      acl: work.order.acl,
      sequence: item.sequence,
      upload: null,
      parts: item.kind === COMPOSITE ? await partsOf(work, commit) : [],
    },
  }
}

function bodyOf(work: Work, item: ItemRow, commit: WorkSchema['commits']): TakenBody {
  return {
    objectId: item.object_id,
    pack: item.kind === COMPOSITE ? null : packName(work, commit.pack),
    offset: commit.body_offset,
    length: item.body_length,
    coreHeader: commit.core_header,
    envelope: commit.envelope,
  }
}

async function partsOf(work: Work, commit: WorkSchema['commits']): Promise<TakenPart[]> {
  const out: TakenPart[] = []
  for (const { objectId } of parseEnvelope(commit.envelope).parts) {
    const item = await work.database
      .selectFrom('items')
      .selectAll()
      .where('run', '=', work.run)
      .where('object_id', '=', objectId)
      .where('kind', '=', PART)
      .executeTakeFirstOrThrow()
    const { etag, modifiedAt } = parseMetadata(item.metadata ?? Buffer.alloc(0))
    const body = bodyOf(work, item, await commitOf(work, objectId))
    out.push({ ...body, upload: item.upload, number: item.number, size: item.size, etag, modifiedAt })
  }
  return out
}

function commitOf(work: Work, objectId: string): Promise<WorkSchema['commits']> {
  return work.database
    .selectFrom('commits')
    .selectAll()
    .where('run', '=', work.run)
    .where('object_id', '=', objectId)
    .executeTakeFirstOrThrow()
}

function attributesOf(metadata: ObjectMetadata): ObjectAttributes {
  return {
    headers: metadata.headers,
    metadata: metadata.user,
    ...(metadata.contentType !== undefined && { contentType: metadata.contentType }),
    ...(metadata.link !== undefined && { link: metadata.link }),
  }
}

const CHECKSUMS: Checksum['name'][] = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256']

function checksumOf({ checksum }: ObjectMetadata): Checksum | null {
  const name = CHECKSUMS.find(each => each === checksum?.name)
  if (checksum === undefined || name === undefined) return null
  return { name, value: checksum.value, type: checksum.type === 'COMPOSITE' ? 'COMPOSITE' : 'FULL_OBJECT' }
}
