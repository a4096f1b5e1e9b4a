import { createHash } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { signRequest } from '../../access/sign.ts'
import { openMemoryStore } from '../../store/memory-store.ts'
import { type MultipartStore, StoreError, type StoreFault } from '../../store/object-store.ts'
import { crcOf, startChecksum } from '../../store/s3/checksum.ts'
import { judgeConditions, readRange } from '../../store/s3/conditions.ts'
import { type Face, s3Face } from '../../store/s3/face.ts'
import { answerOf, S3Error } from '../../store/s3/fault.ts'
import { type Gate, localGate } from '../../store/s3/gate.ts'
import type { S3Response } from '../../store/s3/message.ts'
import { collect } from './contract/bodies.ts'

const test = suite('S3 face')
const clock = () => new Date('2026-01-02T03:04:05.678Z')
const principal = { id: 'me', displayName: 'Me' }

type Asked = { status: number; headers: Map<string, string>; text: string }
type Ask = (line: string, headers?: Record<string, string>, body?: string | Buffer) => Promise<Asked>

async function faceOn(store: MultipartStore, etags: 'md5' | 'cheap' = 'md5', hostSuffix?: string): Promise<Ask> {
  const gate: Gate = { admit: async () => ({ principal, store, payload: null }) }
  const settings = { etags, region: 'r1', ...(hostSuffix && { hostSuffix }) }
  return asker(s3Face({ gate, settings, onError: error => assert.unreachable(String(error)) }))
}

function asker(face: Face): Ask {
  return async (line, headers = {}, body = '') => {
    const [method = '', url = ''] = line.split(' ')
    const [rawPath = '', rawQuery = ''] = url.split('?')
    const bytes = Buffer.from(body)
    const all = {
      host: 'localhost',
      ...(bytes.length > 0 || method === 'PUT' ? { 'content-length': String(bytes.length) } : {}),
      ...headers,
    }
    async function* stream() {
      yield bytes
    }
    return readResponse(await face({ method, rawPath, rawQuery, headers: Object.entries(all), body: stream() }))
  }
}

async function readResponse({ status, headers, body }: S3Response): Promise<Asked> {
  const bytes = body === null ? Buffer.alloc(0) : body instanceof Uint8Array ? Buffer.from(body) : await collect(body)
  return { status, headers: new Map(headers), text: bytes.toString('utf8') }
}

const on = (title: string, run: (ask: Ask, store: MultipartStore) => Promise<void>, etags: 'md5' | 'cheap' = 'md5') =>
  test(title, async () => {
    const store = await openMemoryStore({ clock })
    await store.createBucket('bkt')
    await run(await faceOn(store, etags), store)
    await store.close()
  })

const code = (answer: Asked) => /<Code>(\w+)<\/Code>/.exec(answer.text)?.[1]

