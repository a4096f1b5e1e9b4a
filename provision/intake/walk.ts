import type { PackCopy } from './check-pack.ts'
import { type Checkers, openCheckers } from './checkers.ts'
import { dropIndexes, makeIndexes, type WorkSchema } from './schema.ts'
import { PAGE, packName, type Work } from './work.ts'

/**
 * Reads every adopted copy that was not read while the others were adopted, and makes what was found findable.
 */
export async function walkPacks(work: Work): Promise<void> {
  const { database, run } = work
  await beginWalk(work)
  const packs = await database.selectFrom('packs').selectAll().where('run', '=', run).orderBy('pack').execute()
  const total = packs.reduce((sum, pack) => sum + pack.length, 0)
  const checkers = openCheckers(work)
  let done = 0
  try {
    await allOf(
      packs.map(pack =>
        walkPack(work, checkers, pack, (_, more) => {
          done += more
          work.progress('walk', done, total, more)
        }),
      ),
    )
  } finally {
    await checkers.close()
  }
  work.progress('walk', total, total)
  await makeIndexes(database, 'commits')
  await dropDoubles(work)
}

/** What walks that were killed had written is taken away: a pack is read as a whole. */
export async function beginWalk(work: Work): Promise<void> {
  await dropIndexes(work.database, 'commits')
  await forgetUnmarked(work)
}

/** Reads one copy, if that was not done. */
export async function walkPack(
  work: Work,
  checkers: Checkers,
  pack: WorkSchema['packs'],
  tell: (bytes: number, more: number) => void,
): Promise<void> {
  if (pack.walked !== 0) return
  const path = await work.target.pathOf(packName(work, pack.pack))
  if (path === null) {
    await work.find('pack-missing', `the copy of pack ${pack.pack} is gone`)
    return
  }
  const source = work.last.packs.find(each => each.pack === pack.pack)?.drive ?? ''
  const copy: PackCopy = { pack, source, path }
  await checkers.check(copy, tell)
}

async function forgetUnmarked({ database, run }: Work): Promise<void> {
  await database
    .deleteFrom('commits')
    .where('run', '=', run)
    .where('pack', 'in', database.selectFrom('packs').select('pack').where('run', '=', run).where('walked', '=', 0))
    .execute()
}

/** Of several commits of one object the sound one counts, and of those the first. */
async function dropDoubles({ database, run }: Work): Promise<void> {
  for (;;) {
    const doubled = await database
      .selectFrom('commits')
      .select('object_id')
      .where('run', '=', run)
      .groupBy('object_id')
      .having(({ fn }) => fn.countAll(), '>', 1)
      .limit(PAGE)
      .execute()
    if (doubled.length === 0) return
    for (const { object_id } of doubled) {
      const [kept, ...others] = await database
        .selectFrom('commits')
        .select(['pack', 'frame'])
        .where('run', '=', run)
        .where('object_id', '=', object_id)
        .orderBy('fault')
        .orderBy('pack')
        .orderBy('frame')
        .execute()
      for (const { pack, frame } of kept === undefined ? [] : others)
        await database
          .deleteFrom('commits')
          .where('run', '=', run)
          .where('object_id', '=', object_id)
          .where('pack', '=', pack)
          .where('frame', '=', frame)
          .execute()
    }
  }
}

/** Waits for all of them, whatever becomes of one; then the first that failed is thrown. */
export async function allOf(under: readonly Promise<void>[]): Promise<void> {
  await Promise.allSettled(under)
  await Promise.all(under)
}
