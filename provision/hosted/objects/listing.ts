import { commonPrefix } from '../../../store/key.ts'
import type { ListPage, ListQuery } from '../../../store/object-store.ts'
import type { Database } from '../../database/hosted-schema.ts'
import { keyText, RECORD_COLUMNS, type RecordRow, recordOf } from '../rows.ts'

/** No UTF-8 text holds the byte ff: prefix + ff lies above every key under the prefix. */
const ABOVE = Buffer.of(0xff)
/** Rows read in one go when a delimiter may fold most of them. */
const FOLDED_ROWS = 100

/** One page: each common prefix costs one look, however many keys lie under it. */
export async function listObjects(database: Database, bucket: string, query: ListQuery): Promise<ListPage> {
  const { prefix, delimiter, limit } = query
  const page: ListPage = { objects: [], prefixes: [], more: false }
  let after = query.after === undefined ? null : startAfter(query.after, prefix, delimiter)
  for (;;) {
    const room = limit - page.objects.length - page.prefixes.length
    const rows = await under(database, bucket, prefix, after, delimiter ? Math.min(room + 1, FOLDED_ROWS) : room + 1)
    if (rows.length === 0) return page
    for (const row of rows) {
      if (page.objects.length + page.prefixes.length === limit) return { ...page, more: true }
      const key = keyText(row.key)
      const folded = commonPrefix(key, prefix, delimiter)
      page.last = folded ?? key
      if (folded !== null) {
        page.prefixes.push(folded)
        after = Buffer.concat([Buffer.from(folded, 'utf8'), ABOVE])
        break
      }
      page.objects.push(recordOf(row))
      after = row.key
    }
  }
}

/** Where a page goes on; a common prefix skips everything under it. */
export function startAfter(after: string, prefix: string, delimiter: string | undefined): Buffer {
  const bytes = Buffer.from(after, 'utf8')
  const folds = after.startsWith(prefix) && commonPrefix(after, prefix, delimiter) === after
  return folds ? Buffer.concat([bytes, ABOVE]) : bytes
}

function under(
  database: Database,
  bucket: string,
  prefix: string,
  after: Buffer | null,
  limit: number,
): Promise<RecordRow[]> {
  const start = Buffer.from(prefix, 'utf8')
  let query = database
    .selectFrom('objects')
    .select(RECORD_COLUMNS)
    .where('bucket', '=', bucket)
    .where('key', '<', Buffer.concat([start, ABOVE]))
  query =
    after !== null && Buffer.compare(after, start) >= 0
      ? query.where('key', '>', after)
      : query.where('key', '>=', start)
  return query.orderBy('key').limit(limit).execute()
}
