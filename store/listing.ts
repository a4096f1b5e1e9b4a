import { commonPrefix } from './key.ts'

/** One look into an ordered map: up to `limit` entries above `after`, under `prefix`. `after` is a bound in bytes, not always a key. */
export type Scan<T> = (prefix: Buffer, after: Buffer | undefined, limit: number) => { key: string; value: T }[]

export type Page<T> = { entries: T[]; prefixes: string[]; more: boolean; last?: string }

/** No UTF-8 text holds the byte 0xff: prefix + ff lies above every key under the prefix. */
const above = Buffer.from([0xff])

/**
 * One page of a listing over any ordered map: keys folded into common prefixes by the delimiter.
 * Each prefix costs one look, however many keys lie under it.
 *
 * @param query.after - key or common prefix to go on after; a common prefix skips everything under it
 * @param query.limit - keys and prefixes together
 */
export function listPage<T>(
  scan: Scan<T>,
  query: { prefix: string; delimiter?: string; after?: string; limit: number },
): Page<T> {
  const { prefix, delimiter, limit } = query
  const start = Buffer.from(prefix, 'utf8')
  const page: Page<T> = { entries: [], prefixes: [], more: false }
  let after: Buffer | undefined
  if (query.after !== undefined) {
    const folded = query.after.startsWith(prefix) ? commonPrefix(query.after, prefix, delimiter) : null
    after = Buffer.from(query.after, 'utf8')
    if (folded !== null && folded === query.after) after = Buffer.concat([after, above])
  }
  for (;;) {
    const room = limit - page.entries.length - page.prefixes.length
    const found = scan(start, after, delimiter ? Math.min(room + 1, 100) : room + 1)
    if (found.length === 0) return page
    for (const { key, value } of found) {
      if (page.entries.length + page.prefixes.length === limit) return { ...page, more: true }
      const folded = commonPrefix(key, prefix, delimiter)
      if (folded !== null) {
        page.prefixes.push(folded)
        page.last = folded
        after = Buffer.concat([Buffer.from(folded, 'utf8'), above])
        break
      }
      page.entries.push(value)
      page.last = key
      after = Buffer.from(key, 'utf8')
    }
  }
}
