import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { boundStore } from '../../../../provision/hosted/bound-store.ts'
import { openShelf, type Shelf } from '../../../../provision/hosted/shelf.ts'
import { place } from '../../../../provision/hosted/stores/placement.ts'
import { pattern } from '../../../store/contract/bodies.ts'
import { bytesOf, PLAIN, readAll } from '../../../store/pack/device.ts'
import { openAuthority } from '../../authority.ts'

const test = suite('small bodies in the database')
let directory: string
let shelf: Shelf
const authority = openAuthority()
const caller = authority.callerOf('acme')
const mine = () => boundStore(shelf, authority, caller)
const open = async () => {
  shelf = await openShelf({ directory: join(directory, 'hosted'), clock: () => new Date() })
}
/** core header, and what a single segment adds to its plaintext */
const OVERHEAD = 102 + 32
const BOUND = 1000
const files = () =>
  readdirSync(join(directory, 'hosted'), { recursive: true }).filter(name => /[0-9a-f]{32}$/.test(String(name))).length
const rows = async () => (await shelf.database.selectFrom('inline_blobs').select('id').execute()).length
const blobs = async () => (await shelf.database.selectFrom('blobs').select('id').execute()).length
const put = (key: string, body: string | Buffer, bucket = 'b') =>
  mine().put(bucket, key, bytesOf(body), { attributes: PLAIN, finish: () => ({ etag: 'e' }) })
const get = async (key: string, range?: { first: number; last: number }) => {
  const read = await mine().get('b', key, range)
  assert.ok(read)
  return readAll(read.body)
}
const bound = (bucket: string, inlineMax: number) =>
  shelf.database.transaction().execute(change => place(change, bucket, { store: 'files', inlineMax }))

test.before.each(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sealift-inline-'))
  await open()
  for (const bucket of ['b', 'plain']) await mine().createBucket(bucket)
  await bound('b', BOUND)
})
test.after.each(async () => {
  await shelf.close()
  rmSync(directory, { recursive: true, force: true })
})

for (const [size, inside] of [
  [0, true],
  [1, true],
  [BOUND - OVERHEAD - 1, true],
  [BOUND - OVERHEAD, true],
  [BOUND - OVERHEAD + 1, false],
  [1 << 20, false],
] as const)
  test(`a body of ${size} bytes lies ${inside ? 'in the database' : 'in a file'}, is read whole and in part, and goes`, async () => {
    const bytes = pattern(size)
    await put('k', bytes)
    assert.equal([await rows(), files()], inside ? [1, 0] : [0, 1])
    await shelf.close()
    await open()
    assert.ok(bytes.equals(await get('k')))
    if (size > 2) assert.ok(bytes.subarray(1, size - 1).equals(await get('k', { first: 1, last: size - 2 })))
    await mine().delete('b', 'k')
    assert.equal([await rows(), files(), await blobs()], [0, 0, 0])
  })

test('a bucket whose bound was changed keeps what it has where it is', async () => {
  await put('k', 'inside')
  await bound('b', 0)
  await put('l', 'outside')
  assert.equal([await rows(), files()], [1, 1])
  assert.is(String(await get('k')) + String(await get('l')), 'insideoutside')
})

test('a bucket of the same name begins anew', async () => {
  await mine().deleteBucket('b')
  await mine().createBucket('b')
  await put('k', 'a file again')
  assert.equal([await rows(), files()], [0, 1])
})

test('a copy shares the body, and outlives what it was copied from', async () => {
  await put('k', 'shared')
  const { etag } = (await mine().head('b', 'k')) ?? { etag: '' }
  await mine().copy({ bucket: 'b', key: 'k' }, { bucket: 'plain', key: 'copy' }, { sourceEtag: etag })
  assert.equal([await rows(), files()], [1, 0])
  await mine().delete('b', 'k')
  const read = await mine().get('plain', 'copy')
  assert.is(String(read && (await readAll(read.body))), 'shared')
  await mine().delete('plain', 'copy')
  assert.equal([await rows(), await blobs()], [0, 0])
})

test('parts of one object lie where each fits, and are read as one', async () => {
  await bound('b', 1 << 20)
  const { id } = await mine().createUpload('b', 'k', PLAIN)
  const bodies = [pattern(5 << 20), pattern(700)]
  const finish = () => ({ etag: 'e' })
  for (const [at, body] of bodies.entries()) await mine().putPart(id, at + 1, bytesOf(body), { finish })
  await mine().completeUpload(
    id,
    bodies.map((_, at) => ({ partNumber: at + 1, etag: 'e' })),
    { finish },
  )
  assert.equal([await rows(), files()], [1, 1])
  const whole = Buffer.concat(bodies)
  assert.ok(whole.equals(await get('k')))
  const range = { first: (5 << 20) - 3, last: (5 << 20) + 3 }
  assert.ok(whole.subarray(range.first, range.last + 1).equals(await get('k', range)))
  await mine().delete('b', 'k')
  assert.equal([await rows(), files(), await blobs()], [0, 0, 0])
})

test('what is being read outlives its object', async () => {
  const { id } = await mine().createUpload('b', 'k', PLAIN)
  const finish = () => ({ etag: 'e' })
  await mine().putPart(id, 1, bytesOf('a part'), { finish })
  await mine().completeUpload(id, [{ partNumber: 1, etag: 'e' }], { finish })
  const read = await mine().get('b', 'k')
  await mine().delete('b', 'k')
  assert.is(await rows(), 1)
  assert.is(String(read && (await readAll(read.body))), 'a part')
  for (let turn = 0; turn < 50 && (await rows()) > 0; turn++) await new Promise(resolve => setTimeout(resolve, 10))
  assert.equal([await rows(), await blobs()], [0, 0])
})

test('a refused upload leaves nothing', async () => {
  const finish = () => {
    throw new RangeError('no')
  }
  const refused = mine().put('b', 'k', bytesOf('text'), { attributes: PLAIN, finish })
  assert.is(await refused.catch(error => error.message), 'no')
  assert.equal([await rows(), files(), await blobs()], [0, 0, 0])
})

test('what was dead when the process ended is removed at the next open', async () => {
  await put('k', 'first')
  shelf.blobs.remove = async () => {
    throw new Error('killed')
  }
  await mine().delete('b', 'k')
  assert.is(await rows(), 1)
  await shelf.close()
  await open()
  assert.equal([await rows(), await blobs()], [0, 0])
})

test.run()
