import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { payloadDigest, signRequest } from '../../../access/sign.ts'
import { ask, type Service, serve } from '../../quickstart/commands.ts'

type Ready = { roles: { name: string; address: string }[] }
type Answer = { status: number; headers: Record<string, string | string[] | undefined>; body: Buffer }

const test = suite('a store that is killed')
const state = mkdtempSync(join(tmpdir(), 'sealift-resumable-'))
const provider = (...args: string[]) => ['--state', state, ...args]
let service: Service<Ready>
test.before(async () => {
  await ask('sealift-provider', provider('init'))
  service = await start()
})
test.after(async () => {
  await service.stop()
  rmSync(state, { recursive: true, force: true })
})

function start(): Promise<Service<Ready>> {
  return serve<Ready>('sealift-provider', provider('serve', '--listen', '127.0.0.1:0'))
}

function origin(): string {
  const address = service.ready.roles.find(role => role.name === 'hosted')?.address
  if (address === undefined) throw new Error('the provider serves no hosted store')
  return address
}

/** @param until - cuts the connection once so many bytes are sent and it says so */
async function send(
  line: string,
  headers: Record<string, string>,
  body = Buffer.alloc(0),
  until?: () => Promise<void>,
): Promise<Answer> {
  const [method = '', path = ''] = line.split(' ')
  const sent = request(`${origin()}${path}`, { method, headers: { ...headers, 'content-length': body.length } })
  if (until === undefined) sent.end(body)
  else {
    sent.on('error', () => undefined)
    sent.write(body.subarray(0, body.length - 1))
    await until()
    return { status: 0, headers: {}, body }
  }
  const [response] = await once(sent, 'response')
  const pieces: Buffer[] = []
  for await (const piece of response) pieces.push(piece)
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(pieces) }
}

test('what was acknowledged is there after kill -9, and the rest is sent after it', async () => {
  await ask('sealift-provider', provider('account', 'create', 'owner'))
  const { accessKey, secret } = await ask<{ accessKey: string; secret: string }>(
    'sealift-provider',
    provider('access-key', 'create', 'owner'),
  )
  const signed = (method: string, path: string, more: Record<string, string> = {}) => {
    const headers = Object.entries({ host: new URL(origin()).host, ...more })
    const head = { method, rawPath: path, rawQuery: '', headers }
    const options = { region: 'r', time: new Date(), payload: payloadDigest(Buffer.alloc(0)) }
    return Object.fromEntries(signRequest(head, { accessKey, secretKey: secret }, options).headers)
  }
  assert.is((await send('PUT /lift', signed('PUT', '/lift'))).status, 200)
  const begun = await send('POST /lift/k', signed('POST', '/lift/k', { 'x-goog-resumable': 'start' }))
  assert.is(begun.status, 201)
  const { pathname, search } = new URL(String(begun.headers.location))
  const address = `${pathname}${search}`
  const whole = randomBytes(9 << 20)
  const where = async () => (await send(`PUT ${address}`, { 'content-range': `bytes */${whole.length}` })).headers.range
  const first = 1 << 20
  const range = (from: number, to: number) => ({ 'content-range': `bytes ${from}-${to - 1}/${whole.length}` })
  const told = await send(`PUT ${address}`, range(0, first), whole.subarray(0, first))
  assert.equal([told.status, told.headers.range], [308, `bytes=0-${first - 1}`])
  // in the middle of the next bytes
  await send(`PUT ${address}`, range(first, whole.length), whole.subarray(first), async () => {
    await delay(300)
    service.process.kill('SIGKILL')
    await once(service.process, 'close')
  })
  service = await start()
  const kept = Number(/^bytes=0-(\d+)$/.exec(String(await where()))?.[1]) + 1
  assert.ok(kept >= first, `${kept} bytes are there`)
  const end = await send(`PUT ${address}`, range(kept, whole.length), whole.subarray(kept))
  const digest = `"${createHash('md5').update(whole).digest('hex')}"`
  assert.equal([end.status, end.headers.etag], [200, digest])
  const got = await send('GET /lift/k', signed('GET', '/lift/k'))
  assert.ok(got.body.equals(whole))
})

test.run()
