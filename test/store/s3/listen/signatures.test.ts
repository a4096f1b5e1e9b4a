import { createHash } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type ChunkClaim, signChunk } from '../../../../access/chunk-claim.ts'
import { presignQuery, signRequest } from '../../../../access/sign.ts'
import { signingKey } from '../../../../access/signing-key.ts'
import { credentials, onlyLeftEarly, type Served, serveFiles } from './served.ts'

const test = suite('S3 over a socket: signatures')
let served: Served

test.before(async () => {
  served = await serveFiles()
})
test.after(() => served.close())

test('a presigned GET and PUT work, an altered one does not', async () => {
  const host = new URL(served.listener.url).host
  const link = (method: string) => {
    const request = {
      method,
      rawPath: '/bkt/pre%20signed',
      rawQuery: method === 'GET' ? 'response-content-type=a%2Fb' : '',
      headers: [['host', host]] as const,
    }
    return `${served.listener.url}/bkt/pre%20signed?${presignQuery(request, credentials, { region: 'x', time: new Date(), expiresSeconds: 60 })}`
  }
  assert.is((await fetch(link('PUT'), { method: 'PUT', body: 'by link' })).status, 200)
  const got = await fetch(link('GET'))
  assert.is(await got.text(), 'by link')
  assert.is(got.headers.get('content-type'), 'a/b')
  const altered = await fetch(link('GET').replace('a%2Fb', 'a%2Fc'))
  assert.is(altered.status, 403)
  assert.match(await altered.text(), /<Code>SignatureDoesNotMatch</)
})

for (const [name, spoil, status] of [
  ['good', (claim: ChunkClaim) => claim, 200],
  [
    'spoilt',
    (claim: ChunkClaim) => ({
      ...claim,
      signature: claim.signature.replace(/^./, digit => (digit === '0' ? '1' : '0')),
    }),
    403,
  ],
] as const) {
  test(`a body with ${name} chunk signatures answers ${status}`, async () => {
    const bytes = [Buffer.alloc(70_000, 'x'), Buffer.from('tail'), Buffer.alloc(0)]
    const request = signRequest(
      {
        method: 'PUT',
        rawPath: `/bkt/chunks-${name}`,
        rawQuery: '',
        headers: [
          ['host', new URL(served.listener.url).host],
          ['content-encoding', 'aws-chunked'],
          ['x-amz-decoded-content-length', '70004'],
        ],
      },
      credentials,
      { region: 'x', time: new Date(), payload: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD' },
    )
    const time = request.headers.find(([key]) => key === 'x-amz-date')?.[1] ?? ''
    const scope = { date: time.slice(0, 8), region: 'x' }
    let previous = request.signature
    const body = bytes.map((chunk, index) => {
      const digest = createHash('sha256').update(chunk).digest('hex')
      let claim = signChunk(
        { kind: 'chunk', time, ...scope, previous, digest },
        signingKey(credentials.secretKey, { scheme: 'AWS4', ...scope }),
      )
      if (index === 1) claim = spoil(claim)
      previous = claim.signature
      return Buffer.concat([
        Buffer.from(`${chunk.length.toString(16)};chunk-signature=${claim.signature}\r\n`),
        chunk,
        Buffer.from('\r\n'),
      ])
    })
    const headers = request.headers.map(([key, value]): [string, string] => [key, value])
    const answer = await fetch(`${served.listener.url}${request.rawPath}`, {
      method: 'PUT',
      headers,
      body: Buffer.concat(body),
    })
    assert.is(answer.status, status)
    const head = await served.store.head('bkt', `chunks-${name}`)
    assert.is(head?.size, status === 200 ? 70_004 : undefined)
    assert.equal(head?.attributes.headers, status === 200 ? {} : undefined, 'aws-chunked is no encoding of the object')
  })
}

test('nothing unexpected was reported', () => assert.ok(onlyLeftEarly(served.errors), String(served.errors)))

test.run()
