import { COMPOSITE, type CompositePart, OBJECT, PART, parseEnvelope, TOMBSTONE } from '../../format/envelope.ts'
import type { FindingCode } from './finding.ts'
import { envelopeHash, nameOf } from './names.ts'
import { APPLIED_DELETE } from './register.ts'
import type { ItemRow, WorkSchema } from './schema.ts'
import { PAGE, type Work } from './work.ts'

/**
 * Decides what of the signed goes in: what is there and whole, under a name of the order, the newest of that name. What an earlier run
 * stored or deleted is done: its owner may have deleted or replaced it since, and the drive must not undo that.
 * Everything is decided anew when it is run again. Commit point: each page.
 */
export async function judgeItems(work: Work): Promise<void> {
  const foreign = await openBuckets(work)
  await work.database.updateTable('items').set({ composite: '' }).where('run', '=', work.run).execute()
  await eachPage(work, [OBJECT, PART, TOMBSTONE], item => judgeOne(work, foreign, item))
  // after the parts: a composite needs them
  await eachPage(work, [COMPOSITE], item => judgeOne(work, foreign, item))
  await dropUnlisted(work)
}

async function openBuckets(work: Work): Promise<Set<string>> {
  const foreign = new Set<string>()
  for (const bucket of work.order.buckets) {
    if ((await work.target.openBucket(bucket, work.order.account)) === 'ready') continue
    foreign.add(bucket)
    await work.find('bucket-foreign', `bucket ${bucket} belongs to another account than the order's`)
  }
  return foreign
}

async function eachPage(work: Work, kinds: number[], judge: (item: ItemRow) => Promise<Partial<ItemRow> | null>) {
  let after = -1
  for (;;) {
    const page = await work.database
      .selectFrom('items')
      .selectAll()
      .where('run', '=', work.run)
      .where('idx', '>', after)
      .where('idx', '<', work.last.treeSize)
      .where('kind', 'in', kinds)
      // without a name nothing can be decided: it is held already
      .where('metadata', 'is not', null)
      .orderBy('idx')
      .limit(PAGE)
      .execute()
    if (page.length === 0) return
    const judged: { idx: number; change: Partial<ItemRow> | null }[] = []
    for (const item of page) judged.push({ idx: item.idx, change: await judge(item) })
    await work.database.transaction().execute(async change => {
      for (const { idx, change: values } of judged)
        if (values !== null)
          await change.updateTable('items').set(values).where('run', '=', work.run).where('idx', '=', idx).execute()
    })
    after = page.at(-1)?.idx ?? after
    work.progress('judge', after + 1, work.last.treeSize)
  }
}

async function judgeOne(work: Work, foreign: Set<string>, item: ItemRow): Promise<Partial<ItemRow>> {
  const newer = item.kind === PART || item.key.length === 0 ? null : await newest(work, item)
  const done = await doneEarlier(work, item)
  if (item.kind === TOMBSTONE) {
    if (done !== null) return done
    const applies = work.order.deletes === 'apply' && item.key.length > 0 && newer === null
    return { state: applies && inOrder(work, item) && !foreign.has(item.bucket) ? 'delete' : 'noted', reason: '' }
  }
  if (newer !== null) return { state: newer.kind === TOMBSTONE ? 'taken-back' : 'superseded', reason: '' }
  const commit = await work.database
    .selectFrom('commits')
    .selectAll()
    .where('run', '=', work.run)
    .where('object_id', '=', item.object_id)
    .executeTakeFirst()
  if (done !== null) {
    if (item.kind === COMPOSITE && commit !== undefined) await claimParts(work, item, partsOf(commit))
    return done
  }
  if (!inOrder(work, item))
    return held(work, item, 'name-outside-order', `the order names ${work.order.buckets.join(', ')}`)
  if (foreign.has(item.bucket)) return { state: 'held', reason: 'bucket-foreign: it belongs to another account' }
  const fault = commitFault(item, commit)
  if (fault !== null) return held(work, item, ...fault)
  if (item.kind !== COMPOSITE || commit === undefined)
    return { state: item.kind === PART ? 'member' : 'ready', reason: '' }
  return judgeParts(work, item, partsOf(commit))
}

