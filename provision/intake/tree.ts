import { FormatError } from '../../format/fault.ts'
import { type Leaf, parseLeaf } from '../../format/leaf.ts'
import { readLeaves, readManifestHead } from '../../format/manifest.ts'
import { Frontier, leafHash } from '../../format/merkle.ts'
import { manifestFile, openForReading } from '../../store/pack/drive.ts'
import { driveOf } from './chain.ts'
import { PAGE, type Step, type Work } from './work.ts'

/**
 * Rebuilds the tree, checkpoint by checkpoint: the leaves between two of them, grown on the peaks of the first, must give the root of the
 * second. So one damaged run of leaves spoils no other, and what a drive lacks is taken from another one or from a manifest.
 * Commit point of each step: its items.
 */
export async function buildTree(work: Work): Promise<void> {
  const { steps, last } = work
  let before: Step = { number: 0, treeSize: 0, root: Buffer.alloc(0), peaks: [] }
  let manifestsRead = false
  for (const step of steps) {
    const made = await work.database
      .selectFrom('items')
      .select('idx')
      .where('run', '=', work.run)
      .where('idx', '>=', before.treeSize)
      .where('idx', '<', step.treeSize)
      .limit(1)
      .execute()
    if (step.treeSize > before.treeSize && made.length === 0) {
      let source = await sourceOf(work, before, step)
      if (source === null && !manifestsRead) {
        manifestsRead = true
        await readManifests(work)
        source = await sourceOf(work, before, step)
      }
      if (source === null)
        await work.find(
          'leaf-missing',
          `leaves ${before.treeSize} to ${step.treeSize - 1} of checkpoint ${step.number}: no drive has those that were signed`,
        )
      else await makeItems(work, source, before.treeSize, step.treeSize)
    }
    before = step
    work.progress('tree', step.treeSize, last.treeSize)
  }
  await work.database.deleteFrom('leaves').where('run', '=', work.run).execute()
}

async function sourceOf(work: Work, before: Step, step: Step): Promise<string | null> {
  const sources = await work.database
    .selectFrom('leaves')
    .select('source')
    .where('run', '=', work.run)
    .where('idx', '>=', before.treeSize)
    .where('idx', '<', step.treeSize)
    .groupBy('source')
    .having(({ fn }) => fn.countAll(), '=', step.treeSize - before.treeSize)
    .orderBy('source')
    .execute()
  for (const { source } of sources) {
    const frontier = Frontier.resume(before.treeSize, before.peaks)
    for await (const { encoded } of leavesOf(work, source, before.treeSize, step.treeSize))
      frontier.append(leafHash(encoded))
    if (frontier.size === step.treeSize && frontier.root().equals(step.root)) return source
  }
  return null
}

async function* leavesOf(work: Work, source: string, from: number, to: number) {
  for (let at = from; at < to; at += PAGE)
    yield* await work.database
      .selectFrom('leaves')
      .select(['idx', 'encoded'])
      .where('run', '=', work.run)
      .where('source', '=', source)
      .where('idx', '>=', at)
      .where('idx', '<', Math.min(at + PAGE, to))
      .orderBy('idx')
      .execute()
}

/** All of a step's items in one transaction: a step is at most an epoch's 10,000 objects. */
async function makeItems(work: Work, source: string, from: number, to: number): Promise<void> {
  const rows: { idx: number; leaf: Leaf }[] = []
  for await (const { idx, encoded } of leavesOf(work, source, from, to)) rows.push({ idx, leaf: parseLeaf(encoded) })
  await work.database.transaction().execute(async change => {
    for (const { idx, leaf } of rows)
      await change
        .insertInto('items')
        .values(itemOf(work, idx, leaf))
        .execute()
  })
}

export function itemOf(work: Work, idx: number, leaf: Leaf) {
  return {
    run: work.run,
    idx,
    kind: leaf.kind,
    sequence: leaf.sequence,
    committed_at: leaf.committedAt,
    object_id: leaf.objectId,
    epoch: leaf.epoch,
    size: leaf.plaintextLength,
    body_length: leaf.bodyLength,
    digest_id: leaf.digestId,
    digest: leaf.bodyDigest,
    envelope_hash: leaf.envelopeHash,
    sealed: leaf.sealedMetadata,
    metadata: null,
    bucket: '',
    key: Buffer.alloc(0),
    upload: '',
    number: 0,
    composite: '',
    state: 'listed' as const,
    reason: '',
    proved: 0,
  }
}

/** Leaves from the drives' manifests: they stand there a second time, in order. */
async function readManifests(work: Work): Promise<void> {
  for (const volume of work.volumes) {
    const path = manifestFile(driveOf(volume), work.last.number)
    let file: Awaited<ReturnType<typeof openForReading>>
    try {
      file = await openForReading(path)
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') continue
      throw error
    }
    try {
      const { leavesAt } = await readManifestHead(file.read)
      let idx = 0
      let rows: { run: string; source: string; idx: number; encoded: Buffer }[] = []
      for await (const encoded of readLeaves(file.read, leavesAt)) {
        rows.push({ run: work.run, source: path, idx: idx++, encoded: Buffer.from(encoded) })
        if (rows.length < PAGE) continue
        await keepAll(work, rows)
        rows = []
      }
      await keepAll(work, rows)
    } catch (error) {
      // a manifest that cannot be read is no help, and no harm: what it holds is signed elsewhere
      if (!(error instanceof FormatError)) throw error
    } finally {
      await file.close()
    }
  }
}

async function keepAll(work: Work, rows: { run: string; source: string; idx: number; encoded: Buffer }[]) {
  await work.database.transaction().execute(async change => {
    for (const row of rows)
      await change
        .insertInto('leaves')
        .values(row)
        .onConflict(conflict => conflict.doNothing())
        .execute()
  })
}
