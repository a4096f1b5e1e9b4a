import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type DeviceId, type JobId, newId } from '../../../format/bytes.ts'
import { FormatError } from '../../../format/fault.ts'
import {
  decodeAnswer,
  encodeAnswer,
  encodeCall,
  frameCutter,
  MESSAGE_BYTES_LIMIT,
} from '../../../format/message-frame.ts'
import { type KeyRelease, ReleaseError, type StoredObject } from '../../../format/release.ts'
import { RELEASE_CALLS } from '../../../format/release-calls.ts'
import { decodeProof, encodeProof } from '../../../format/request-proof.ts'
import { type CallServer, serveCalls } from '../../../provision/keystore/calls/call-server.ts'
import { openRelease } from '../../../provision/release-client.ts'
import { decodeSignedProof } from '../signed-proof.ts'
import { faultOf, proofOf } from './authority-fixture.ts'

const test = suite('messages')
const directory = mkdtempSync(join(tmpdir(), 'sealift-messages-'))
const path = join(directory, 'k.sock')
let server: CallServer
const seen: unknown[] = []

/** Answers what it was asked, so that both directions are compared. */
const refuse = async (): Promise<never> => {
  throw new ReleaseError('denied', 'denied')
}
const echo: KeyRelease = {
  authenticate: async proof => ({
    account: Buffer.from(proof).toString('hex'),
    user: 'u',
    name: 'ü',
    accessKey: '',
    groups: ['g'],
    domains: [],
  }),
  hold: async () => {},
  verifyChunks: async () => {},
  wrap: async request => ({ envelope: Buffer.from(request.metadata), binding: Buffer.from('b'), account: 'a' }),
  release: async request => {
    seen.push(request)
    const keys = [Buffer.alloc(32, request.parts.length)]
    return { principal: request.proof === null ? null : await echo.authenticate(request.proof), keys }
  },
  beginUpload: async request => Buffer.from(request.upload),
  rewrap: async request => ({
    envelopes: [Buffer.from(request.metadata)],
    binding: Buffer.from('b'),
    partBinding: Buffer.from('p'),
    revision: 2,
  }),
  bind: async request => ({
    acl: Buffer.from(request.document).toString(),
    revision: 1,
    metageneration: 2,
    held: true,
  }),
  putAclObject: refuse,
  dropAclObject: refuse,
  aclObjectAt: refuse,
  openBucket: refuse,
  bindBucket: refuse,
  closeBucket: refuse,
  orderExport: refuse,
  withdrawExport: refuse,
  exportOrders: refuse,
  exportJob: refuse,
  exportKey: refuse,
  exportObjects: async (_, { objects }) =>
    objects.map(({ object, parts }) => ({
      outcome: 'exported',
      envelopes: [object, ...parts].map(each => Buffer.from(each.envelope)),
    })),
  names: async ids => ids.map(id => (id === '' ? null : id)),
  job: refuse,
  metadataKey: refuse,
  reseal: refuse,
  prove: refuse,
  signReceipt: refuse,
}

test.before(async () => {
  server = await serveCalls(path, RELEASE_CALLS, echo, error => {
    if (error instanceof FormatError) return { fault: 'malformed', message: error.message }
    return { fault: error instanceof ReleaseError ? error.fault : 'unavailable', message: 'no' }
  })
})
test.after(async () => {
  await server.close()
  rmSync(directory, { recursive: true })
})

const stored = (): StoredObject => ({
  envelope: randomBytes(200),
  coreHeader: randomBytes(102),
  account: 'ä',
  job: newId<JobId>(),
  place: { bucket: 'b', key: 'k/ü', part: { upload: 'u', number: 7 } },
  binding: Buffer.alloc(0),
})

test("the socket is its owner's alone", () => assert.is(statSync(path).mode & 0o777, 0o600))

test('what is asked arrives as it was asked, pipelined, and the answers find their calls', async () => {
  const client = openRelease(path)
  const requests = Array.from({ length: 200 }, (_, at) => ({
    proof: at % 2 ? null : randomBytes(9),
    object: stored(),
    parts: Array.from({ length: at % 3 }, stored),
  }))
  const answers = await Promise.all(requests.map(request => client.release(request)))
  assert.equal(
    answers.map(({ keys: [key] }) => key?.[0]),
    requests.map(request => request.parts.length),
  )
  assert.equal(
    answers.map(({ principal }) => principal?.account ?? null),
    requests.map(({ proof }) => proof?.toString('hex') ?? null),
  )
  assert.equal(seen, requests)
  assert.is((await client.authenticate(Buffer.from('ff', 'hex'))).account, 'ff')
  assert.is(await client.verifyChunks(Buffer.alloc(1), []), undefined)
  assert.is(
    await faultOf(client.job({ station: 's', secret: Buffer.alloc(32), job: newId(), device: newId<DeviceId>() })),
    'denied',
  )
  client.close()
  assert.is(await faultOf(client.authenticate(Buffer.alloc(1))), 'unavailable')
})

