import { parseEnvelope } from '../../format/envelope.ts'
import { leafOf } from '../../format/leaf.ts'
import { metadataKeysOf } from './epochs.ts'
import { changeItems, headAndEnvelope, itemOf, openName, UNNAMED } from './item.ts'
import { putItems, spansOf } from './spans.ts'
import { PAGE, type Work } from './work.ts'

/**
 * Opens the names that the tree left closed, and those of what was found and never signed. Commit point: each page.
 */
export async function openNames(work: Work): Promise<void> {
  const keys = metadataKeysOf(work)
  await addUnsigned(work)
  const total = work.last.treeSize
  if ((await spansOf(work)).every(span => span.named === 1)) return
  let after = -1
  for (;;) {
    const page = await work.database
      .selectFrom('items')
      .select('idx')
      .select(UNNAMED)
      .where('run', '=', work.run)
      .where('idx', '>', after)
      .where('named', '=', 0)
      .orderBy('idx')
      .limit(PAGE)
      .execute()
    if (page.length === 0) return
    const opened: Parameters<typeof changeItems>[2][number][] = []
    for (const item of page) opened.push({ idx: item.idx, values: await openName(work, keys, item) })
    await changeItems(work.database, work.run, opened)
    after = page.at(-1)?.idx ?? after
    work.progress('names', Math.min(after + 1, total), total)
  }
}

/** What lies in the packs and under no leaf: it is not taken in, and is listed by its name. Numbered behind the tree. */
async function addUnsigned(work: Work): Promise<void> {
  const { database, run } = work
  const lost = await database
    .selectFrom('findings')
    .select('code')
    .where('run', '=', run)
    .where('code', '=', 'leaf-missing')
    .limit(1)
    .execute()
  const code = lost.length > 0 ? 'leaf-missing' : 'object-unsigned'
  for (let after = ''; ; ) {
    const found = await database
      .selectFrom('commits')
      .select(['object_id', 'header_bytes', 'bytes', 'pack'])
      .where('run', '=', run)
      .where('object_id', '>', after)
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom('items')
              .select('items.idx')
              .where('items.run', '=', run)
              .whereRef('items.object_id', '=', 'commits.object_id'),
          ),
        ),
      )
      .orderBy('object_id')
      .limit(PAGE)
      .execute()
    if (found.length === 0) return
    const top = await database
      .selectFrom('items')
      .select(({ fn }) => fn.max('idx').as('idx'))
      .where('run', '=', run)
      .executeTakeFirst()
    let idx = Math.max(work.last.treeSize, (top?.idx ?? -1) + 1)
    const rows = found.map(row => {
      const { envelope } = headAndEnvelope(row)
      return {
        ...itemOf(run, idx++, leafOf(parseEnvelope(envelope), envelope, 0, 0)),
        state: 'held' as const,
        reason: `${code}: no signed leaf is known for it`,
      }
    })
    await database.transaction().execute(change => putItems(change, rows))
    if (code === 'object-unsigned')
      for (const row of found)
        await work.find('object-unsigned', `pack ${row.pack} holds object ${row.object_id}, which was never signed`)
    after = found.at(-1)?.object_id ?? after
  }
}
