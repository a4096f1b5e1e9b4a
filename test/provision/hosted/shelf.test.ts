import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { registrationOf } from '../../../provision/hosted/arrivals/registration.ts'
import type { RegisteredObject } from '../../../provision/hosted/arrivals/taken.ts'
import { boundStore } from '../../../provision/hosted/bound-store.ts'
import { openShelf, type Shelf } from '../../../provision/hosted/shelf.ts'
import { lockDirectory } from '../../../store/lock.ts'
import { HeldBody, leaveBody, StoreError } from '../../../store/object-store.ts'
import { SMALL_READ_BYTES } from '../../../store/range-file.ts'
import { pattern } from '../../store/contract/bodies.ts'
import { bytesOf, PLAIN, readAll } from '../../store/pack/device.ts'
import { openAuthority } from '../authority.ts'

const test = suite('the hosted store’s shelf')
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
const isBusy = (error: unknown) => error instanceof StoreError && error.fault === 'busy'
const blobs = () =>
  readdirSync(join(directory, 'hosted', 'blobs')).flatMap(name => readdirSync(join(directory, 'hosted', 'blobs', name)))
const put = (key: string, body: string | Buffer) =>
  mine().put('b', key, bytesOf(body), { attributes: PLAIN, finish: () => ({ etag: 'e' }) })

test.before.each(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sealift-shelf-'))
  await open()
  await mine().createBucket('b')
})
test.after.each(async () => {
  await shelf.close()
  await shelf.close()
  rmSync(directory, { recursive: true, force: true })
})

test('a directory is shared by those who open it as we do, and nobody has it for himself meanwhile', async () => {
  const second = await openShelf({ directory: join(directory, 'hosted'), clock: () => new Date() })
  assert.throws(() => lockDirectory(join(directory, 'hosted')), isBusy)
  await second.close()
  assert.throws(() => lockDirectory(join(directory, 'hosted')), isBusy)
  await shelf.close()
  const alone = lockDirectory(join(directory, 'hosted'))
  const fault = await openShelf({ directory: join(directory, 'hosted'), clock: () => new Date() }).catch(error => error)
  assert.ok(isBusy(fault))
  alone.close()
})

test('a second process removes nothing that the first one is at', async () => {
  const { id: blob } = await shelf.blobs.write(bytesOf('a body that no row names yet'))
  const second = await openShelf({ directory: join(directory, 'hosted'), clock: () => new Date() })
  assert.equal(readdirSync(join(directory, 'hosted', 'incoming')), [blob])
  await shelf.close()
  assert.is(await second.members.someGone(), false, 'one that left has nothing to clear away')
  await second.recover()
  assert.equal(readdirSync(join(directory, 'hosted', 'incoming')), [])
  await second.close()
})

test('an upload whose transaction was lost leaves nothing after the next open', async () => {
  await shelf.blobs.write(bytesOf('a body that no row names'))
  await shelf.close()
  await open()
  assert.equal(readdirSync(join(directory, 'hosted', 'incoming')), [])
  assert.equal(blobs(), [])
})

test('an upload that was committed and not moved yet is there after the next open', async () => {
  const keep = shelf.blobs.keep
  const stopped = new Error('killed')
  shelf.blobs.keep = async () => {
    throw stopped
  }
  assert.is(await put('k', 'kept').catch(error => error), stopped)
  shelf.blobs.keep = keep
  await shelf.close()
  await open()
  const read = await mine().get('b', 'k')
  assert.is(read && (await readAll(read.body)).toString('utf8'), 'kept')
  assert.equal(readdirSync(join(directory, 'hosted', 'incoming')), [])
  assert.is(blobs().length, 1)
})

test('a blob whose removal was lost is removed at the next open', async () => {
  await put('k', 'first')
  const remove = shelf.blobs.remove
  shelf.blobs.remove = async () => {
    throw new Error('killed')
  }
  await put('k', 'second')
  shelf.blobs.remove = remove
  assert.is(blobs().length, 2)
  await shelf.close()
  await open()
  assert.is(blobs().length, 1)
})