const requests: [string, Record<string, string>, string, number, string | undefined][] = [
  ['GET /', {}, '', 200, undefined],
  ['POST /', {}, '', 405, 'MethodNotAllowed'],
  ['GET //x', {}, '', 400, 'InvalidBucketName'],
  ['GET /none', {}, '', 404, 'NoSuchBucket'],
  ['HEAD /bkt', {}, '', 200, undefined],
  ['PUT /bkt', {}, '', 409, 'BucketAlreadyOwnedByYou'],
  ['PUT /Bad_Name', {}, '', 400, 'InvalidBucketName'],
  ['PUT /ab', {}, '', 400, 'InvalidBucketName'],
  ['DELETE /none', {}, '', 404, 'NoSuchBucket'],
  ['GET /bkt?location', {}, '', 200, undefined],
  ['GET /bkt?versioning', {}, '', 200, undefined],
  ['GET /bkt?acl', {}, '', 200, undefined],
  ['GET /bkt?policy', {}, '', 501, 'NotImplemented'],
  ['GET /bkt?tagging&acl', {}, '', 501, 'NotImplemented'],
  ['GET /bkt?x-id=ListObjects', {}, '', 200, undefined],
  ['PATCH /bkt', {}, '', 405, 'MethodNotAllowed'],
  ['GET /bkt?max-keys=x', {}, '', 400, 'InvalidArgument'],
  ['GET /bkt?list-type=2&continuation-token=*', {}, '', 400, 'InvalidArgument'],
  ['GET /bkt?encoding-type=base64', {}, '', 400, 'InvalidArgument'],
  ['GET /bkt?list-type=2&max-keys=0', {}, '', 200, undefined],
  ['GET /none?max-keys=0', {}, '', 404, 'NoSuchBucket'],
  ['GET /bkt/none', {}, '', 404, 'NoSuchKey'],
  ['GET /bkt/none?acl', {}, '', 404, 'NoSuchKey'],
  ['DELETE /bkt/none', {}, '', 204, undefined],
  ['GET /bkt/k?versionId=7', {}, '', 501, 'NotImplemented'],
  ['GET /bkt/%ff', {}, '', 400, 'InvalidURI'],
  ['GET /bkt/%zz', {}, '', 400, 'InvalidURI'],
  [`GET /bkt/${'k'.repeat(1025)}`, {}, '', 400, 'KeyTooLongError'],
  [`PUT /bkt/${'k'.repeat(1024)}`, {}, 'x', 200, undefined],
  ['PUT /bkt/k', { 'content-length': '' }, 'x', 400, 'InvalidArgument'],
  ['PUT /bkt/k', { 'content-length': '2' }, 'x', 400, 'IncompleteBody'],
  ['PUT /bkt/k', { 'content-md5': 'x' }, 'x', 400, 'InvalidDigest'],
  ['PUT /bkt/k', { 'content-md5': md5('y') }, 'x', 400, 'BadDigest'],
  ['PUT /bkt/k', { 'content-md5': md5('x') }, 'x', 200, undefined],
  ['PUT /bkt/k', { 'x-amz-content-sha256': '0'.repeat(64) }, 'x', 400, 'XAmzContentSHA256Mismatch'],
  ['PUT /bkt/k', { 'x-amz-checksum-crc32': 'AAAAAA==' }, 'x', 400, 'BadDigest'],
  ['PUT /bkt/k', { 'x-amz-checksum-crc32': 'AAAA' }, 'x', 400, 'InvalidRequest'],
  ['PUT /bkt/k', { 'x-amz-sdk-checksum-algorithm': 'CRC32' }, 'x', 400, 'InvalidRequest'],
  ['PUT /bkt/k', { 'x-amz-server-side-encryption': 'aws:kms' }, 'x', 501, 'NotImplemented'],
  ['PUT /bkt/k', { 'x-amz-storage-class': 'GLACIER' }, 'x', 501, 'NotImplemented'],
  ['PUT /bkt/k', { 'x-amz-acl': 'public-read-write' }, 'x', 501, 'NotImplemented'],
  ['PUT /bkt/k', { 'x-amz-meta-a': 'x'.repeat(2047) }, 'x', 200, undefined],
  ['PUT /bkt/k', { 'x-amz-meta-a': 'x'.repeat(2048) }, 'x', 400, 'MetadataTooLarge'],
  ['PUT /bkt/k', { 'if-none-match': '"e"' }, 'x', 501, 'NotImplemented'],
  ['PUT /bkt/k', { 'if-match': '"e"' }, 'x', 412, 'PreconditionFailed'],
  ['PUT /bkt/k', { 'if-none-match': '*' }, 'x', 200, undefined],
  ['PUT /none/k', {}, 'x', 404, 'NoSuchBucket'],
  ['PUT /bkt/k', { 'x-amz-copy-source': 'bkt' }, '', 400, 'InvalidArgument'],
  ['PUT /bkt/k', { 'x-amz-copy-source': 'bkt/none' }, '', 404, 'NoSuchKey'],
  ['PUT /bkt/k?partNumber=1&uploadId=none', {}, 'x', 404, 'NoSuchUpload'],
  ['PUT /bkt/k?partNumber=0&uploadId=none', {}, 'x', 400, 'InvalidArgument'],
  ['POST /bkt/k?uploadId=none', {}, '<CompleteMultipartUpload/>', 404, 'NoSuchUpload'],
  ['POST /bkt?delete', {}, '<Delete></Delete>', 400, 'MalformedXML'],
  ['POST /bkt?delete', {}, '<Delete><Object>', 400, 'MalformedXML'],
  ['POST /bkt?delete', {}, '<!DOCTYPE x><Delete><Object><Key>a</Key></Object></Delete>', 400, 'MalformedXML'],
  ['POST /bkt?delete', {}, `<Delete>${'<Object><Key>a</Key></Object>'.repeat(1000)}</Delete>`, 200, undefined],
  ['POST /bkt?delete', {}, `<Delete>${'<Object><Key>a</Key></Object>'.repeat(1001)}</Delete>`, 400, 'MalformedXML'],
  ['POST /bkt/k?uploads', { 'x-amz-checksum-algorithm': 'MD5' }, '', 400, 'InvalidRequest'],
  [
    'POST /bkt/k?uploads',
    { 'x-amz-checksum-algorithm': 'SHA256', 'x-amz-checksum-type': 'FULL_OBJECT' },
    '',
    400,
    'InvalidRequest',
  ],
]
for (const [line, headers, body, status, wanted] of requests) {
  on(
    `${line.slice(0, 60)} ${JSON.stringify(headers).slice(0, 60)} ${body.length} bytes: ${status} ${wanted ?? ''}`,
    async ask => {
      const answer = await ask(line, headers, body)
      assert.is(code(answer), wanted, answer.text)
      assert.is(answer.status, status)
      assert.match(answer.headers.get('x-amz-request-id') ?? '', /^[0-9A-F]{16}$/)
    },
  )
}

