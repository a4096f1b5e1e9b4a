import * as assert from 'uvu/assert'
import { type Finished, hasMultipart } from '../../../store/object-store.ts'
import { collect, held, md5, pattern, pieces, waiting } from './bodies.ts'
import { caught, fault, type On, part, plain, put, text } from './calls.ts'

const leastPart = 5 * 1024 * 1024

/** Objects put together from parts; a store without multipart has nothing to prove. */
export function multipart(on: On): void {
  on('multipart: what an upload became is known by it, till something else lies under the key', async store => {
    if (!hasMultipart(store)) return
    const begin = () => store.createUpload('b', 'k', plain)
    const [upload, other] = [await begin(), await begin()]
    for (const { id } of [upload, other]) await store.putPart(id, 1, pieces(Buffer.from('x')), part('x'))
    const become = (id: typeof upload.id) =>
      store.completeUpload(id, [{ partNumber: 1, etag: md5('x') }], { finish: () => ({ etag: 'whole-1' }) })
    const completed = async (key: string, id = upload.id) => (await store.completed('b', key, id))?.etag ?? null
    assert.is(await completed('k'), null)
    await become(upload.id)
    assert.equal([await completed('k'), await completed('k', other.id), await completed('l')], ['whole-1', null, null])
    await become(other.id)
    assert.equal([await completed('k'), await completed('k', other.id)], [null, 'whole-1'])
    await store.delete('b', 'k')
    assert.is(await completed('k', other.id), null)
  })

  on('multipart: parts put in any order and replaced come back in number order', async store => {
    if (!hasMultipart(store)) return
    const upload = await store.createUpload(
      'b',
      'k',
      { ...plain, metadata: { m: '1' } },
      { name: 'CRC32', type: 'COMPOSITE' },
    )
    const [one, two, three] = [pattern(leastPart), pattern(leastPart + 1), pattern(100)]
    await store.putPart(upload.id, 3, pieces(three), part(three))
    await store.putPart(upload.id, 1, pieces(Buffer.from('replaced')), part('replaced'))
    await store.putPart(upload.id, 2, pieces(two, 1_000_000), part(two))
    await store.putPart(upload.id, 1, pieces(one, 1_000_000), part(one))
    await store.putPart(upload.id, 9, pieces(Buffer.from('not used')), part('not used'))
    const found = await store.listParts(upload.id, 0, 2)
    assert.equal(
      found.parts.map(item => [item.partNumber, item.size, item.etag]),
      [
        [1, one.length, md5(one)],
        [2, two.length, md5(two)],
      ],
    )
    assert.is(found.more, true)
    assert.equal(found.upload.checksum, { name: 'CRC32', type: 'COMPOSITE' })
    assert.equal(
      (await store.listParts(upload.id, 2, 2)).parts.map(item => item.partNumber),
      [3, 9],
    )
    assert.is(await store.head('b', 'k'), null)
    const parts = [one, two, three].map((bytes, at) => ({ partNumber: at + 1, etag: md5(bytes) }))
    let seen: number[] = []
    const record = await store.completeUpload(upload.id, parts, {
      finish: all => {
        seen = all.map(item => item.size)
        return { etag: 'whole-3' }
      },
    })
    assert.equal(seen, [one.length, two.length, three.length])
    assert.is(record.size, one.length + two.length + three.length)
    assert.is(record.parts, 3)
    assert.is(record.etag, 'whole-3')
    const whole = Buffer.concat([one, two, three])
    const read = await store.get('b', 'k')
    assert.ok(read && whole.equals(await collect(read.body)))
    assert.equal(read.record.attributes.metadata, { m: '1' })
    for (const [first, last] of [
      [leastPart - 1, leastPart],
      [leastPart, leastPart],
      [2 * leastPart, 2 * leastPart + 1],
      [0, whole.length - 1],
      [whole.length - 1, whole.length - 1],
    ] as const) {
      const range = await store.get('b', 'k', { first, last })
      assert.ok(range && whole.subarray(first, last + 1).equals(await collect(range.body)), `${first}-${last}`)
    }
    assert.is(await fault(store.listParts(upload.id, 0, 1)), 'no-upload')
    const again = await store.get('b', 'k')
    await store.delete('b', 'k')
    assert.ok(again && whole.equals(await collect(again.body)))
  })

  on(
    'multipart: missing part, wrong ETag, wrong order, small part, none at all are refused and change nothing',
    async store => {
      if (!hasMultipart(store)) return
      const { id } = await store.createUpload('b', 'k', plain)
      for (const number of [1, 2]) await store.putPart(id, number, pieces(Buffer.from('small')), part('small'))
      const etag = md5('small')
      const complete = (...numbers: number[]) =>
        fault(
          store.completeUpload(
            id,
            numbers.map(partNumber => ({ partNumber, etag })),
            { finish: () => ({ etag: 'x' }) },
          ),
        )
      assert.is(await complete(), 'invalid-part')
      assert.is(await complete(3), 'invalid-part')
      assert.is(await complete(2, 1), 'invalid-part')
      assert.is(await complete(1, 1), 'invalid-part')
      assert.is(await complete(1, 2), 'part-too-small')
      const wrong = [{ partNumber: 1, etag: md5('other') }]
      assert.is(await fault(store.completeUpload(id, wrong, { finish: () => ({ etag: 'x' }) })), 'invalid-part')
      assert.is(await store.head('b', 'k'), null)
      assert.is((await store.listParts(id, 0, 10)).parts.length, 2)
      assert.is(await complete(2), undefined)
      assert.is(await text(store, 'k'), 'small')
    },
  )

  on(
    'multipart: a part whose body or finish throws is not there; a finish that throws completes nothing',
    async store => {
      if (!hasMultipart(store)) return
      const { id } = await store.createUpload('b', 'k', plain)
      const broken = new Error('broken')
      const throws = (): Finished => {
        throw broken
      }
      assert.is(await caught(store.putPart(id, 1, pieces(Buffer.from('x')), { finish: throws })), broken)
      assert.is(
        await fault(store.putPart(id, 1, pieces(Buffer.from('x')), { ...part('x'), length: 2 })),
        'incomplete-body',
      )
      assert.equal((await store.listParts(id, 0, 10)).parts, [])
      await store.putPart(id, 1, pieces(Buffer.from('x')), part('x'))
      const parts = [{ partNumber: 1, etag: md5('x') }]
      assert.is(await caught(store.completeUpload(id, parts, { finish: throws })), broken)
      assert.is(await store.head('b', 'k'), null)
      await put(store, 'k', 'there')
      const options = { finish: () => ({ etag: 'y' }), condition: { absent: true } as const }
      assert.is(await fault(store.completeUpload(id, parts, options)), 'precondition-failed')
      assert.is(await text(store, 'k'), 'there')
      assert.is((await store.listParts(id, 0, 10)).parts.length, 1)
    },
  )

  on('multipart: an aborted upload is gone with its parts, also for a part under way', async store => {
    if (!hasMultipart(store)) return
    const { id } = await store.createUpload('b', 'k', plain)
    await store.putPart(id, 1, pieces(Buffer.from('x')), part('x'))
    const gate = waiting()
    const slow = store.putPart(id, 2, held('slow', gate.opened), part('slow'))
    await store.abortUpload(id)
    gate.open()
    assert.is(await fault(slow), 'no-upload')
    assert.is(await fault(store.abortUpload(id)), 'no-upload')
    assert.is(await fault(store.putPart(id, 1, pieces(Buffer.from('x')), part('x'))), 'no-upload')
    assert.is(
      await fault(store.completeUpload(id, [{ partNumber: 1, etag: md5('x') }], { finish: () => ({ etag: 'x' }) })),
      'no-upload',
    )
    assert.equal((await store.listUploads('b', { prefix: '', limit: 10 })).uploads, [])
  })
}
