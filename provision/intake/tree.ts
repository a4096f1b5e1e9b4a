import { setImmediate as turn } from 'node:timers/promises'
import { parseLeaf } from '../../format/leaf.ts'
import { Frontier, leafHash } from '../../format/merkle.ts'
import { type MetadataKeys, metadataKeysOf } from './epochs.ts'
import { forgetSealed } from './forget.ts'
import { itemOf, openName } from './item.ts'
import { keepManifests, leavesOf, sourcesOf } from './leaves.ts'
import { type ProvingAhead, provingAhead } from './prove-ahead.ts'
import { dropIndexes, type ItemRow, makeIndexes } from './schema.ts'
import { putItems } from './spans.ts'
import type { Step, Work } from './work.ts'

/**
 * Rebuilds the tree, checkpoint by checkpoint: the leaves between two of them, grown on the peaks of the first, must give the root of the
 * second. So one damaged run of leaves spoils no other, and what a drive lacks is taken from another one or from a manifest. What was
 * signed is opened at once: its name by the epoch's metadata key. Commit point: each page of items, once their step's root is the signed one.
 */
export async function buildTree(work: Work): Promise<void> {
  await dropIndexes(work.database, 'items')
  const ahead = provingAhead(work)
  try {
    await growTree(work, ahead)
  } finally {
    await ahead.rest()
  }
  await ahead.end()
  await forgetSealed(work.database, 'leaves', work.run)
  await makeIndexes(work.database, 'items')
}

async function growTree(work: Work, ahead: ProvingAhead): Promise<void> {
  const { steps, last } = work
  const keys = metadataKeysOf(work)
  let before: Step = { number: 0, treeSize: 0, root: Buffer.alloc(0), peaks: [] }
  let manifestsRead = false
  for (const step of steps) {
    const from = await madeUpTo(work, before, step)
    if (from < step.treeSize) {
      let source = await sourceOf(work, before, step)
      if (source === null && !manifestsRead) {
        manifestsRead = true
        await keepManifests(work)
        source = await sourceOf(work, before, step)
      }
      if (source === null)
        await work.find(
          'leaf-missing',
          `leaves ${before.treeSize} to ${step.treeSize - 1} of checkpoint ${step.number}: no drive has those that were signed`,
        )
      else await makeItems(work, keys, ahead, source, from, step.treeSize)
    }
    before = step
    work.progress('tree', step.treeSize, last.treeSize)
  }
}

/** The first place of the step that has no item yet: they are made in order. */
async function madeUpTo({ database, run }: Work, before: Step, step: Step): Promise<number> {
  const row = await database
    .selectFrom('items')
    .select(({ fn }) => fn.max('idx').as('idx'))
    .where('run', '=', run)
    .where('idx', '>=', before.treeSize)
    .where('idx', '<', step.treeSize)
    .executeTakeFirst()
  const last = row?.idx ?? null
  return last === null ? before.treeSize : last + 1
}

/** Whose leaves give the signed root; null: nobody's. */
async function sourceOf(work: Work, before: Step, step: Step): Promise<string | null> {
  for (const source of await sourcesOf(work, before.treeSize, step.treeSize)) {
    const frontier = Frontier.resume(before.treeSize, before.peaks)
    for await (const { idx, encoded } of leavesOf(work, source, before.treeSize, step.treeSize)) {
      if (idx !== frontier.size) break
      frontier.append(leafHash(encoded))
    }
    if (frontier.size === step.treeSize && frontier.root().equals(step.root)) return source
  }
  return null
}

/** Items that are written in one step. */
const STEP_ITEMS = 256

async function makeItems(
  work: Work,
  keys: MetadataKeys,
  ahead: ProvingAhead,
  source: string,
  from: number,
  to: number,
): Promise<void> {
  let rows: ItemRow[] = []
  const keep = async (): Promise<void> => {
    const made = rows
    rows = []
    const [first, last] = [made[0], made.at(-1)]
    if (first === undefined || last === undefined) return
    await work.database.transaction().execute(change => putItems(change, made))
    await ahead.page(first.idx, last.idx)
    // the store that runs beside has its turn
    await turn()
  }
  for await (const { idx, encoded } of leavesOf(work, source, from, to)) {
    const item = itemOf(work.run, idx, parseLeaf(encoded))
    rows.push({ ...item, ...(await openName(work, keys, item)) })
    if (rows.length === STEP_ITEMS) await keep()
  }
  await keep()
}
