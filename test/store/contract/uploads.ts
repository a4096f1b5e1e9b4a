import * as assert from 'uvu/assert'
import { compareKeys } from '../../../store/key.ts'
import { hasMultipart } from '../../../store/object-store.ts'
import { type On, plain } from './calls.ts'

/** The listing of uploads under way. */
export function uploadListing(on: On): void {
  on('multipart: uploads are listed by key and start, folded and paged', async store => {
    if (!hasMultipart(store)) return
    for (const key of ['b', 'a\0b', 'a', 'a', 'd/1', 'd/2', 'e']) await store.createUpload('b', key, plain)
    const walk = async (prefix: string, delimiter: string | undefined, limit: number) => {
      const names: string[] = []
      let marker: { afterKey?: string; afterUpload?: string } = {}
      for (;;) {
        const page = await store.listUploads('b', { prefix, limit, ...(delimiter && { delimiter }), ...marker })
        names.push(...page.uploads.map(item => item.key), ...page.prefixes.map(item => `${item}*`))
        if (!page.more) return names.toSorted(compareKeys).join(' ')
        const last = page.uploads.at(-1)
        const folded = page.prefixes.at(-1)
        marker =
          folded !== undefined && (!last || compareKeys(folded, last.key) > 0)
            ? { afterKey: folded }
            : { afterKey: last?.key ?? '', afterUpload: last?.id ?? '' }
      }
    }
    for (const limit of [1, 2, 3, 100]) {
      assert.is(await walk('', undefined, limit), 'a a a\0b b d/1 d/2 e', `limit ${limit}`)
      assert.is(await walk('', '/', limit), 'a a a\0b b d/* e', `limit ${limit}`)
      assert.is(await walk('a', '/', limit), 'a a a\0b', `limit ${limit}`)
    }
    const page = await store.listUploads('b', { prefix: '', limit: 10, afterKey: 'a' })
    assert.equal(
      page.uploads.map(item => item.key),
      ['a\0b', 'b', 'd/1', 'd/2', 'e'],
    )
  })
}