test('a small body is held whole when it is given out: its blob goes with its object', async () => {
  for (const size of [0, 1, SMALL_READ_BYTES - OVERHEAD - 1, SMALL_READ_BYTES - OVERHEAD]) {
    const bytes = pattern(size)
    await put('k', bytes)
    const one = await mine().get('b', 'k')
    const part = size > 1 ? await mine().get('b', 'k', { first: 1, last: size - 1 }) : null
    await mine().delete('b', 'k')
    assert.is(blobs().length, 0)
    assert.ok(one?.body instanceof HeldBody && bytes.equals(await readAll(one.body)), String(size))
    if (part) assert.ok(bytes.subarray(1).equals(await readAll(part.body)), String(size))
  }
})

test('a large body that is being read outlives its object, and goes with its last reader', async () => {
  const bytes = pattern(SMALL_READ_BYTES - OVERHEAD + 1)
  await put('k', bytes)
  const one = await mine().get('b', 'k')
  const two = await mine().get('b', 'k')
  await mine().delete('b', 'k')
  assert.is(blobs().length, 1)
  assert.ok(one && bytes.equals(await readAll(one.body)))
  assert.is(blobs().length, 1)
  if (two) await leaveBody(two.body)
  for (let turn = 0; turn < 50 && blobs().length > 0; turn++) await new Promise(resolve => setTimeout(resolve, 10))
  assert.is(blobs().length, 0)
})

test('a pack is copied, not moved; it stays while its intake runs, and goes when nothing refers to it', async () => {
  const registration = registrationOf(shelf)
  const drive = join(directory, 'pack')
  writeFileSync(drive, 'the bytes of a pack')
  assert.equal(await registration.adopt('job/pack', drive), { size: 19 })
  assert.equal(await registration.adopt('job/pack', drive), { size: 19 })
  assert.is(readFileSync(drive, 'utf8'), 'the bytes of a pack')
  await shelf.close()
  await open()
  const copy = await registrationOf(shelf).pathOf('job/pack')
  assert.is(readFileSync(copy ?? '', 'utf8'), 'the bytes of a pack')
  assert.is(blobs().length, 1)
  await registrationOf(shelf).settle(['job/pack'])
  assert.is(blobs().length, 0)
  assert.is(await registrationOf(shelf).pathOf('job/pack'), null)
})

test('batches are taken once and in order; a pack lives as long as one object in it', async () => {
  const registration = registrationOf(shelf)
  const drive = join(directory, 'pack')
  writeFileSync(drive, 'the bytes of a pack')
  await registration.adopt('job/pack', drive)
  const object = (key: string, objectId: string, sequence: number): RegisteredObject => ({
    ...{ objectId, pack: 'job/pack', offset: 0, length: 4, coreHeader: Buffer.alloc(0), envelope: Buffer.alloc(0) },
    ...{ bucket: 'b', key, size: sequence, etag: 'e', modifiedAt: 1, attributes: PLAIN, checksum: null },
    ...{ account: 'acme', job: 'j', acl: 'private', sequence, upload: null, parts: [] },
  })
  await registration.register('run', 1, 'j/d', [{ put: object('k', '1', 5) }, { put: object('l', '2', 6) }])
  await registration.register('run', 1, 'j/d', [{ put: object('m', '3', 7) }])
  assert.is(await mine().head('b', 'm'), null)
  // an older commit of the same device does not replace a newer one, and does not remove it
  await registration.register('run', 2, 'j/d', [
    { put: object('k', '4', 4) },
    { remove: { bucket: 'b', key: 'k', sequence: 4 } },
  ])
  assert.is((await mine().head('b', 'k'))?.size, 5)
  await registration.register('run', 3, 'j/d', [{ remove: { bucket: 'b', key: 'k', sequence: 8 } }])
  await registration.settle(['job/pack'])
  assert.is(blobs().length, 1)
  await mine().delete('b', 'l')
  assert.is(blobs().length, 0)
})

test('a bucket of another account is foreign to an order', async () => {
  const registration = registrationOf(shelf)
  assert.is(await registration.openBucket('b', 'acme'), 'ready')
  assert.is(await registration.openBucket('b', 'other'), 'foreign')
  assert.is(await registration.openBucket('new', 'other'), 'ready')
  assert.is(
    await mine()
      .createBucket('new')
      .catch(error => error.fault),
    'bucket-taken',
  )
})

test.run()
