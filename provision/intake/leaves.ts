import { FormatError } from '../../format/fault.ts'
import { leafLength } from '../../format/leaf.ts'
import { readLeaves, readManifestHead } from '../../format/manifest.ts'
import { manifestFile, openForReading } from '../../store/pack/drive.ts'
import { driveOf } from './chain.ts'
import { insertLeaves, type WorkSchema } from './schema.ts'
import type { Keeping, Work } from './work.ts'

type Block = WorkSchema['leaves']

/** A row holds no more leaves, and no more bytes once it has one. */
const BLOCK_LEAVES = 256
const BLOCK_BYTES = 256 << 10
/** Blocks read at a time. */
const BLOCKS = 8

/** Leaves that follow each other in the tree, as rows. Copied: a window's bytes are the window's. */
export function blocksOf(run: number, source: string, first: number, leaves: readonly Uint8Array[]): Block[] {
  const out: Block[] = []
  let from = 0
  let bytes = 0
  const cut = (to: number): void => {
    if (to === from) return
    out.push({ run, source, idx: first + from, count: to - from, encoded: Buffer.concat(leaves.slice(from, to)) })
    from = to
    bytes = 0
  }
  for (const [at, leaf] of leaves.entries()) {
    if (at - from >= BLOCK_LEAVES || (at > from && bytes + leaf.length > BLOCK_BYTES)) cut(at)
    bytes += leaf.length
  }
  cut(leaves.length)
  return out
}

/** The leaves of a block and their places. */
export function* leavesIn({ idx, count, encoded }: Pick<Block, 'idx' | 'count' | 'encoded'>) {
  let at = 0
  for (let place = idx; place < idx + count; place++) {
    const length = leafLength(encoded, at)
    yield { idx: place, encoded: encoded.subarray(at, at + length) }
    at += length
  }
}

/** Leaves of one source from place `from` up to `to`, ascending; places that it lacks are left out. */
export async function* leavesOf(work: Pick<Work, 'database' | 'run'>, source: string, from: number, to: number) {
  for (let at = from; at < to; ) {
    const blocks = await blocksFrom(work, source, at, to)
    if (blocks.length === 0) return
    for (const block of blocks) {
      for (const leaf of leavesIn(block)) if (leaf.idx >= at && leaf.idx < to) yield leaf
      at = Math.max(at, block.idx + block.count)
    }
  }
}

/** Blocks that hold a place in `from`..`to`; none reaches further than its length. */
function blocksFrom(
  { database, run }: Pick<Work, 'database' | 'run'>,
  source: string,
  from: number,
  to: number,
): Promise<Block[]> {
  return database
    .selectFrom('leaves')
    .selectAll()
    .where('run', '=', run)
    .where('source', '=', source)
    .where('idx', '>', from - BLOCK_LEAVES)
    .where('idx', '<', to)
    .where(eb => eb(eb('idx', '+', eb.ref('count')), '>', from))
    .orderBy('idx')
    .limit(BLOCKS)
    .execute()
}

/** Where leaves of these places were found. */
export async function sourcesOf({ database, run }: Work, from: number, to: number): Promise<string[]> {
  const rows = await database
    .selectFrom('leaves')
    .select('source')
    .distinct()
    .where('run', '=', run)
    .where('idx', '>', from - BLOCK_LEAVES)
    .where('idx', '<', to)
    .orderBy('source')
    .execute()
  return rows.map(row => row.source)
}

/** What a recovery wrote again must be what it was; of what differs the first counts. */
export async function keepLeaves(work: Keeping, blocks: readonly Block[]): Promise<void> {
  const fresh: Block[] = []
  for (const block of blocks) {
    const there = new Map<number, Buffer>()
    for await (const { idx, encoded } of leavesOf(work, block.source, block.idx, block.idx + block.count))
      there.set(idx, encoded)
    if (there.size === 0) {
      fresh.push(block)
      continue
    }
    for (const { idx, encoded } of leavesIn(block)) {
      const known = there.get(idx)
      if (known === undefined) fresh.push({ ...block, idx, count: 1, encoded })
      else if (!known.equals(encoded))
        await work.find('leaf-conflict', `leaf ${idx} stands twice on drive ${block.source}, and differs`)
    }
  }
  if (fresh.length > 0) await work.database.transaction().execute(change => insertLeaves(change, fresh))
}

/** Leaves from the drives' manifests: they stand there a second time, in order. */
export async function keepManifests(work: Work): Promise<void> {
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
      let first = 0
      let leaves: Buffer[] = []
      const keep = async (): Promise<void> => {
        await keepLeaves(work, blocksOf(work.run, path, first, leaves))
        first += leaves.length
        leaves = []
      }
      for await (const encoded of readLeaves(file.read, leavesAt)) {
        leaves.push(encoded)
        if (leaves.length === BLOCK_LEAVES) await keep()
      }
      await keep()
    } catch (error) {
      // a manifest that cannot be read is no help, and no harm: what it holds is signed elsewhere
      if (!(error instanceof FormatError)) throw error
    } finally {
      await file.close()
    }
  }
}
