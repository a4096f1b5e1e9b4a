import { setImmediate as turn } from 'node:timers/promises'
import { COMPOSITE, type CompositePart, OBJECT, PART, parseEnvelope, TOMBSTONE } from '../../format/envelope.ts'
import type { FindingCode } from './finding.ts'
import { changeItems, headAndEnvelope, nameOf } from './item.ts'
import { APPLIED_DELETE } from './register.ts'
import type { ItemRow } from './schema.ts'
import { countOf } from './spans.ts'
import { PAGE, type Work } from './work.ts'

/**
 * Decides what of the signed goes in: what is there and whole, under a name of the order, the newest of that name. What an earlier run
 * stored or deleted is done: its owner may have deleted or replaced it since, and the drive must not undo that.
 * Everything is decided anew when it is run again. Commit point: each statement or page.
 */
export async function judgeItems(work: Work): Promise<void> {
  const foreign = await openBuckets(work)
  const plain = await judgePlain(work, foreign)
  const single = [OBJECT, PART, TOMBSTONE]
  if (plain < (await countOf(work, single))) await eachPage(work, single, item => judgeOne(work, foreign, item))
  // after the parts: a composite needs them
  if ((await countOf(work, [COMPOSITE])) > 0) await eachPage(work, [COMPOSITE], item => judgeOne(work, foreign, item))
  if ((await countOf(work, [PART])) > 0) await dropUnlisted(work)
}

async function beginAnew({ database, run }: Work, first: number, end: number): Promise<void> {
  await database
    .updateTable('items')
    .set({ composite: '', state: 'listed', reason: '' })
    .where('run', '=', run)
    .where('idx', '>=', first)
    .where('idx', '<', end)
    .where('named', '=', 1)
    .where(either => either.or([either('composite', '!=', ''), either('state', '!=', 'listed')]))
    .execute()
}

/** Places that are judged by one statement. */
const WINDOW = 5000

/**
 * Nearly all, where no run was before this one: sound objects under a name of the order, of which there is no newer one.
 * @returns how many that were
 */
async function judgePlain(work: Work, foreign: Set<string>): Promise<number> {
  const { last } = work
  const buckets = work.order.buckets.filter(each => !foreign.has(each))
  const applies = work.earlier === null && buckets.length > 0
  let judged = 0
  for (let first = 0; first < last.treeSize; first += WINDOW) {
    const end = Math.min(first + WINDOW, last.treeSize)
    await beginAnew(work, first, end)
    if (applies) judged += await judgeWindow(work, buckets, first, end)
    await turn()
    work.progress('judge', end, last.treeSize)
  }
  return judged
}

async function judgeWindow(work: Work, buckets: string[], first: number, end: number): Promise<number> {
  const { database, run, last } = work
  const { numUpdatedRows } = await database
    .updateTable('items')
    .set({ state: 'ready' })
    .where('run', '=', run)
    .where('idx', '>=', first)
    .where('idx', '<', end)
    .where('kind', '=', OBJECT)
    .where('named', '=', 1)
    .where('key', '!=', '')
    .where('bucket', 'in', buckets)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('items as newer')
            .select('newer.idx')
            .where('newer.run', '=', run)
            .whereRef('newer.bucket', '=', 'items.bucket')
            .whereRef('newer.key', '=', 'items.key')
            .where('newer.kind', '!=', PART)
            .where('newer.idx', '<', last.treeSize)
            .whereRef('newer.sequence', '>', 'items.sequence'),
        ),
      ),
    )
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom('commits')
          .select('commits.frame')
          .where('commits.run', '=', run)
          .whereRef('commits.object_id', '=', 'items.object_id')
          .whereRef('commits.envelope_hash', '=', 'items.envelope_hash')
          .where('commits.fault', '=', ''),
      ),
    )
    .executeTakeFirstOrThrow()
  return Number(numUpdatedRows)
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

/** An item with what decides on it: the kind of the newest of its name, when that is another, and what the packs hold of it. */
type Candidate = Awaited<ReturnType<typeof pageOf>>[number]

async function eachPage(work: Work, kinds: number[], judge: (item: Candidate) => Promise<Partial<ItemRow>>) {
  for (let after = -1; ; ) {
    const page = await pageOf(work, kinds, after)
    if (page.length === 0) return
    const judged: Parameters<typeof changeItems>[2][number][] = []
    for (const item of page) judged.push({ idx: item.idx, values: await judge(item) })
    await changeItems(work.database, work.run, judged)
    after = page.at(-1)?.idx ?? after
    await turn()
    work.progress('judge', after + 1, work.last.treeSize)
  }
}