on('a HEAD answers without a body, also in error', async ask => {
  await ask('PUT /bkt/k', {}, 'hello')
  const head = await ask('HEAD /bkt/k')
  assert.is(head.text, '')
  assert.is(head.headers.get('content-length'), '5')
  const none = await ask('HEAD /bkt/none')
  assert.is(none.status, 404)
  assert.is(none.text, '')
})

on('headers and metadata come back as they went in; overrides replace them', async ask => {
  const wire = Buffer.from('grün €').toString('latin1')
  const sent = {
    'content-type': 'text/x',
    'cache-control': 'no-store',
    'content-disposition': 'inline',
    'content-encoding': 'gzip',
    'content-language': 'de',
    expires: 'Thu, 01 Jan 2026 00:00:00 GMT',
    'x-amz-meta-utf8': wire,
    'x-amz-meta-word': '=?UTF-8?B?Z3LDvG4=?=',
    'x-amz-meta-__proto__': 'kept',
  }
  await ask('PUT /bkt/k', sent, 'x')
  const got = await ask('GET /bkt/k')
  for (const [name, value] of Object.entries(sent)) assert.is(got.headers.get(name), value, name)
  assert.is(got.headers.get('last-modified'), 'Fri, 02 Jan 2026 03:04:05 GMT')
  assert.is(code(await ask('GET /bkt/k?response-content-type=a%0D%0Ab')), 'InvalidArgument')
  const other = await ask('GET /bkt/k?response-content-type=a%2Fb&response-expires=never')
  assert.is(other.headers.get('content-type'), 'a/b')
  assert.is(other.headers.get('expires'), 'never')
})

const etag = 'e'
const at = clock()
const before = 'Thu, 01 Jan 2026 00:00:00 GMT'
const same = at.toUTCString()
const after = 'Sat, 03 Jan 2026 00:00:00 GMT'
for (const [conditions, wanted] of [
  [{}, 'go'],
  [{ match: '"e"' }, 'go'],
  [{ match: '*' }, 'go'],
  [{ match: '"x", "e"' }, 'go'],
  [{ match: '"x"' }, 'failed'],
  [{ noneMatch: '"e"' }, 'not-modified'],
  [{ noneMatch: 'W/"e"' }, 'not-modified'],
  [{ noneMatch: '"x"' }, 'go'],
  [{ noneMatch: '*' }, 'not-modified'],
  [{ modifiedSince: before }, 'go'],
  [{ modifiedSince: same }, 'not-modified'],
  [{ modifiedSince: after }, 'not-modified'],
  [{ unmodifiedSince: before }, 'failed'],
  [{ unmodifiedSince: same }, 'go'],
  [{ unmodifiedSince: 'not a date' }, 'go'],
  [{ match: '"e"', unmodifiedSince: before }, 'go'],
  [{ noneMatch: '"x"', modifiedSince: after }, 'go'],
] as const) {
  test(`condition ${JSON.stringify(conditions)}: ${wanted}`, () => {
    assert.is(judgeConditions(conditions, { etag, modifiedAt: at }), wanted)
  })
}