async function doneEarlier(work: Work, item: ItemRow): Promise<Partial<ItemRow> | null> {
  if (work.earlier === null) return null
  const row = await work.database
    .selectFrom('items')
    .select(['state', 'reason', 'proved'])
    .where('run', '=', work.earlier)
    .where('object_id', '=', item.object_id)
    .where(where => where.or([where('state', '=', 'stored'), where('reason', '=', APPLIED_DELETE)]))
    .executeTakeFirst()
  return row ?? null
}

function inOrder(work: Work, item: ItemRow): boolean {
  return work.order.buckets.includes(item.bucket)
}

function newest(work: Work, item: ItemRow) {
  return work.database
    .selectFrom('items')
    .select(['kind', 'sequence'])
    .where('run', '=', work.run)
    .where('bucket', '=', item.bucket)
    .where('key', '=', item.key)
    .where('kind', '!=', PART)
    .where('idx', '<', work.last.treeSize)
    .where('sequence', '>', item.sequence)
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirst()
    .then(row => row ?? null)
}

function commitFault(item: ItemRow, commit: WorkSchema['commits'] | undefined): [FindingCode, string] | null {
  if (commit === undefined) return ['object-missing', 'it was signed and lies in none of the packs']
  if (!envelopeHash(commit.envelope).equals(item.envelope_hash))
    return ['envelope-changed', 'its envelope is not the one that was signed']
  return commit.fault === '' ? null : ['body-damaged', commit.fault]
}

/** All listed parts, present and as the list says: or the composite is held. */
async function judgeParts(work: Work, item: ItemRow, parts: CompositePart[]): Promise<Partial<ItemRow>> {
  for (const part of parts) {
    const found = await work.database
      .selectFrom('items')
      .select(['state', 'reason', 'digest', 'size', 'upload', 'number', 'bucket', 'key'])
      .where('run', '=', work.run)
      .where('object_id', '=', part.objectId)
      .where('kind', '=', PART)
      .executeTakeFirst()
    if (found === undefined) return held(work, item, 'part-missing', `its part ${part.objectId} was never signed`)
    if (found.state !== 'member')
      return held(work, item, 'part-missing', `its part ${found.number}: ${found.reason || found.state}`)
    if (!found.digest.equals(part.digest) || found.size !== part.plaintextLength)
      return held(work, item, 'part-missing', `its part ${found.number} is not the one that it lists`)
    if (found.bucket !== item.bucket || !found.key.equals(item.key))
      return held(work, item, 'part-missing', `its part ${found.number} is of another object`)
  }
  await claimParts(work, item, parts)
  return { state: 'ready', reason: '' }
}

function partsOf(commit: WorkSchema['commits']): CompositePart[] {
  return parseEnvelope(commit.envelope).parts
}

async function claimParts(work: Work, composite: ItemRow, parts: CompositePart[]): Promise<void> {
  for (const part of parts)
    await work.database
      .updateTable('items')
      .set({ composite: composite.object_id })
      .where('run', '=', work.run)
      .where('object_id', '=', part.objectId)
      .execute()
}

async function dropUnlisted(work: Work): Promise<void> {
  await work.database
    .updateTable('items')
    .set({ state: 'dropped', reason: '' })
    .where('run', '=', work.run)
    .where('kind', '=', PART)
    .where('state', '=', 'member')
    .where('composite', '=', '')
    .execute()
}

async function held(work: Work, item: ItemRow, code: FindingCode, why: string): Promise<Partial<ItemRow>> {
  await work.find(code, `${nameOf(item)}: ${why}`)
  return { state: 'held', reason: `${code}: ${why}`.slice(0, 1000) }
}
