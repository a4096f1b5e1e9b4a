import * as assert from 'uvu/assert'
import { compareKeys } from '../../../store/key.ts'
import type { ObjectStore } from '../../../store/object-store.ts'
import { type On, put, text } from './calls.ts'

const odd = [
  ' ',
  '.',
  '..',
  '../x',
  '/',
  '//',
  'a//b',
  'a/../b',
  'a\nb',
  'a\0b',
  '%2F',
  '+',
  '\u007f',
  'é',
  'e\u0301',
  '\ufffd',
  '\u{10000}',
  '\u{1f6a2}/ship',
  'k'.repeat(1024),
  '€'.repeat(341),
]

/** Keys and prefixes: their order, their folding, their pages. */
export function listings(on: On): void {
  on('odd keys are told apart and listed by their UTF-8 bytes', async store => {
    for (const key of odd) await put(store, key, `at ${key}`)
    for (const key of odd) assert.is(await text(store, key), `at ${key}`, JSON.stringify(key))
    const sorted = odd.toSorted(compareKeys)
    // U+FFFD comes before U+10000 in UTF-8, after it in UTF-16
    assert.ok(sorted.indexOf('\ufffd') < sorted.indexOf('\u{10000}'))
    for (const limit of [1, 2, 7, 19, 20, 21, 1000]) assert.equal(await keysOf(store, limit), sorted, `limit ${limit}`)
  })

  on('a listing folds keys into common prefixes, page by page', async store => {
    const keys = ['a', 'a/', 'a/1', 'a/2', 'a/b/c', 'a0', 'b/1', 'b//2', 'c', 'd/\u{10000}', 'd/\ufffd', 'e//']
    for (const key of keys) await put(store, key, key)
    const table: [string, string | undefined, string][] = [
      ['', undefined, keys.toSorted(compareKeys).join(' ')],
      ['', '/', 'a a/* a0 b/* c d/* e/*'],
      ['a', '/', 'a a/* a0'],
      ['a/', '/', 'a/ a/1 a/2 a/b/*'],
      ['a/b', '/', 'a/b/*'],
      ['b/', '/', 'b//* b/1'],
      ['d/', undefined, 'd/\ufffd d/\u{10000}'],
      ['x', '/', ''],
      ['', '0', 'a a/ a/1 a/2 a/b/c a0* b//2 b/1 c d/\ufffd d/\u{10000} e//'],
      ['', '//', 'a a/ a/1 a/2 a/b/c a0 b//* b/1 c d/\ufffd d/\u{10000} e//*'],
    ]
    for (const [prefix, delimiter, wanted] of table) {
      for (const limit of [1, 2, 3, 1000]) {
        assert.is((await listed(store, prefix, delimiter, limit)).join(' '), wanted, `${prefix}|${delimiter}|${limit}`)
      }
    }
  })

  on('a listing goes on after a key that is not there, and after a prefix skips all under it', async store => {
    for (const key of ['a', 'b/1', 'b/2', 'c']) await put(store, key, key)
    const after = async (start: string, delimiter?: string) =>
      (await listed(store, '', delimiter, 1000, start)).join(' ')
    assert.is(await after('aa'), 'b/1 b/2 c')
    assert.is(await after('b/'), 'b/1 b/2 c')
    assert.is(await after('b/', '/'), 'c')
    assert.is(await after('b/1'), 'b/2 c')
    assert.is(await after('c'), '')
    assert.is((await store.list('b', { prefix: '', limit: 4 })).more, false)
    assert.is((await store.list('b', { prefix: '', limit: 3 })).more, true)
  })
}

export function keysOf(store: ObjectStore, limit = 1000): Promise<string[]> {
  return listed(store, '', undefined, limit)
}

/** Keys and, with a star, prefixes of all pages in one order. */
async function listed(
  store: ObjectStore,
  prefix: string,
  delimiter: string | undefined,
  limit: number,
  start?: string,
) {
  const found: string[] = []
  let after = start
  for (;;) {
    const query = {
      prefix,
      limit,
      ...(delimiter !== undefined && { delimiter }),
      ...(after !== undefined && { after }),
    }
    const page = await store.list('b', query)
    const names = [...page.objects.map(item => item.key), ...page.prefixes.map(item => `${item}*`)]
    assert.ok(names.length <= limit, 'no page is longer than its limit')
    found.push(...names.toSorted((a, b) => compareKeys(a.replace(/\*$/, ''), b.replace(/\*$/, ''))))
    if (!page.more) return found
    assert.ok(page.last !== undefined && page.last !== after, 'a page that is not the last says where to go on')
    after = page.last
  }
}