test('a call out of bounds is malformed, and the connection goes on', async () => {
  const client = openRelease(path)
  const object = stored()
  assert.is(
    await faultOf(client.release({ proof: null, object: { ...object, coreHeader: Buffer.alloc(103) }, parts: [] })),
    'malformed',
  )
  assert.is(await faultOf(client.release({ proof: randomBytes(65_537), object, parts: [] })), 'malformed')
  assert.is(
    await faultOf(client.release({ proof: null, object: { ...object, account: 'x'.repeat(129) }, parts: [] })),
    'malformed',
  )
  const place = { bucket: 'b', key: 'k', part: { upload: 'u', number: 10_001 } }
  assert.is(await faultOf(client.release({ proof: null, object: { ...object, place }, parts: [] })), 'malformed')
  assert.is(
    await faultOf(
      client.metadataKey(
        { station: 's', secret: Buffer.alloc(31), job: newId(), device: newId<DeviceId>() },
        Buffer.alloc(1),
      ),
    ),
    'malformed',
  )
  assert.equal(await client.release({ proof: null, object, parts: [] }), { principal: null, keys: [Buffer.alloc(32)] })
  client.close()
})

/** Sends bytes; resolves with what came back once the server closed, or after an answer. */
function answerTo(bytes: Buffer): Promise<Buffer | 'closed'> {
  const { promise, resolve } = Promise.withResolvers<Buffer | 'closed'>()
  const socket = createConnection(path)
  socket.on('error', () => {}) // a broken pipe: 'close' follows
  socket.on('close', () => resolve('closed'))
  socket.on('data', (chunk: Buffer) => {
    resolve(chunk)
    socket.destroy()
  })
  socket.write(bytes)
  return promise
}

test('a length above the bound ends the connection before anything is kept for it', async () => {
  const head = Buffer.alloc(4)
  head.writeUInt32BE(MESSAGE_BYTES_LIMIT + 1)
  assert.is(await answerTo(head), 'closed')
})

test('an unknown call is malformed, also one that every object has', async () => {
  for (const call of ['nothing', 'constructor', '__proto__', 'close']) {
    const answer = await answerTo(encodeCall({ number: 1, call, ask: [] }))
    if (answer === 'closed') throw new Error(`${call}: closed`)
    const [body = Buffer.alloc(0)] = frameCutter()(answer)
    assert.equal(decodeAnswer(body), { number: 1, fault: 'malformed', message: 'no such call' })
  }
})

test('whatever is changed in a call, it is answered or the connection is closed, and the server goes on', async () => {
  const whole = encodeCall({
    number: 5,
    call: 'release',
    ask: RELEASE_CALLS.release.ask.encode([{ proof: randomBytes(8), object: stored(), parts: [stored()] }]),
  })
  for (let round = 0; round < 300; round++) {
    const bytes = Buffer.from(whole)
    const at = 4 + (randomBytes(4).readUInt32BE() % (bytes.length - 4))
    bytes[at] = randomBytes(1)[0] ?? 0
    const answer = await answerTo(bytes)
    if (answer !== 'closed') for (const body of frameCutter()(answer)) decodeAnswer(body)
  }
  for (let round = 0; round < 100; round++) {
    const body = randomBytes(1 + (randomBytes(1)[0] ?? 0))
    const head = Buffer.alloc(4)
    head.writeUInt32BE(body.length)
    assert.is(await answerTo(Buffer.concat([head, body])), 'closed')
  }
  const client = openRelease(path)
  assert.is((await client.authenticate(Buffer.of(1))).account, '01')
  client.close()
})

test('a message comes whole however it is cut', () => {
  const messages = [1, 2, 3].map(number => encodeAnswer({ number, result: randomBytes(number * 300) }))
  const bytes = Buffer.concat(messages)
  for (const size of [1, 2, 3, 4, 5, 299, 300, 10_000]) {
    const cut = frameCutter()
    const out: Buffer[] = []
    for (let at = 0; at < bytes.length; at += size) out.push(...cut(bytes.subarray(at, at + size)))
    assert.equal(
      out.map(body => decodeAnswer(body).number),
      [1, 2, 3],
    )
  }
})

test('a proof comes back as it was, and one with a line end in a field is refused', () => {
  const bytes = proofOf(
    { accessKey: 'AKIA', secretKey: 's' },
    'GET',
    { bucket: 'b', key: 'ü' },
    { query: 'x-id=GetObject' },
  )
  const proof = decodeSignedProof(bytes)
  assert.equal(encodeProof(proof), bytes)
  for (const change of [
    { rawPath: '/b\n/k' },
    { region: 'eu\r' },
    { headers: [['host', 'h\nx-amz-acl:private'] as const] },
    { rawQuery: '\u0100' },
  ])
    assert.throws(
      () => decodeProof(encodeProof({ ...proof, ...change })),
      (error: unknown) => error instanceof FormatError,
    )
  assert.throws(
    () => encodeProof({ ...proof, method: 'GET\nx' }),
    (error: unknown) => error instanceof FormatError,
  )
})

test('a second server does not take the place of one that serves; one that was killed leaves no hindrance', async () => {
  const second = serveCalls(path, RELEASE_CALLS, echo, () => ({ fault: 'unavailable', message: '' }))
  const code = await second.then(
    () => 'none',
    error => (error instanceof Error && 'code' in error ? error.code : ''),
  )
  assert.is(code, 'EADDRINUSE')
  await server.close()
  assert.not.ok(existsSync(path))
  server = await serveCalls(path, RELEASE_CALLS, echo, () => ({ fault: 'malformed', message: '' }))
  const client = openRelease(path)
  assert.is((await client.authenticate(Buffer.of(2))).account, '02')
  client.close()
})

test.run()