for (const [text, size, wanted] of [
  [undefined, 10, null],
  ['bytes=0-0', 10, '0-0'],
  ['bytes=0-9', 10, '0-9'],
  ['bytes=0-10', 10, '0-9'],
  ['bytes=9-', 10, '9-9'],
  ['bytes=10-', 10, 'InvalidRange'],
  ['bytes=-1', 10, '9-9'],
  ['bytes=-10', 10, '0-9'],
  ['bytes=-11', 10, '0-9'],
  ['bytes=-0', 10, 'InvalidRange'],
  ['bytes=0-', 0, 'InvalidRange'],
  ['bytes=-1', 0, 'InvalidRange'],
  ['bytes=5-4', 10, null],
  ['bytes=-', 10, null],
  ['bytes=0-1,3-4', 10, null],
  ['items=0-1', 10, null],
] as const) {
  test(`range ${text} of ${size} bytes: ${wanted}`, () => {
    let found: string | null
    try {
      const range = readRange(text, size)
      found = range && `${range.first}-${range.last}`
    } catch (error) {
      if (!(error instanceof S3Error)) throw error
      found = error.code
    }
    assert.is(found, wanted)
  })
}

on('a range answers 206 with its place, one past the end 416 with the size', async ask => {
  await ask('PUT /bkt/k', {}, '0123456789')
  const part = await ask('GET /bkt/k', { range: 'bytes=2-4' })
  assert.is(part.status, 206)
  assert.is(part.text, '234')
  assert.is(part.headers.get('content-range'), 'bytes 2-4/10')
  const past = await ask('GET /bkt/k', { range: 'bytes=10-' })
  assert.is(past.status, 416)
  assert.is(past.headers.get('content-range'), 'bytes */10')
  assert.is((await ask('GET /bkt/k', { 'if-none-match': part.headers.get('etag') ?? '' })).status, 304)
})

on('keys are decoded once and not normalised; odd ones list percent-encoded on request', async (ask, store) => {
  for (const path of ['a/../b', 'a//b', '%2E%2E', 'a%252Fb', 'a+b', 'c%00d', '%EF%BB%BFbom'])
    await ask(`PUT /bkt/${path}`, {}, 'x')
  const { objects } = await store.list('bkt', { prefix: '', limit: 100 })
  const keys = objects.map(object => object.key)
  assert.equal(keys.toSorted(), ['..', 'a%2Fb', 'a+b', 'a/../b', 'a//b', 'c\0d', '\ufeffbom'].toSorted())
  const list = await ask('GET /bkt?list-type=2&encoding-type=url')
  for (const name of ['a%252Fb', 'a%2Bb', 'a/../b', 'c%00d']) assert.ok(list.text.includes(`<Key>${name}</Key>`), name)
  assert.ok((await ask('GET /bkt')).text.includes('<Key>c&#x0;d</Key>'))
})

on('listings page through all keys by marker and by token', async ask => {
  const keys = ['a/1', 'a/2', 'b', 'c/1', 'd', 'd/é']
  for (const key of keys) await ask(`PUT /bkt/${encodeURI(key)}`, {}, 'x')
  for (const size of [1, 2, 3, 6]) {
    for (const [first, tag, next] of [
      ['GET /bkt?delimiter=/', 'NextMarker', 'marker'],
      ['GET /bkt?list-type=2&delimiter=/', 'NextContinuationToken', 'continuation-token'],
    ] as const) {
      const found: string[] = []
      let from = ''
      for (;;) {
        const { text, status } = await ask(`${first}&max-keys=${size}${from}`)
        assert.is(status, 200)
        found.push(
          ...[...text.matchAll(/<Key>(.*?)<\/Key>|<CommonPrefixes><Prefix>(.*?)<\/Prefix>/g)].map(
            hit => hit[1] ?? hit[2] ?? '',
          ),
        )
        const token = new RegExp(`<${tag}>(.*?)</${tag}>`).exec(text)?.[1]
        assert.is(token === undefined, text.includes('<IsTruncated>false'))
        if (token === undefined) break
        from = `&${next}=${encodeURIComponent(token)}`
      }
      assert.equal(found.toSorted(), ['a/', 'b', 'c/', 'd', 'd/'], `${first} ${size}`)
    }
  }
  const started = await ask('GET /bkt?list-type=2&start-after=b&fetch-owner=true')
  assert.equal(
    [...started.text.matchAll(/<Key>(.*?)<\/Key>/g)].map(hit => hit[1]),
    ['c/1', 'd', 'd/é'],
  )
  assert.ok(started.text.includes('<Owner><ID>me</ID>'))
})

