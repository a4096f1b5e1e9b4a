import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { batchIndex } from '../../store/batched-index.ts'
import type { Index } from '../../store/index-store.ts'
import { openMemoryIndex } from '../../store/memory-index.ts'
import { StoreError } from '../../store/object-store.ts'
import { openSqliteIndex } from '../../store/sqlite-index.ts'

const directory = mkdtempSync(join(tmpdir(), 'sealift-index-'))
const key = Buffer.alloc(32, 7)
let files = 0
const fresh = () => join(directory, `${files++}.sqlite`)

const kinds: [string, () => Index][] = [
  ['memory', openMemoryIndex],
  ['sqlite', () => openSqliteIndex({ path: fresh(), synchronous: 'OFF' })],
  ['sqlite encrypted', () => openSqliteIndex({ path: fresh(), synchronous: 'FULL', key })],
  ['batched', () => batchIndex(openMemoryIndex())],
]

const test = suite('index')
const bytes = (text: string) => Buffer.from(text, 'latin1')
const none = bytes('')
const keys = (index: Index, prefix: string, after?: string, limit = 100) =>
  index
    .scan('t', { prefix: bytes(prefix), limit, ...(after !== undefined && { after: bytes(after) }) })
    .map(entry => entry.key.toString('latin1'))

for (const [name, open] of kinds) {
  const on = (title: string, run: (index: Index) => void) =>
    test(`${name}: ${title}`, () => {
      const index = open()
      try {
        run(index)
      } finally {
        index.close()
        index.close()
      }
    })

  on('gets what was written last, null what was not or was removed', index => {
    index.write([{ table: 't', key: bytes('a'), value: bytes('1') }])
    index.write([
      { table: 't', key: bytes('a'), value: bytes('2') },
      { table: 't', key: bytes('b'), value: none },
      { table: 'u', key: bytes('a'), value: bytes('3') },
    ])
    assert.is(index.get('t', bytes('a'))?.toString(), '2')
    assert.is(index.get('t', bytes('b'))?.length, 0)
    assert.is(index.get('u', bytes('a'))?.toString(), '3')
    assert.is(index.get('t', bytes('c')), null)
    index.write([
      { table: 't', key: bytes('a'), value: null },
      { table: 't', key: bytes('nothing'), value: null },
    ])
    assert.is(index.get('t', bytes('a')), null)
    assert.is(index.get('u', bytes('a'))?.toString(), '3')
  })

  on('scans in byte order, under a prefix, after an exclusive bound, up to a limit', index => {
    const all = ['', '\0', '\0\0', 'a', 'a\0', 'ab', 'a\xff', 'a\xff\xff', 'b', '\x7f', '\x80', '\xff', '\xff\xff']
    index.write(all.toReversed().map(item => ({ table: 't', key: bytes(item), value: bytes(item) })))
    assert.equal(keys(index, ''), all)
    assert.equal(keys(index, 'a'), ['a', 'a\0', 'ab', 'a\xff', 'a\xff\xff'])
    assert.equal(keys(index, '\xff'), ['\xff', '\xff\xff'])
    assert.equal(keys(index, 'a\xff'), ['a\xff', 'a\xff\xff'])
    assert.equal(keys(index, 'a', 'a'), ['a\0', 'ab', 'a\xff', 'a\xff\xff'])
    assert.equal(keys(index, 'a', 'aa'), ['ab', 'a\xff', 'a\xff\xff'])
    assert.equal(keys(index, 'a', '\0'), ['a', 'a\0', 'ab', 'a\xff', 'a\xff\xff'])
    assert.equal(keys(index, 'a', 'b'), [])
    assert.equal(keys(index, '', '\xff\xff'), [])
    assert.equal(keys(index, 'c'), [])
    for (const limit of [0, 1, 12, 13, 14]) assert.is(keys(index, '', undefined, limit).length, Math.min(limit, 13))
  })

  on('a scan agrees with sorting and filtering, whatever the bytes', index => {
    const item = fc.uint8Array({ maxLength: 4 }).map(value => Buffer.from(value).toString('latin1'))
    fc.assert(
      fc.property(fc.array(item, { maxLength: 12 }), item, fc.option(item), (items, prefix, after) => {
        const before = index.scan('t', { prefix: none, limit: 100 })
        index.write(before.map(entry => ({ table: 't', key: entry.key, value: null })))
        index.write(items.map(text => ({ table: 't', key: bytes(text), value: bytes('v') })))
        const wanted = [...new Set(items)]
          .sort((a, b) => Buffer.compare(bytes(a), bytes(b)))
          .filter(text => text.startsWith(prefix) && (after === null || Buffer.compare(bytes(text), bytes(after)) > 0))
        assert.equal(keys(index, prefix, after ?? undefined), wanted)
      }),
      { numRuns: 60 },
    )
  })
}

