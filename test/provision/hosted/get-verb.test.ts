import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KeyRelease } from '../../../format/release.ts'
import { boundStore } from '../../../provision/hosted/bound-store.ts'
import { getUnjudged } from '../../../provision/hosted/objects/get-verb.ts'
import { openShelf, type Shelf } from '../../../provision/hosted/shelf.ts'
import { StoreError, type Wanted } from '../../../store/object-store.ts'
import { bytesOf, PLAIN, readAll } from '../../store/pack/device.ts'
import { openAuthority } from '../authority.ts'

const test = suite('reads on a proof that nobody has judged')
const authority = openAuthority()
const owner = authority.callerOf('acme')
const stranger = authority.callerOf('other')
let directory: string
let shelf: Shelf

test.before.each(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sealift-get-'))
  shelf = await openShelf({ directory, clock: () => new Date() })
  const store = boundStore(shelf, authority, owner)
  await store.createBucket('b')
  await store.put('b', 'k', bytesOf('secret'), { attributes: PLAIN, finish: () => ({ etag: 'e' }) })
  authority.calls.length = 0
  authority.authentications = 0
})
test.after.each(async () => {
  await shelf.close()
  rmSync(directory, { recursive: true, force: true })
})

type Caller = typeof owner
const get = (by: Caller, likely: Caller, key = 'k', wanted?: Wanted, release: KeyRelease = authority) =>
  getUnjudged(shelf, release, { proof: by.proof, likely: likely.principal })('b', key, wanted)
const faultOf = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.catch((cause: unknown) => cause)
  return error instanceof StoreError ? error.fault : `not ours: ${String(error)}`
}
const asked = () => [authority.authentications, ...authority.calls]

test('a read that is guessed right asks the authority once', async () => {
  const read = await get(owner, owner)
  assert.is(read && (await readAll(read.body)).toString('utf8'), 'secret')
  assert.equal(asked(), [0, 'release'])
})

test('what needs no key, and what is not there, asks who it is and for no key', async () => {
  const read = await get(owner, owner, 'k', 'nothing')
  assert.is(read && (await readAll(read.body)).length, 0)
  assert.is(await get(owner, owner, 'none'), null)
  assert.equal(asked(), [2])
})

test('a guess that would not be given the data is not taken at its word: the authority is asked who it is', async () => {
  const read = await get(owner, stranger)
  assert.is(read && (await readAll(read.body)).toString('utf8'), 'secret')
  assert.equal(asked(), [1, 'release'])
})

test('a stranger who is guessed to be one is refused, and no key is asked for; a missing object is no different', async () => {
  assert.is(await faultOf(get(stranger, stranger)), 'forbidden')
  assert.is(await faultOf(get(stranger, stranger, 'none')), 'forbidden')
  assert.equal(asked(), [2])
})

test('a stranger who is guessed to be the owner is refused by the authority', async () => {
  assert.is(await faultOf(get(stranger, owner)), 'forbidden')
  assert.equal(asked(), [0, 'release'])
})

test('where the authority gives a key to somebody else than was guessed, the store judges them: no, and the key is wiped', async () => {
  const given: Buffer[] = []
  const release: KeyRelease = {
    ...authority,
    async release(request) {
      const { keys } = await authority.release({ ...request, proof: owner.proof })
      given.push(...keys)
      return { principal: stranger.principal, keys }
    },
  }
  assert.is(await faultOf(get(stranger, owner, 'k', 'all', release)), 'forbidden')
  assert.equal(given, [Buffer.alloc(32)])
})

test('a choice that throws, and a refusal, let the blob go', async () => {
  const refused = new Error('not this one')
  const choose = () => {
    throw refused
  }
  const read = getUnjudged(shelf, authority, { proof: owner.proof, likely: owner.principal })
  assert.is(await read('b', 'k', choose).catch((error: unknown) => error), refused)
  await faultOf(get(stranger, owner))
  await faultOf(get(stranger, stranger))
  const store = boundStore(shelf, authority, owner)
  assert.is(await store.delete('b', 'k'), true)
  const rows = await shelf.database.selectFrom('blobs').select('id').execute()
  assert.equal(rows, [])
})

test.run()