on(
  'cheap ETags: MD5 for plain clients, 32 hex and -1 when a checksum came',
  async ask => {
    const plain = await ask('PUT /bkt/a', {}, 'x')
    assert.is(plain.headers.get('etag'), `"${createHash('md5').update('x').digest('hex')}"`)
    const summed = await ask(
      'PUT /bkt/b',
      { 'x-amz-checksum-crc32': crcOf('CRC32', Buffer.from('x')).toString('base64') },
      'x',
    )
    assert.match(summed.headers.get('etag') ?? '', /^"[0-9a-f]{32}-1"$/)
  },
  'cheap',
)

on('an unsigned payload framed as aws-chunked is unframed, its trailer verified', async ask => {
  const sent = {
    'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
    'content-encoding': 'aws-chunked,gzip',
    'x-amz-decoded-content-length': '1',
    'x-amz-trailer': 'x-amz-checksum-crc32',
  }
  const body = (value: string) => `1\r\nx\r\n0\r\nx-amz-checksum-crc32:${value}\r\n\r\n`
  const value = crcOf('CRC32', Buffer.from('x')).toString('base64')
  assert.is((await ask('PUT /bkt/k', sent, body(value))).status, 200)
  const got = await ask('GET /bkt/k', { 'x-amz-checksum-mode': 'ENABLED' })
  assert.is(got.text, 'x')
  assert.is(got.headers.get('content-encoding'), 'gzip')
  assert.is(got.headers.get('x-amz-checksum-crc32'), value)
  assert.is(code(await ask('PUT /bkt/l', sent, body('AAAAAA=='))), 'BadDigest')
  assert.is((await ask('HEAD /bkt/l')).status, 404)
  const { 'x-amz-decoded-content-length': _, ...without } = sent
  assert.is(code(await ask('PUT /bkt/l', without, body(value))), 'MissingContentLength')
})

on('a canned ACL is kept, shown and changed; content and ETag stay', async ask => {
  await ask('PUT /bkt/k', { 'x-amz-acl': 'public-read' }, 'x')
  assert.ok((await ask('GET /bkt/k?acl')).text.includes('AllUsers'))
  assert.is((await ask('PUT /bkt/k?acl', { 'x-amz-acl': 'private' })).status, 200)
  assert.not((await ask('GET /bkt/k?acl')).text.includes('AllUsers'))
  assert.is((await ask('GET /bkt/k')).text, 'x')
  await ask('PUT /bkt?acl', { 'x-amz-acl': 'public-read' })
  assert.ok((await ask('GET /bkt?acl')).text.includes('AllUsers'))
})

on('a copy takes the attributes or replaces them, and judges the source first', async ask => {
  await ask('PUT /bkt/src', { 'x-amz-meta-a': '1', 'content-type': 'a/b' }, 'x')
  await ask('PUT /bkt/dst', { 'x-amz-copy-source': '/bkt/src' })
  assert.is((await ask('HEAD /bkt/dst')).headers.get('x-amz-meta-a'), '1')
  await ask('PUT /bkt/dst', {
    'x-amz-copy-source': 'bkt/src',
    'x-amz-metadata-directive': 'REPLACE',
    'x-amz-meta-b': '2',
  })
  const head = await ask('HEAD /bkt/dst')
  assert.is(head.headers.get('x-amz-meta-a'), undefined)
  assert.is(head.headers.get('x-amz-meta-b'), '2')
  assert.is(code(await ask('PUT /bkt/src', { 'x-amz-copy-source': 'bkt/src' })), 'InvalidRequest')
  const condition = { 'x-amz-copy-source': 'bkt/src', 'x-amz-copy-source-if-match': '"no"' }
  assert.is(code(await ask('PUT /bkt/dst', condition)), 'PreconditionFailed')
})

test('a host under the suffix names the bucket, any other host does not', async () => {
  const store = await openMemoryStore({ clock })
  await store.createBucket('bkt')
  const ask = await faceOn(store, 'md5', 's3.example')
  await ask('PUT /k', { host: 'bkt.s3.example:9100' }, 'x')
  assert.is((await ask('GET /bkt/k', { host: 's3.example' })).text, 'x')
  assert.is((await ask('GET /bkt/k', { host: 'bkt.other.example' })).text, 'x')
})

