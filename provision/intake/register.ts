import { setImmediate as turn } from 'node:timers/promises'
import { COMPOSITE, PART, parseEnvelope, TOMBSTONE } from '../../format/envelope.ts'
import type { Checksum, ObjectAttributes } from '../../store/object-store.ts'
import { headAndEnvelope } from './item.ts'
import { type Provable, prove } from './prove.ts'
import type { ItemRow, WorkSchema } from './schema.ts'
import type { Taken, TakenBody, TakenPart } from './target.ts'
import { packName, type Work } from './work.ts'

/** Why a tombstone that was carried out is only noted from then on. */
export const APPLIED_DELETE = 'deletes: apply'

/** Places of the tree that are looked at together, and bodies (objects and parts) that become visible in one step. */
const WINDOW = 2000
const BATCH_BODIES = 2000

/**
 * Hands what is ready to the target, in the order of the tree. What was not proved while the tree was made is proved before; where nothing
 * was, the authority opens the keys of the next window while one goes in. Windows and batches follow from the tree and from what is written of it, so a batch that was taken and not yet marked here is
 * sent again as it was, and changes nothing. Commit points of each: what was proved; the target's own transaction, which remembers how
 * far it came; the mark.
 */
export async function registerObjects(work: Work): Promise<void> {
  const { database, run } = work
  const ends = work.last.treeSize
  const lookAhead = (first: number) => (first < ends && !work.provesAhead ? readyIn(work, first) : null)
  let ahead = lookAhead(0)
  for (let first = 0; first < ends; first += WINDOW) {
    const rows = await (ahead ?? readyIn(work, first))
    ahead = lookAhead(first + WINDOW)
    // said when it is asked for; a window that fails behind this one must not end the process
    ahead?.catch(() => undefined)
    try {
      // what it asks of the authority is on its way before this thread is busy with the tables
      await turn()
      await turn()
      await putIn(work, rows)
      work.progress('register', Math.min(first + WINDOW, ends), ends)
    } catch (error) {
      await ahead?.catch(() => undefined)
      throw error
    }
  }
  const packs = await database.selectFrom('packs').select('pack').where('run', '=', run).execute()
  await work.target.settle(packs.map(each => packName(work, each.pack)))
}

type Ready = Awaited<ReturnType<typeof rowsOf>>[number]

/** What goes in of a window: sound, and its key proved as far as that is asked for. */
async function readyIn(work: Work, first: number): Promise<Ready[]> {
  const rows = await rowsOf(work, first)
  if (work.level === 'digest') return rows
  const unproved = rows.filter(row => row.proved === 0 && row.kind !== TOMBSTONE)
  const proved = new Set((await prove(work, unproved.map(provable))).map(row => row.idx))
  return rows.filter(row => row.kind === TOMBSTONE || row.proved === 1 || proved.has(row.idx))
}

function rowsOf({ database, run }: Work, first: number) {
  return database
    .selectFrom('items')
    .leftJoin('commits', join =>
      join.onRef('commits.run', '=', 'items.run').onRef('commits.object_id', '=', 'items.object_id'),
    )
    .select(['idx', 'kind', 'sequence', 'items.object_id', 'size', 'body_length', 'bucket', 'key', 'etag'])
    .select(['modified_at', 'attributes', 'checksum', 'upload', 'number', 'composite', 'state', 'proved'])
    .select(['pack', 'body_offset', 'header_bytes', 'bytes'])
    .where('items.run', '=', run)
    .where('idx', '>=', first)
    .where('idx', '<', first + WINDOW)
    .where('state', 'in', ['ready', 'delete'])
    .orderBy('idx')
    .execute()
}

function provable(row: Ready): Provable {
  const { header_bytes, bytes } = row
  if (header_bytes === null || bytes === null) throw new RangeError(`item ${row.idx} is ready and has no commit`)
  return { ...row, header_bytes, bytes }
}

/** What of a window is ready, in batches. */
async function putIn(work: Work, rows: readonly Ready[]): Promise<void> {
  let batch: Taken[] = []
  let bodies = 0
  let from = rows[0]?.idx ?? 0
  let last = -1
  const send = async (): Promise<void> => {
    if (batch.length === 0) return
    await work.target.register(work.id, last, `${work.job}/${work.device}`, batch)
    await turn()
    await mark(work, from, last)
    batch = []
    bodies = 0
    from = last + 1
  }
  for (const row of rows) {
    const taken = row.kind === TOMBSTONE ? removalOf(row) : await takenOf(work, row)
    const weight = 'put' in taken ? 1 + taken.put.parts.length : 1
    if (bodies + weight > BATCH_BODIES) await send()
    batch.push(taken)
    bodies += weight
    last = row.idx
  }
  await send()
}

async function mark({ database, run }: Work, first: number, last: number): Promise<void> {
  await database.transaction().execute(async change => {
    const these = change.updateTable('items').where('run', '=', run).where('idx', '>=', first).where('idx', '<=', last)
    await these.set({ state: 'stored' }).where('state', '=', 'ready').execute()
    await these.set({ state: 'noted', reason: APPLIED_DELETE }).where('state', '=', 'delete').execute()
  })
}

function removalOf({ bucket, key, sequence }: Ready): Taken {
  return { remove: { bucket, key, sequence } }
}

async function takenOf(work: Work, item: Ready): Promise<Taken> {
  const { pack, body_offset, header_bytes, bytes } = item
  if (pack === null || body_offset === null || header_bytes === null || bytes === null)
    throw new RangeError(`item ${item.idx} is ready and has no commit`)
  const body = bodyOf(work, { ...item, pack, body_offset, header_bytes, bytes })
  return {
    put: {
      ...body,
      bucket: item.bucket,
      key: item.key,
      size: item.size,
      etag: item.etag,
      modifiedAt: item.modified_at,
      // our own rows, written from what was parsed
      attributes: JSON.parse(item.attributes) as ObjectAttributes,
      checksum: item.checksum === '' ? null : (JSON.parse(item.checksum) as Checksum),
      account: work.order.account,
      job: work.job,
      acl: work.order.acl,
      sequence: item.sequence,
      upload: null,
      parts: item.kind === COMPOSITE ? await partsOf(work, body.envelope) : [],
    },
  }
}

type Body = Pick<ItemRow, 'object_id' | 'kind' | 'body_length'> &
  Pick<WorkSchema['commits'], 'pack' | 'body_offset' | 'header_bytes' | 'bytes'>

function bodyOf(work: Work, body: Body): TakenBody {
  return {
    objectId: body.object_id,
    pack: body.kind === COMPOSITE ? null : packName(work, body.pack),
    offset: body.body_offset,
    length: body.body_length,
    ...headAndEnvelope(body),
  }
}

async function partsOf(work: Work, envelope: Buffer): Promise<TakenPart[]> {
  const out: TakenPart[] = []
  for (const { objectId } of parseEnvelope(envelope).parts) {
    const part = await work.database
      .selectFrom('items')
      .innerJoin('commits', join =>
        join.onRef('commits.run', '=', 'items.run').onRef('commits.object_id', '=', 'items.object_id'),
      )
      .select(['items.object_id', 'kind', 'body_length', 'upload', 'number', 'size', 'etag', 'modified_at'])
      .select(['pack', 'body_offset', 'header_bytes', 'bytes'])
      .where('items.run', '=', work.run)
      .where('items.object_id', '=', objectId)
      .where('kind', '=', PART)
      .executeTakeFirstOrThrow()
    const { upload, number, size, etag, modified_at: modifiedAt } = part
    out.push({ ...bodyOf(work, part), upload, number, size, etag, modifiedAt })
  }
  return out
}
