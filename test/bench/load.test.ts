import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openConnection } from '../../bench/connection.ts'
import { load } from '../../bench/load.ts'
import { type LoadOrder, requestHead } from '../../bench/requests.ts'

const test = suite('load')
const seen: { url: string; bytes: number; signed: boolean }[] = []
const server = createServer(async (request, response) => {
  let bytes = 0
  for await (const chunk of request) bytes += chunk.length
  seen.push({ url: request.url ?? '', bytes, signed: request.headers.authorization !== undefined })
  if (request.url?.endsWith('refused')) response.writeHead(503, { 'content-length': 2 }).end('no')
  else if (request.method === 'PUT') response.writeHead(201, { 'content-length': 0 }).end()
  else response.writeHead(200, { 'content-length': 70_000 }).end(Buffer.alloc(70_000, 1))
})
let order: LoadOrder

test.before(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const credentials = { accessKey: 'AKIDEXAMPLE', secretKey: 'secret' }
  const keys = Array.from({ length: 10 }, (_, at) => `k${at}`)
  order = { port, bucket: 'b', credentials, method: 'PUT', connections: 3, keys, bodyBytes: 4096, mostSeconds: 60 }
})
test.after(async () => {
  server.close()
  server.closeAllConnections()
  await once(server, 'close')
})
test.before.each(() => void seen.splice(0))

test('every key is put once, with its whole body, signed, after the go', async () => {
  const result = await load(order, async () => assert.is(seen.length, 0))
  assert.is(result.answered, 10)
  assert.equal(
    seen.map(each => each.url).sort(),
    order.keys.map(key => `/b/${key}`),
  )
  assert.ok(seen.every(each => each.bytes === 4096 && each.signed))
})

test('a body larger than what is held is sent whole', async () => {
  await load({ ...order, keys: ['large'], bodyBytes: (5 << 20) + 3 }, async () => undefined)
  assert.is(seen[0]?.bytes, (5 << 20) + 3)
})

test('bytes that come back are counted', async () => {
  const result = await load({ ...order, method: 'GET' }, async () => undefined)
  assert.is(result.bytes, 700_000)
})

test('one failed request spoils the whole load', async () => {
  try {
    await load({ ...order, keys: ['a', 'refused'] }, async () => undefined)
    assert.unreachable()
  } catch (error) {
    assert.match(error instanceof Error ? error.message : '', /1 of 2 requests failed, first: 503 no/)
  }
})

test('when time is up no request is begun', async () => {
  assert.is((await load({ ...order, mostSeconds: 0 }, async () => undefined)).answered, 0)
})

test('a connection answers one request after another', async () => {
  const connection = await openConnection(order.port)
  const head = requestHead(order, { method: 'GET', rawPath: '/b/k', rawQuery: '' }, 0, null)
  for (let time = 0; time < 3; time++) assert.is((await connection.send(head, null, 0)).bytes, 70_000)
  connection.close()
})

test.run()
