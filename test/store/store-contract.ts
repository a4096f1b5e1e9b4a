import { createHash } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { compareKeys } from '../../store/key.ts'
import {
  type Finished,
  hasMultipart,
  leaveBody,
  type ObjectAttributes,
  type ObjectRecord,
  type ObjectStore,
  type PutOptions,
  StoreError,
} from '../../store/object-store.ts'

/** One engine under the contract. `open` gives an empty store with bucket `b`; `close` frees all it made. */
export type StoreSubject = {
  name: string
  open(): Promise<ObjectStore>
  close(store: ObjectStore): Promise<void>
  /** buckets are given from outside: those of this suite's bucket verbs are not asked for */
  fixedBuckets?: true
}

const plain: ObjectAttributes = { headers: {}, metadata: {} }
const leastPart = 5 * 1024 * 1024

/** The suite every engine must pass; the caller runs it. */
export function storeContract(subject: StoreSubject) {
  const test = suite(`store contract: ${subject.name}`)
  const on = (title: string, run: (store: ObjectStore) => Promise<void>) =>
    test(title, async () => {
      const store = await subject.open()
      try {
        await run(store)
      } finally {
        await subject.close(store)
      }
    })

  if (!subject.fixedBuckets)
    on('buckets: made once, listed by name, headed, removed only when empty', async store => {
      assert.is(await store.headBucket('a'), null)
      await store.createBucket('a')
      await store.createBucket('c')
      assert.is(await fault(store.createBucket('a')), 'bucket-exists')
      assert.equal(
        (await store.listBuckets()).map(bucket => bucket.name),
        ['a', 'b', 'c'],
      )
      assert.is((await store.headBucket('a'))?.name, 'a')
      await put(store, 'k', 'x')
      assert.is(await fault(store.deleteBucket('b')), 'bucket-not-empty')
      await store.delete('b', 'k')
      await store.deleteBucket('b')
      assert.is(await fault(store.deleteBucket('b')), 'no-bucket')
      assert.equal(
        (await store.listBuckets()).map(bucket => bucket.name),
        ['a', 'c'],
      )
    })

  on('every verb on a missing bucket is fault no-bucket', async store => {
    assert.is(await fault(put(store, 'k', 'x', {}, 'none')), 'no-bucket')
    assert.is(await fault(store.head('none', 'k')), 'no-bucket')
    assert.is(await fault(store.get('none', 'k')), 'no-bucket')
    assert.is(await fault(store.delete('none', 'k')), 'no-bucket')
    assert.is(await fault(store.list('none', { prefix: '', limit: 10 })), 'no-bucket')
  })

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

  return test
}

function options(body: string | Buffer): PutOptions {
  return { attributes: plain, finish: () => ({ etag: md5(body) }) }
}

function part(body: string | Buffer) {
  return { finish: () => ({ etag: md5(body) }) }
}

function put(
  store: ObjectStore,
  key: string,
  body: string | Buffer,
  changed: Partial<PutOptions> = {},
  bucket = 'b',
): Promise<ObjectRecord> {
  return store.put(bucket, key, pieces(Buffer.from(body)), { ...options(body), ...changed })
}

async function* pieces(bytes: Buffer, size = 64 * 1024): AsyncIterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function* held(body: string, opened: Promise<void>): AsyncIterable<Uint8Array> {
  await opened
  yield Buffer.from(body)
}

function waiting(): { opened: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { opened: promise, open: resolve }
}

export async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function text(store: ObjectStore, key: string): Promise<string | undefined> {
  const read = await store.get('b', key)
  return read ? (await collect(read.body)).toString('utf8') : undefined
}

function keysOf(store: ObjectStore, limit = 1000): Promise<string[]> {
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

function pattern(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size)
  for (let at = 0; at < size; at++) bytes[at] = (at * 31 + (at >>> 8)) & 0xff
  return bytes
}

function md5(body: string | Buffer): string {
  return createHash('md5').update(body).digest('hex')
}

async function fault(call: Promise<unknown>): Promise<string | undefined> {
  const error = await caught(call)
  if (error === undefined || error instanceof StoreError) return error?.fault
  throw error
}

async function caught(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => undefined,
    error => error,
  )
}
