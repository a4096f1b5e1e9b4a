import * as assert from 'uvu/assert'
import { compareKeys } from '../../../store/key.ts'
import { collect, held, md5, pattern, waiting } from './bodies.ts'
import { fault, type On, options, put, text } from './calls.ts'
import { keysOf } from './listings.ts'

/** Several at one key: reads beside writes, and writes of which one wins. */
export function concurrentCalls(on: On): void {
  on('a read begun before an overwrite or delete stays the old object', async store => {
    const bytes = pattern(700_000)
    await put(store, 'k', bytes)
    await put(store, 'l', bytes)
    const [one, two] = [await store.get('b', 'k'), await store.get('b', 'l')]
    await put(store, 'k', 'new')
    await store.delete('b', 'l')
    assert.ok(one && bytes.equals(await collect(one.body)))
    assert.ok(two && bytes.equals(await collect(two.body)))
    assert.is(await text(store, 'k'), 'new')
    assert.is(await store.head('b', 'l'), null)
  })

  on('put if absent and put if match are decided at the commit', async store => {
    assert.is(await fault(put(store, 'k', 'a', { condition: { etag: md5('a') } })), 'precondition-failed')
    await put(store, 'k', 'a', { condition: { absent: true } })
    assert.is(await fault(put(store, 'k', 'b', { condition: { absent: true } })), 'precondition-failed')
    assert.is(await fault(put(store, 'k', 'b', { condition: { etag: md5('z') } })), 'precondition-failed')
    await put(store, 'k', 'b', { condition: { etag: md5('a') } })
    assert.is(await text(store, 'k'), 'b')
    const gate = waiting()
    const slow = store.put('b', 'n', held('slow', gate.opened), { ...options('slow'), condition: { absent: true } })
    await put(store, 'n', 'fast')
    gate.open()
    assert.is(await fault(slow), 'precondition-failed')
    assert.is(await text(store, 'n'), 'fast')
  })

  on('of many at once on one absent key exactly one wins', async store => {
    const tries = Array.from({ length: 12 }, (_, at) =>
      put(store, 'k', `body ${at}`, { condition: { absent: true } }).then(
        () => at,
        () => -1,
      ),
    )
    const winners = (await Promise.all(tries)).filter(at => at >= 0)
    assert.is(winners.length, 1)
    assert.is(await text(store, 'k'), `body ${winners[0]}`)
  })

  on('readers during overwrites see one whole version', async store => {
    const versions = ['a', 'b'].map(letter => Buffer.alloc(150_000, letter))
    await put(store, 'k', versions[0] ?? '')
    const writing = (async () => {
      for (let at = 0; at < 10; at++) await put(store, 'k', versions[at % 2] ?? '')
    })()
    for (let at = 0; at < 20; at++) {
      const read = await store.get('b', 'k')
      assert.ok(read)
      const bytes = await collect(read.body)
      assert.ok(versions.some(version => version.equals(bytes)))
      assert.is(read.record.etag, md5(bytes))
    }
    await writing
  })

  on('many objects at once are all there', async store => {
    const names = Array.from({ length: 60 }, (_, at) => `n/${at}`)
    await Promise.all(names.map(name => put(store, name, name)))
    assert.equal(await keysOf(store), names.toSorted(compareKeys))
    for (const name of names) assert.is(await text(store, name), name)
  })
}
