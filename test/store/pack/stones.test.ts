import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openMemoryIndex } from '../../../store/memory-index.ts'
import { tombstoneChanges } from '../../../store/pack/changes.ts'

const test = suite('tombstones')

// packs are read again in the order of their ids: a name put and deleted often has its tombstones in several of them
test('read again in any order, the newest tombstone of a name is the one that counts', () => {
  const stone = { bucket: 'b', key: 'k', objectIds: [] }
  for (const order of [
    [3, 5],
    [5, 3],
  ]) {
    const index = openMemoryIndex()
    for (const sequence of order) index.write(tombstoneChanges(index, sequence, stone))
    assert.is(index.get('stone', Buffer.from('b/k'))?.toString(), '5')
  }
})

test.run()
