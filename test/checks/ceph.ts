/**
 * `npm run check:ceph`: a hosted store whose bodies lie in a real Ceph (Debian's, through its S3 gateway), with real processes.
 * Exit 0: all as it must be; 1: not; 69: Ceph is missing and could not be installed.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { StoreLine } from '../../provision/hosted/stores/desk.ts'
import { ask, serve } from '../quickstart/commands.ts'
import { s3Client } from '../s3-client.ts'
import { pattern } from '../store/contract/bodies.ts'
import { openGateway } from './ceph/gateway.ts'
import { hasProgram, requirePackages } from './packages.ts'

const PROGRAMS = { 'ceph-mon': 'ceph-mon', 'ceph-osd': 'ceph-osd', radosgw: 'radosgw', ceph: 'ceph-common' }
requirePackages(Object.entries(PROGRAMS).flatMap(([program, name]) => (hasProgram(program) ? [] : [name])))

const PART_BYTES = 5 << 20
const scratch = mkdtempSync(join(tmpdir(), 'sealift-check-ceph-'))
const state = join(scratch, 'provider')
const provider = <T>(...args: string[]): Promise<T> => ask<T>('sealift-provider', ['--state', state, ...args])
let failed = 0
function line(what: string, good: boolean): void {
  if (!good) failed++
  console.log(`${what} … ${good ? 'ok' : 'FAILED'}`)
}

const version = spawnSync('radosgw', ['--version'], { encoding: 'utf8' }).stdout.trim()
console.log(`${version}, one monitor, one object daemon in memory`)
const gateway = await openGateway()
const there = s3Client(gateway.url, gateway.keys)
await provider('init')
const service = await serve<{ roles: { name: string; address: string }[] }>('sealift-provider', [
  ...['--state', state, 'serve', '--listen', '127.0.0.1:0'],
])
try {
  await there.send('PUT', '/lift')
  const keysFile = join(scratch, 'keys.json')
  writeFileSync(keysFile, JSON.stringify(gateway.keys), { mode: 0o600 })
  await provider(
    ...['store', 'add', 'ceph', '--s3', gateway.url, '--bucket', 'lift', '--prefix', 'provider-1/'],
    ...['--credentials-file', keysFile],
  )
  line('a store that is there is found so', (await provider<{ ms: number }>('store', 'check', 'ceph')).ms >= 0)

  await provider('account', 'create', 'acme')
  const made = await provider<{ accessKey: string; secret: string }>('access-key', 'create', 'acme')
  const address = service.ready.roles.find(each => each.name === 'hosted')?.address ?? ''
  const s3 = s3Client(address, { accessKey: made.accessKey, secretKey: made.secret })
  const reads = async (key: string, bytes: Buffer) => bytes.equals((await s3.get('film', key)).body)
  const puts = async (key: string, bytes: Uint8Array) => (await s3.put('film', key, bytes)).status === 200
  const lying = async (name: string): Promise<number> =>
    (await provider<{ stores: StoreLine[] }>('store', 'list')).stores.find(each => each.name === name)?.blobs ?? -1
  const within = async (seconds: number, so: () => Promise<boolean>): Promise<boolean> => {
    for (const until = Date.now() + seconds * 1000; Date.now() < until; await delay(200)) if (await so()) return true
    return false
  }

  await s3.send('PUT', '/film')
  const early = pattern(300_000)
  await puts('early', early)
  await provider('bucket', 'set-store', 'film', 'ceph')

  for (const size of [0, 1, 100_000, (8 << 20) - 1, (8 << 20) + 1, 40 << 20]) {
    const bytes = pattern(size)
    const good = (await puts(`of ${size}`, bytes)) && (await reads(`of ${size}`, bytes))
    line(`an object of ${size} bytes lies in Ceph and comes back`, good)
  }
  const middle = await s3.get('film', `of ${40 << 20}`, { range: 'bytes=20000000-20000009' })
  line(
    'so does a range',
    middle.status === 206 && middle.body.equals(pattern(40 << 20).subarray(20_000_000, 20_000_010)),
  )

  const keys = (await there.keys('lift')).filter(key => !key.endsWith('sealift-store'))
  line('under names that say nothing', keys.length === 6 && keys.every(key => /^provider-1\/[0-9a-f]{32}$/.test(key)))
  const clear = pattern(1000)
  const held = await Promise.all(keys.map(key => there.get('lift', key)))
  line(
    'and sealed',
    held.every(({ status, body }) => status === 200 && !body.includes(clear)),
  )

  const parts = [pattern(PART_BYTES), pattern(PART_BYTES).reverse(), pattern(1000)]
  const begun = String((await s3.send('POST', '/film/parts', { query: 'uploads=' })).body)
  const upload = /<UploadId>([^<]+)</.exec(begun)?.[1] ?? ''
  let listed = ''
  for (const [at, body] of parts.entries()) {
    const query = `partNumber=${at + 1}&uploadId=${upload}`
    const { headers } = await s3.send('PUT', '/film/parts', { query, body })
    listed += `<Part><PartNumber>${at + 1}</PartNumber><ETag>${headers.etag}</ETag></Part>`
  }
  const body = Buffer.from(`<CompleteMultipartUpload>${listed}</CompleteMultipartUpload>`)
  await s3.send('POST', '/film/parts', { query: `uploadId=${upload}`, body })
  line('an upload in parts', await reads('parts', Buffer.concat(parts)))
  await s3.send('PUT', '/film/copy', { headers: { 'x-amz-copy-source': '/film/parts' } })
  await s3.send('DELETE', '/film/parts')
  line('a copy outlives what it was made of', await reads('copy', Buffer.concat(parts)))

  await provider('bucket', 'move-store', 'film')
  line('what lay in files moves there', await within(60, async () => (await lying('files')) === 0))
  line('and is read from there', await reads('early', early))

  await gateway.kill()
  const away = await s3.get('film', 'early')
  line('while the gateway is dead a read is told to come back', away.status === 503)
  line('and so is a write, of which nothing is left', (await s3.put('film', 'late', 'late')).status === 503)
  line('what needs no bytes goes on', (await s3.send('DELETE', '/film/copy')).status === 204)
  await gateway.start()
  line('with it back all is as it was', (await reads('early', early)) && (await s3.get('film', 'late')).status === 404)
  line('what was deleted meanwhile goes', await within(90, async () => (await there.keys('lift')).length === 8))

  let written = false
  const writing = puts('cut', pattern(200 << 20)).finally(() => {
    written = true
  })
  await delay(1000)
  line('a large write is under way', !written)
  await gateway.kill()
  await delay(300)
  await gateway.start()
  const taken = await writing
  const whole = taken ? await reads('cut', pattern(200 << 20)) : (await s3.get('film', 'cut')).status === 404
  line(`over which the gateway dies, and it is ${taken ? 'whole' : 'refused, and nothing is there'}`, whole)
  await s3.send('DELETE', '/film/cut')

  await provider('bucket', 'set-store', 'film', 'files')
  await provider('store', 'drain', 'ceph', 'files')
  line('drained, all of it lies in files again', await within(90, async () => (await lying('ceph')) === 0))
  const all = await Promise.all([reads('early', early), reads(`of ${40 << 20}`, pattern(40 << 20))])
  line('and is read', all.every(Boolean))
  await provider('store', 'sweep', 'ceph')
  await provider('store', 'remove', 'ceph')
  line('a store that is removed leaves nothing', (await there.keys('lift')).length === 0)
  s3.close()
} finally {
  there.close()
  await service.stop()
  await gateway.close()
  rmSync(scratch, { recursive: true, force: true })
}
process.exitCode = failed === 0 ? 0 : 1
