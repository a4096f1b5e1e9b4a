import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { EpochId, ObjectId, PackId } from '../../../format/bytes.ts'
import { COMPOSITE, OBJECT, PART } from '../../../format/envelope.ts'
import type { Index } from '../../../store/index-store.ts'
import { openMemoryIndex } from '../../../store/memory-index.ts'
import { commitChanges, tombstoneChanges } from '../../../store/pack/changes.ts'
import { decodeRow, encodeObject, type ObjectRow } from '../../../store/pack/rows.ts'

const test = suite('index changes')
const TABLES = [
  ...['object', 'stone', 'stones', 'body', 'buried', 'part', 'upload', 'upload-name', 'closed'],
  ...['epoch', 'pack', 'leaves', 'total'],
]

type Step = (index: Index) => void

const id = (at: number): ObjectId => at.toString(16).padStart(32, '0') as ObjectId
const place = { pack: id(1) as string as PackId, commitOffset: 10, commitBytes: 20, bodyOffset: 5 }
const commit =
  (kind: typeof OBJECT | typeof PART | typeof COMPOSITE, sequence: number, part?: { upload: string; number: number }) =>
  (index: Index): void => {
    const object = {
      kind,
      objectId: id(sequence),
      kekId: id(2) as string as EpochId,
      plaintextLength: 100 * sequence,
      bodyLength: 200,
      digest: { id: 2 as const, bytes: Buffer.alloc(32, sequence) },
      parts: 0,
    }
    const metadata = { bucket: 'b', key: 'k', modifiedAt: 7, etag: `e${sequence}`, headers: {}, user: {} }
    index.write(commitChanges(index, place, sequence, object, { ...metadata, ...(part && { part }) }))
  }
const bury =
  (sequence: number, key: string, objects: number[]) =>
  (index: Index): void =>
    index.write(tombstoneChanges(index, sequence, { bucket: 'b', key, objectIds: objects.map(id) }))

function rowsAfter(steps: Step[]): string[] {
  const index = openMemoryIndex()
  for (const step of steps) step(index)
  return TABLES.flatMap(table =>
    index
      .scan(table, { prefix: Buffer.alloc(0), limit: 1000 })
      .map(({ key, value }) => `${table} ${key.toString('latin1')} ${value.toString('latin1')}`)
      // no total is a total of nothing
      .filter(row => row !== 'total \0 {"objects":0,"bytes":0}'),
  )
}

function* ordersOf<T>(items: T[]): Generator<T[]> {
  if (items.length === 0) yield []
  for (const [at, item] of items.entries())
    for (const rest of ordersOf([...items.slice(0, at), ...items.slice(at + 1)])) yield [item, ...rest]
}

const part = (sequence: number, number: number): Step => commit(PART, sequence, { upload: 'u', number })
for (const [what, steps] of [
  ['versions of a name', [commit(OBJECT, 1), commit(OBJECT, 2), bury(3, 'k', []), commit(OBJECT, 4)]],
  ['a name that was taken back at last', [commit(OBJECT, 1), bury(2, 'k', []), commit(OBJECT, 3), bury(4, 'k', [])]],
  ['parts of an upload, one sent twice, taken back', [part(1, 1), part(2, 1), part(3, 2), bury(4, '', [2, 3])]],
  [
    'parts of an upload that was completed',
    [part(1, 1), part(2, 1), part(3, 2), commit(COMPOSITE, 4, { upload: 'u', number: 0 })],
  ],
] as const) {
  test(`${what}: rows are the same whatever the order in which packs are read, and read twice`, () => {
    const wanted = rowsAfter([...steps])
    assert.ok(wanted.length > 0)
    assert.equal(rowsAfter([...steps, ...steps]), wanted)
    for (const order of ordersOf([...steps])) assert.equal(rowsAfter(order), wanted)
  })
}

test('an object’s row is read as it was written, whatever it holds', () => {
  const row: ObjectRow = {
    place,
    objectId: id(3),
    epoch: id(2) as string as EpochId,
    sequence: 9,
    size: 0,
    etag: 'e',
    at: 7,
    attributes: { headers: {}, metadata: {} },
  }
  const checksum = { name: 'SHA256', value: 'x', type: 'FULL_OBJECT' } as const
  for (const attributes of [
    row.attributes,
    { headers: { expires: 'x' }, metadata: {} },
    { headers: {}, metadata: { a: 'b' } },
    { headers: {}, metadata: {}, contentType: 't/x' },
    { headers: {}, metadata: {}, link: '../x' },
  ])
    for (const more of [{}, { checksum }, { parts: 1 }, { checksum, parts: 10_000 }]) {
      const written = { ...row, attributes, ...more }
      assert.equal(decodeRow<ObjectRow>(encodeObject(written)), written)
    }
})

test.run()