test('batched: what was in the index before is found, in a table that was empty what was written since', () => {
  const below = openMemoryIndex()
  below.write([{ table: 't', key: bytes('old'), value: bytes('1') }])
  const index = batchIndex(below)
  const names = Array.from({ length: 10_000 }, (_, at) => bytes(`k${at}`))
  for (const table of ['t', 'u']) {
    assert.is(index.get(table, bytes('k0')), null)
    index.write(names.map(key => ({ table, key, value: key })))
    index.expect(table, [...names.slice(0, 100), bytes('none'), bytes('old')])
    for (const key of names) assert.equal(index.get(table, key), key)
    index.write([{ table, key: bytes('k1'), value: null }])
    for (const gone of ['k1', 'none']) assert.is(index.get(table, bytes(gone)), null)
  }
  assert.is(index.get('t', bytes('old'))?.toString(), '1')
  assert.is(index.get('u', bytes('old')), null)
  index.close()
})

test('sqlite: what was written is there after closing and opening', () => {
  const path = fresh()
  const first = openSqliteIndex({ path, synchronous: 'FULL', key })
  first.write([{ table: 't', key: bytes('k'), value: bytes('v') }])
  first.close()
  const second = openSqliteIndex({ path, synchronous: 'FULL', key })
  assert.is(second.get('t', bytes('k'))?.toString(), 'v')
  second.close()
})

test('sqlite: a write that fails half way changes nothing', () => {
  const index = openSqliteIndex({ path: fresh(), synchronous: 'FULL' })
  const wrong = JSON.parse('"text where bytes belong"')
  assert.throws(() =>
    index.write([
      { table: 't', key: bytes('a'), value: bytes('1') },
      { table: 't', key: bytes('b'), value: wrong },
    ]),
  )
  assert.is(index.get('t', bytes('a')), null)
  index.close()
})

test('sqlite encrypted: another key, no key, or a key on a plain file is fault damaged', () => {
  const path = fresh()
  openSqliteIndex({ path, synchronous: 'FULL', key }).close()
  for (const wrong of [Buffer.alloc(32, 8), undefined]) {
    assert.is(
      fault(() => openSqliteIndex({ path, synchronous: 'FULL', ...(wrong && { key: wrong }) })),
      'damaged',
    )
  }
  const plain = fresh()
  openSqliteIndex({ path: plain, synchronous: 'FULL' }).close()
  assert.is(
    fault(() => openSqliteIndex({ path: plain, synchronous: 'FULL', key })),
    'damaged',
  )
  assert.throws(() => openSqliteIndex({ path, synchronous: 'FULL', key: key.subarray(1) }), RangeError)
})

test('sqlite encrypted: neither names nor values are to be seen in any of its files; plain they are', () => {
  for (const [encrypted, seen] of [
    [true, false],
    [false, true],
  ]) {
    const path = fresh()
    const index = openSqliteIndex({ path, synchronous: 'FULL', ...(encrypted && { key }) })
    index.write([{ table: 't', key: bytes('secret-name'), value: bytes('secret-value') }])
    const image = Buffer.concat(
      readdirSync(directory)
        .filter(file => join(directory, file).startsWith(path))
        .map(file => readFileSync(join(directory, file))),
    )
    assert.is(image.includes('secret-name'), seen)
    assert.is(image.includes('secret-value'), seen)
    index.close()
  }
})

test.after(() => rmSync(directory, { recursive: true, force: true }))

function fault(call: () => unknown): string | undefined {
  try {
    call()
  } catch (error) {
    if (error instanceof StoreError) return error.fault
    throw error
  }
  return undefined
}

test.run()
