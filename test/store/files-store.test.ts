import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { openFilesStore } from '../../store/files-store.ts'
import { type ObjectStore, StoreError } from '../../store/object-store.ts'
import { collect } from './contract/bodies.ts'
import { storeContract } from './store-contract.ts'

const root = mkdtempSync(join(tmpdir(), 'sealift-files-'))
const clock = () => new Date()
const places = new Map<ObjectStore, string>()
const attributes = { headers: {}, metadata: {} }
const finish = () => ({ etag: 'e' })

async function* body(text: string) {
  yield Buffer.from(text)
}

const test = storeContract({
  name: 'files',
  async open() {
    const directory = mkdtempSync(join(root, 's-'))
    const store = await openFilesStore({ directory, clock })
    places.set(store, directory)
    await store.createBucket('b')
    return store
  },
  async close(store) {
    await store.close()
    await store.close()
    const directory = places.get(store) ?? ''
    assert.equal(readdirSync(join(directory, 'incoming')), [], 'nothing is left in incoming')
    rmSync(directory, { recursive: true })
  },
})

test('what was stored is there after closing and opening, with an encrypted index too', async () => {
  for (const indexKey of [undefined, Buffer.alloc(32, 1)]) {
    const directory = mkdtempSync(join(root, 'r-'))
    const options = { directory, clock, ...(indexKey && { indexKey }) }
    const first = await openFilesStore(options)
    await first.createBucket('b')
    await first.put('b', 'k', body('hello'), { attributes, finish })
    await first.close()
    const second = await openFilesStore(options)
    const read = await second.get('b', 'k')
    assert.ok(read)
    assert.is((await collect(read.body)).toString(), 'hello')
    await second.close()
    const image = Buffer.concat(
      readdirSync(directory)
        .filter(name => name.startsWith('index'))
        .map(name => readFileSync(join(directory, name))),
    )
    assert.is(image.includes('"etag"'), indexKey === undefined)
  }
})

test('what a crash left in incoming is removed at open when nobody refers to it, kept when the index does', async () => {
  const directory = mkdtempSync(join(root, 'c-'))
  const first = await openFilesStore({ directory, clock })
  await first.createBucket('b')
  await first.put('b', 'k', body('hello'), { attributes, finish })
  await first.close()
  // the state between the index write and the move
  const shelf = readdirSync(join(directory, 'blobs'))[0] ?? ''
  const blob = readdirSync(join(directory, 'blobs', shelf))[0] ?? ''
  writeFileSync(join(directory, 'incoming', blob), readFileSync(join(directory, 'blobs', shelf, blob)))
  rmSync(join(directory, 'blobs', shelf, blob))
  writeFileSync(join(directory, 'incoming', 'f'.repeat(32)), 'nobody knows me')
  const second = await openFilesStore({ directory, clock })
  assert.equal(readdirSync(join(directory, 'incoming')), [])
  const read = await second.get('b', 'k')
  assert.ok(read)
  assert.is((await collect(read.body)).toString(), 'hello')
  await second.close()
})

test('killed in the middle of writing, every acknowledged object is whole at the next open', async () => {
  const directory = mkdtempSync(join(root, 'k-'))
  const module = JSON.stringify(new URL('../../store/files-store.ts', import.meta.url).href)
  const script = `
    import { openFilesStore } from ${module}
    const store = await openFilesStore({ directory: ${JSON.stringify(directory)}, clock: () => new Date() })
    await store.createBucket('b')
    const options = { attributes: { headers: {}, metadata: {} }, finish: () => ({ etag: 'e' }) }
    const write = async lane => {
      for (let at = 0; ; at++) {
        const key = lane + '/' + at
        await store.put('b', key, (async function* () { yield Buffer.from(key.repeat(1000)) })(), options)
        console.log(key)
      }
    }
    await Promise.all(['x', 'y', 'z'].map(write))`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  let told = ''
  child.stdout.on('data', chunk => {
    told += chunk
    if (told.split('\n').length > 40) child.kill('SIGKILL')
  })
  await once(child, 'close')
  const acknowledged = told.split('\n').slice(0, -1)
  assert.ok(acknowledged.length >= 40)
  const store = await openFilesStore({ directory, clock })
  for (const key of acknowledged) {
    const read = await store.get('b', key)
    assert.is(read && (await collect(read.body)).toString(), key.repeat(1000))
  }
  assert.equal(readdirSync(join(directory, 'incoming')), [])
  const { objects } = await store.list('b', { prefix: '', limit: 1000 })
  assert.is(blobCount(directory), objects.length, 'no body is left that nobody refers to')
  await store.close()
})

test('deleted and overwritten bodies leave the disk', async () => {
  const directory = mkdtempSync(join(root, 'd-'))
  const store = await openFilesStore({ directory, clock })
  await store.createBucket('b')
  for (const text of ['one', 'two', 'three']) await store.put('b', 'k', body(text), { attributes, finish })
  assert.is(blobCount(directory), 1)
  const read = await store.get('b', 'k')
  await store.delete('b', 'k')
  assert.is(blobCount(directory), 1, 'a reader still holds it')
  assert.is((await collect(read?.body ?? body(''))).toString(), 'three')
  await new Promise(resolve => setTimeout(resolve, 50))
  assert.is(blobCount(directory), 0)
  await store.close()
})

test('a second store on the same directory is refused with the holder named', async () => {
  const directory = mkdtempSync(join(root, 'l-'))
  const store = await openFilesStore({ directory, clock })
  try {
    await openFilesStore({ directory, clock })
    assert.unreachable()
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    assert.is(error.fault, 'busy')
    assert.match(error.message, String(process.pid))
  }
  await store.close()
  await (await openFilesStore({ directory, clock })).close()
})

test.after(() => rmSync(root, { recursive: true, force: true }))

function blobCount(directory: string): number {
  const blobs = join(directory, 'blobs')
  return readdirSync(blobs).reduce((sum, shelf) => sum + readdirSync(join(blobs, shelf)).length, 0)
}

test.run()
