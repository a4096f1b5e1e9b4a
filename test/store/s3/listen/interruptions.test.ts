import { readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import * as s3 from '@aws-sdk/client-s3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { signRequest } from '../../../../access/sign.ts'
import { listen } from '../../../../store/s3/listen.ts'
import { at, credentials, onlyLeftEarly, type Served, serveFiles } from './served.ts'

const test = suite('S3 over a socket: interruptions')
let served: Served

test.before(async () => {
  served = await serveFiles()
})
test.after(() => served.close())

test('an upload cut half way leaves nothing', async () => {
  const socket = connect(served.listener.port, '127.0.0.1')
  socket.write(head('cut', 1_000_000))
  socket.write(Buffer.alloc(100_000))
  await sleep(100)
  assert.is(readdirSync(join(served.directory, 'incoming')).length, 1, 'the body is under way')
  socket.destroy()
  await settled(() => readdirSync(join(served.directory, 'incoming')).length === 0)
  assert.is(await served.store.head('bkt', 'cut'), null)
})

test('an upload that stalls is cut after the idle time and leaves nothing', async () => {
  const socket = connect(served.listener.port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(head('stall', 1_000_000))
  socket.write(Buffer.alloc(1000))
  const started = Date.now()
  await new Promise(resolve => socket.once('close', resolve).resume())
  assert.ok(Date.now() - started < 5000)
  await settled(() => readdirSync(join(served.directory, 'incoming')).length === 0)
  assert.is(await served.store.head('bkt', 'stall'), null)
})

test('Expect: 100-continue: a refused upload is answered before its body is asked for', async () => {
  const bad = await exchange(
    head('exp', 5, 'expect: 100-continue\r\n')
      .replace('Signature=', 'Signature=0')
      .replace(/([0-9a-f]{64})[0-9a-f]?\r/, '$1\r'),
  )
  assert.match(bad, /^HTTP\/1.1 403 /)
  const good = await exchange(head('exp', 5, 'expect: 100-continue\r\n'), 'hello')
  assert.match(good, /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 /)
})

test('a reader that goes away in the middle harms nothing, and nothing unexpected was reported', async () => {
  await served.client.send(new s3.PutObjectCommand({ ...at, Key: 'big', Body: Buffer.alloc(8_000_000) }))
  const get = await served.client.send(new s3.GetObjectCommand({ ...at, Key: 'big' }))
  if (get.Body instanceof Readable) get.Body.destroy()
  await sleep(50)
  await served.client.send(new s3.DeleteObjectCommand({ ...at, Key: 'big' }))
  assert.ok(onlyLeftEarly(served.errors), String(served.errors))
})

test('a reader that takes nothing of an answer at hand is cut after the idle time; one that takes it slowly has all of it', async () => {
  const body = Buffer.alloc(24 << 20, 'all of it')
  const face = async () => ({ status: 200, headers: [], body })
  const listener = await listen({ face, host: '127.0.0.1', port: 0, idleSeconds: 1 })
  const got = async (pauseMs: number): Promise<number> => {
    const socket = connect(listener.port, '127.0.0.1').on('error', () => undefined)
    socket.write('GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n')
    // nothing is asked of the kernel before there is a reader
    await sleep(pauseMs)
    let count = 0
    socket.on('data', chunk => {
      count += chunk.length
    })
    await new Promise(resolve => socket.once('close', resolve))
    return count
  }
  assert.ok((await got(0)) > body.length)
  assert.ok((await got(300)) > body.length)
  assert.ok((await got(2500)) < body.length)
  await listener.close({ graceSeconds: 0 })
})

function head(key: string, length: number, extra = ''): string {
  const request = signRequest(
    { method: 'PUT', rawPath: `/bkt/${key}`, rawQuery: '', headers: [['host', 'localhost']] },
    credentials,
    { region: 'x', time: new Date(), payload: 'UNSIGNED-PAYLOAD' },
  )
  const lines = request.headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return `PUT ${request.rawPath} HTTP/1.1\r\n${extra}content-length: ${length}\r\n${lines}\r\n`
}

async function exchange(start: string, body = ''): Promise<string> {
  const socket = connect(served.listener.port, '127.0.0.1')
  let text = ''
  let sent = false
  socket.on('data', chunk => {
    text += chunk.toString('latin1')
    if (text.includes('100 Continue') && !sent) {
      sent = true
      socket.write(body)
    }
    if (/HTTP\/1.1 [2-5]\d\d/.test(text)) socket.end()
  })
  socket.write(start)
  await new Promise(resolve => socket.once('close', resolve))
  return text
}

async function settled(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 100 && !holds(); turn++) await sleep(20)
  assert.ok(holds())
}

test.run()
