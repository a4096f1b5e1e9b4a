import * as assert from 'uvu/assert'
import { type Finished, leaveBody, type ObjectRecord, type Wanted } from '../../../store/object-store.ts'
import { collect, md5, pattern, pieces } from './bodies.ts'
import { caught, fault, type On, options, plain, put, text } from './calls.ts'
import { keysOf } from './listings.ts'

/** What was put comes back, whole or a range of it. */
export function wholeObjects(on: On): void {
  for (const size of [0, 1, 65535, 65536, 65537, 300_001]) {
    on(`an object of ${size} bytes comes back whole with its record`, async store => {
      const bytes = pattern(size)
      const attributes = { contentType: 'text/x', headers: { 'cache-control': 'no-store' }, metadata: { a: 'ü b' } }
      const checksum = { name: 'CRC32', value: 'AAAAAA==', type: 'FULL_OBJECT' } as const
      const options = { attributes, length: size, finish: () => ({ etag: md5(bytes), checksum }) }
      const record = await store.put('b', 'k', pieces(bytes, 50_000), options)
      assert.is(record.size, size)
      const read = await store.get('b', 'k')
      assert.ok(read)
      assert.ok(bytes.equals(await collect(read.body)))
      for (const seen of [record, read.record, await store.head('b', 'k')]) {
        assert.ok(seen)
        assert.is(seen.bucket, 'b')
        assert.is(seen.key, 'k')
        assert.is(seen.size, size)
        assert.is(seen.etag, md5(bytes))
        assert.equal(seen.checksum, checksum)
        assert.is(seen.attributes.contentType, 'text/x')
        assert.equal(seen.attributes.headers, attributes.headers)
        assert.equal(seen.attributes.metadata, attributes.metadata)
        assert.instance(seen.modifiedAt, Date)
      }
    })
  }

  on('a range is exactly its bytes', async store => {
    const bytes = pattern(200_000)
    await put(store, 'k', bytes)
    for (const [first, last] of [
      [0, 0],
      [0, 199_999],
      [199_999, 199_999],
      [65_535, 65_536],
      [65_536, 131_071],
      [1, 199_998],
    ] as const) {
      const read = await store.get('b', 'k', { first, last })
      assert.ok(read && bytes.subarray(first, last + 1).equals(await collect(read.body)), `${first}-${last}`)
    }
  })

  on('what is wanted may be chosen by the record, in the one look', async store => {
    const bytes = pattern(300_000)
    await put(store, 'k', bytes)
    const wants: [Wanted, Buffer][] = [
      ['all', bytes],
      ['nothing', Buffer.alloc(0)],
      [{ first: 7, last: 299_999 }, bytes.subarray(7)],
    ]
    for (const [wanted, content] of wants) {
      let seen: ObjectRecord | null = null
      const read = await store.get('b', 'k', record => {
        seen = record
        return wanted
      })
      assert.ok(read && content.equals(await collect(read.body)))
      assert.equal(seen, read.record)
    }
    assert.is(await store.get('b', 'none', () => 'all'), null)
    const refused = new Error('not this one')
    const chosen = store.get('b', 'k', () => {
      throw refused
    })
    assert.is(await caught(chosen), refused)
    await put(store, 'k', 'free to be replaced')
    assert.is(await text(store, 'k'), 'free to be replaced')
  })

  on('what is not there is null, deleting it is false', async store => {
    assert.is(await store.head('b', 'k'), null)
    assert.is(await store.get('b', 'k'), null)
    assert.is(await store.delete('b', 'k'), false)
    await put(store, 'k', 'x')
    assert.is(await store.delete('b', 'k'), true)
    assert.is(await store.head('b', 'k'), null)
    assert.is(await store.delete('b', 'k'), false)
  })

  on('overwriting replaces bytes and attributes', async store => {
    await put(store, 'k', 'first one', { attributes: { ...plain, metadata: { a: '1' } } })
    await put(store, 'k', 'second')
    assert.is(await text(store, 'k'), 'second')
    assert.equal((await store.head('b', 'k'))?.attributes.metadata, {})
  })
}

/** Bodies and finishes that end early, late or not at all. */
export function brokenBodies(on: On): void {
  on('a body left early or unread harms nothing', async store => {
    const bytes = pattern(700_000)
    await put(store, 'k', bytes)
    const unread = await store.get('b', 'k')
    if (unread) await leaveBody(unread.body)
    const early = await store.get('b', 'k')
    for await (const _ of early?.body ?? []) break
    assert.is(await store.delete('b', 'k'), true)
  })

  on('a body that throws leaves nothing, and the old object stays; the error is rethrown as it is', async store => {
    await put(store, 'old', 'kept')
    const broken = new Error('the client went away')
    async function* failing() {
      yield Buffer.from('some bytes')
      throw broken
    }
    for (const key of ['new', 'old']) {
      assert.is(await caught(store.put('b', key, failing(), options('x'))), broken)
    }
    assert.is(await store.head('b', 'new'), null)
    assert.is(await text(store, 'old'), 'kept')
    assert.equal(await keysOf(store), ['old'])
  })

  on('a finish that throws leaves nothing; it is called once, after the last byte', async store => {
    const refused = new Error('digest differs')
    let seen = 0
    async function* counted() {
      for (const byte of ['a', 'b', 'c']) {
        seen++
        yield Buffer.from(byte)
      }
    }
    let calls = 0
    const finish = (): Finished => {
      calls++
      assert.is(seen, 3)
      throw refused
    }
    assert.is(await caught(store.put('b', 'k', counted(), { attributes: plain, finish })), refused)
    assert.is(calls, 1)
    assert.is(await store.head('b', 'k'), null)
  })

  for (const length of [0, 2, 4]) {
    on(`3 bytes where ${length} were announced are fault incomplete-body and leave nothing`, async store => {
      assert.is(await fault(put(store, 'k', 'abc', { length })), 'incomplete-body')
      assert.is(await store.head('b', 'k'), null)
    })
  }
}