test('every store fault has its code and status', () => {
  const table: [StoreFault, string, number][] = [
    ['no-bucket', 'NoSuchBucket', 404],
    ['invalid-state', 'InvalidObjectState', 403],
    ['read-only', 'AccessDenied', 403],
    ['forbidden', 'AccessDenied', 403],
    ['full', 'InsufficientStorage', 507],
    ['busy', 'SlowDown', 503],
    ['damaged', 'InternalError', 500],
    ['part-too-small', 'EntityTooSmall', 400],
  ]
  for (const [fault, wanted, status] of table) {
    const answer = answerOf(new StoreError(fault, 'inner words'))
    assert.is(answer?.code, wanted)
    assert.is(answer?.status, status)
    assert.is(answer?.message.includes('inner words'), fault !== 'damaged')
  }
  assert.match(answerOf(new StoreError('read-only', ''))?.message ?? '', /sealed or locked/)
})

test('an unknown error answers 500 without its words and is reported with the request id', async () => {
  const seen: string[] = []
  const gate: Gate = {
    admit: async () => {
      throw new Error('secret words')
    },
  }
  const onError = (_: unknown, id: string) => void seen.push(id)
  const answer = await asker(s3Face({ gate, settings: { etags: 'md5', region: 'r' }, onError }))('GET /')
  assert.is(answer.status, 500)
  assert.not(answer.text.includes('secret'))
  assert.equal(seen, [answer.headers.get('x-amz-request-id')])
})

test('the local gate: anonymous only where allowed, unknown key, wrong secret, signed payload bound', async () => {
  const store = await openMemoryStore({ clock })
  await store.createBucket('bkt')
  const options = {
    lookup: (key: string) => (key === 'AK' ? { secretKey: 's', principal } : null),
    store: () => store,
    clock,
  }
  const settings = { etags: 'md5', region: 'r' } as const
  const ask = asker(s3Face({ gate: localGate(options), settings, onError: () => undefined }))
  assert.is(code(await ask('GET /bkt')), 'AccessDenied')
  const open = asker(s3Face({ gate: localGate({ ...options, anonymous: store }), settings, onError: () => undefined }))
  assert.is((await open('GET /bkt')).status, 200)
  await store.put('bkt', 'k', (async function* () {})(), {
    attributes: { headers: {}, metadata: {} },
    finish: () => ({ etag: 'e' }),
  })
  assert.is(code(await open('GET /bkt/k?response-expires=x')), 'InvalidRequest')
  const signed = (accessKey: string, secretKey: string, body: string) => {
    const payload = createHash('sha256').update(body).digest('hex')
    const request = { method: 'PUT', rawPath: '/bkt/k', rawQuery: '', headers: [['host', 'localhost']] as const }
    return Object.fromEntries(
      signRequest(request, { accessKey, secretKey }, { region: 'r', time: clock(), payload }).headers,
    )
  }
  assert.is((await ask('PUT /bkt/k', signed('AK', 's', 'x'), 'x')).status, 200)
  assert.is(code(await ask('PUT /bkt/k', signed('AK', 's', 'x'), 'y')), 'XAmzContentSHA256Mismatch')
  assert.is(code(await ask('PUT /bkt/k', signed('AK', 'z', 'x'), 'x')), 'SignatureDoesNotMatch')
  assert.is(code(await ask('PUT /bkt/k', signed('BK', 's', 'x'), 'x')), 'InvalidAccessKeyId')
})

// check values of "123456789": RFC 3385 (CRC32C), the CRC catalogue (CRC-32/ISO-HDLC, CRC-64/NVME)
for (const [name, value] of [
  ['CRC32', 'cbf43926'],
  ['CRC32C', 'e3069283'],
  ['CRC64NVME', 'ae8b14860a799888'],
] as const) {
  test(`${name} of the check string is the catalogued one, in one piece and byte by byte`, async () => {
    for (const pieces of [['123456789'], [...'123456789']]) {
      const running = await startChecksum(name)
      for (const piece of pieces) running.update(Buffer.from(piece))
      assert.is(running.digest().toString('hex'), value)
    }
  })
}

function md5(text: string): string {
  return createHash('md5').update(text).digest('base64')
}

test.run()
