// timeout: 180s, test 120s
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { StoreLine } from '../../../../provision/hosted/stores/desk.ts'
import { ask, run, type Service, serve } from '../../../quickstart/commands.ts'
import { s3Client } from '../../../s3-client.ts'
import { pattern } from '../../../store/contract/bodies.ts'
import { type FarSide, KEYS, openFarSide } from '../../../store/remote/far-side.ts'

const test = suite('data stores by command, with real processes')
const root = mkdtempSync(join(tmpdir(), 'sealift-stores-'))
const state = join(root, 'provider')
const keys = join(root, 'keys.json')
let far: FarSide
let service: Service<{ roles: { name: string; address: string }[] }> | null = null
const provider = <T>(...args: string[]): Promise<T> => ask<T>('sealift-provider', ['--state', state, ...args])
const fails = (...args: string[]) => run('sealift-provider', ['--state', state, ...args])
const start = async () => {
  service = await serve('sealift-provider', ['--state', state, 'serve', '--listen', '127.0.0.1:0'])
  return service.ready.roles.find(each => each.name === 'hosted')?.address ?? ''
}
const addFar = ['--bucket', 'far', '--prefix', 'ours/', '--credentials-file', keys]
const counts = async () =>
  (await provider<{ stores: StoreLine[] }>('store', 'list')).stores.map(
    ({ name, blobs, arriving }) => `${name} ${blobs} ${arriving}`,
  )

test.before(async () => {
  far = await openFarSide()
  writeFileSync(keys, JSON.stringify(KEYS), { mode: 0o600 })
  await provider('init')
})
test.after(async () => {
  await service?.stop()
  await far.close()
  rmSync(root, { recursive: true, force: true })
})

test('a store is added, tried, used, moved to, drained and removed, with and without a running provider', async () => {
  // nobody runs: the command opens the store itself
  assert.equal(await counts(), ['files 0 0', 'inline 0 0'])
  await provider('store', 'add', 'away', '--s3', far.settings.url, ...addFar)
  const url = await start()
  assert.ok((await provider<{ ms: number }>('store', 'check', 'away')).ms >= 0)
  await provider('account', 'create', 'acme')
  const made = await provider<{ accessKey: string; secret: string }>('access-key', 'create', 'acme')
  const s3 = s3Client(url, { accessKey: made.accessKey, secretKey: made.secret })
  try {
    assert.is((await s3.send('PUT', '/film')).status, 200)
    const bytes = pattern(200_000)
    const put = async (key: string, body: Buffer) => assert.is((await s3.put('film', key, body)).status, 200)
    await put('before', bytes)
    await provider('bucket', 'set-store', 'film', 'away', '--inline', '1000')
    await put('after', bytes)
    await put('small', pattern(100))
    assert.equal(await counts(), ['files 1 0', 'inline 1 0', 'away 1 0'])
    assert.is((await provider<{ blobs: number }>('bucket', 'move-store', 'film')).blobs, 1)
    for (let turn = 0; turn < 100 && (await counts())[0] !== 'files 0 0'; turn++) await delay(100)
    assert.equal(await counts(), ['files 0 0', 'inline 1 0', 'away 2 0'])
    for (const key of ['before', 'after']) assert.ok(bytes.equals((await s3.get('film', key)).body))
    assert.is((await fails('store', 'remove', 'away')).code, 1)
    await provider('bucket', 'set-store', 'film', 'files')
    assert.is((await provider<{ blobs: number }>('store', 'drain', 'away', 'files')).blobs, 2)
    for (let turn = 0; turn < 100 && (await counts())[0] !== 'files 2 0'; turn++) await delay(100)
    for (const key of ['before', 'after']) assert.ok(bytes.equals((await s3.get('film', key)).body))
    assert.equal(await provider('store', 'sweep', 'away'), { name: 'away', removed: 0, uploadsEnded: 0 })
    await provider('store', 'remove', 'away')
    assert.equal([await counts(), await far.keys()], [['files 2 0', 'inline 1 0'], []])
    assert.is((await s3.get('film', 'small')).status, 200)
  } finally {
    s3.close()
  }
})

for (const [name, args, code, says] of [
  ['an address with a path', ['store', 'add', 'x', '--s3', 'https://h.example/path', ...addFar], 2, /want https/],
  ['plain HTTP to elsewhere', ['store', 'add', 'x', '--s3', 'http://h.example', ...addFar], 2, /loopback/],
  [
    'a name that is taken by design',
    ['store', 'add', 'inline', '--s3', 'http://127.0.0.1:1', ...addFar],
    2,
    /want a to z/,
  ],
  ['a store that there is not', ['bucket', 'set-store', 'film', 'nowhere'], 2, /no data store nowhere/],
  ['a bucket that there is not', ['bucket', 'set-store', 'nowhere', 'files'], 1, /no bucket nowhere/],
  ['too much for the database', ['bucket', 'set-store', 'film', 'files', '--inline', '2000000'], 2, /0 to 1048576/],
] as const)
  test(`${name} is refused by name`, async () => {
    const { code: found, stderr } = await fails(...args)
    assert.match(stderr, says)
    assert.is(found, code)
  })

test('the keys of a store are in no message and no file but their own', async () => {
  const secret = /a secret of elsewhere|not a key/
  writeFileSync(keys, '{"accessKey": "not a key')
  const broken = await fails('store', 'add', 'away', '--s3', far.settings.url, ...addFar)
  assert.is(broken.code, 2)
  assert.not.match(broken.stdout + broken.stderr, secret)
  writeFileSync(keys, JSON.stringify(KEYS))
  const added = await fails('store', 'add', 'away', '--s3', far.settings.url, ...addFar)
  assert.is(added.code, 0, added.stderr)
  assert.not.match(added.stdout + added.stderr, secret)
  const holders = readdirSync(state, { recursive: true, withFileTypes: true })
    .filter(each => each.isFile())
    .filter(each => readFileSync(join(each.parentPath, each.name)).includes(KEYS.secretKey))
    .map(each => each.name)
  assert.equal(holders, ['away.json'])
})

test.run()