function pageOf({ database, run, last }: Work, kinds: number[], after: number) {
  return (
    database
      .selectFrom('items')
      .leftJoin('commits', join =>
        join.onRef('commits.run', '=', 'items.run').onRef('commits.object_id', '=', 'items.object_id'),
      )
      .select(['idx', 'kind', 'sequence', 'items.object_id', 'bucket', 'key', 'number', 'items.envelope_hash'])
      .select(['commits.envelope_hash as found_hash', 'commits.fault'])
      .select(({ selectFrom }) =>
        selectFrom('items as newer')
          .select('newer.kind')
          .where('newer.run', '=', run)
          .whereRef('newer.bucket', '=', 'items.bucket')
          .whereRef('newer.key', '=', 'items.key')
          .where('newer.kind', '!=', PART)
          .where('newer.idx', '<', last.treeSize)
          .whereRef('newer.sequence', '>', 'items.sequence')
          .orderBy('newer.sequence', 'desc')
          .limit(1)
          .as('newer_kind'),
      )
      .where('items.run', '=', run)
      .where('idx', '>', after)
      .where('idx', '<', last.treeSize)
      .where('kind', 'in', kinds)
      .where('state', '=', 'listed')
      // without a name nothing can be decided: it is held already
      .where('named', '=', 1)
      .orderBy('idx')
      .limit(PAGE)
      .execute()
  )
}

async function judgeOne(work: Work, foreign: Set<string>, item: Candidate): Promise<Partial<ItemRow>> {
  const newer = item.kind === PART || item.key.length === 0 ? null : item.newer_kind
  const done = await doneEarlier(work, item)
  if (item.kind === TOMBSTONE) {
    if (done !== null) return done
    const applies = work.order.deletes === 'apply' && item.key.length > 0 && newer === null
    return { state: applies && inOrder(work, item) && !foreign.has(item.bucket) ? 'delete' : 'noted', reason: '' }
  }
  if (newer !== null) return { state: newer === TOMBSTONE ? 'taken-back' : 'superseded', reason: '' }
  if (done !== null) {
    if (item.kind === COMPOSITE && item.found_hash !== null) await claimParts(work, item, await partsOf(work, item))
    return done
  }
  if (!inOrder(work, item))
    return held(work, item, 'name-outside-order', `the order names ${work.order.buckets.join(', ')}`)
  if (foreign.has(item.bucket)) return { state: 'held', reason: 'bucket-foreign: it belongs to another account' }
  const fault = commitFault(item)
  if (fault !== null) return held(work, item, ...fault)
  if (item.kind !== COMPOSITE) return { state: item.kind === PART ? 'member' : 'ready', reason: '' }
  return judgeParts(work, item, await partsOf(work, item))
}

async function doneEarlier(work: Work, item: Candidate): Promise<Partial<ItemRow> | null> {
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

function inOrder(work: Work, item: Candidate): boolean {
  return work.order.buckets.includes(item.bucket)
}

function commitFault(item: Candidate): [FindingCode, string] | null {
  if (item.found_hash === null) return ['object-missing', 'it was signed and lies in none of the packs']
  if (!item.found_hash.equals(item.envelope_hash))
    return ['envelope-changed', 'its envelope is not the one that was signed']
  return item.fault === '' || item.fault === null ? null : ['body-damaged', item.fault]
}

/** All listed parts, present and as the list says: or the composite is held. */
async function judgeParts(work: Work, item: Candidate, parts: CompositePart[]): Promise<Partial<ItemRow>> {
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
    if (found.bucket !== item.bucket || found.key !== item.key)
      return held(work, item, 'part-missing', `its part ${found.number} is of another object`)
  }
  await claimParts(work, item, parts)
  return { state: 'ready', reason: '' }
}

/** What a composite that the packs hold lists. */
async function partsOf(work: Work, item: Candidate): Promise<CompositePart[]> {
  const commit = await work.database
    .selectFrom('commits')
    .select(['header_bytes', 'bytes'])
    .where('run', '=', work.run)
    .where('object_id', '=', item.object_id)
    .executeTakeFirstOrThrow()
  return parseEnvelope(headAndEnvelope(commit).envelope).parts
}

async function claimParts(work: Work, composite: Candidate, parts: CompositePart[]): Promise<void> {
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

async function held(work: Work, item: Candidate, code: FindingCode, why: string): Promise<Partial<ItemRow>> {
  await work.find(code, `${nameOf(item)}: ${why}`)
  return { state: 'held', reason: `${code}: ${why}`.slice(0, 1000) }
}
