import { createHash } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { crcOf } from '../../../../store/s3/checksum.ts'
import { code, onFace } from './asking.ts'

const test = suite('S3 face: objects')
const on = onFace(test)

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

on(
  'an upload that is completed again is answered again, by its own list alone, till another object lies there',
  async ask => {
    const begun = await ask('POST /bkt/k?uploads')
    const id = /<UploadId>([^<]+)</.exec(begun.text)?.[1]
    const { headers } = await ask(`PUT /bkt/k?partNumber=1&uploadId=${id}`, {}, 'x')
    const list = (etag: string) =>
      `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`
    const complete = (etag: string, key = 'k') => ask(`POST /bkt/${key}?uploadId=${id}`, {}, list(etag))
    const etag = headers.get('etag') ?? ''
    const first = await complete(etag)
    assert.is(first.status, 200)
    assert.is((await complete(etag)).text, first.text)
    assert.is(code(await complete('"0123456789abcdef0123456789abcdef"')), 'NoSuchUpload')
    assert.is(code(await complete(etag, 'l')), 'NoSuchUpload')
    await ask('PUT /bkt/k', {}, 'another')
    assert.is(code(await complete(etag)), 'NoSuchUpload')
    assert.is((await ask('GET /bkt/k')).text, 'another')
  },
)

for (const [range, size, outcome] of [
  ['bytes=0-4', 5, 200],
  ['bytes=4-4', 5, 200],
  ['bytes=0-5', 5, 'InvalidRange'],
  ['bytes=5-5', 5, 'InvalidRange'],
  ['bytes=0-0', 0, 'InvalidRange'],
  ['bytes=0-', 5, 'InvalidArgument'],
] as const)
  on(`a part copied from ${range} of ${size} bytes: ${outcome}, and never less than was asked for`, async ask => {
    await ask('PUT /bkt/source', {}, 'x'.repeat(size))
    const id = /<UploadId>([^<]+)</.exec((await ask('POST /bkt/k?uploads')).text)?.[1]
    const headers = { 'x-amz-copy-source': '/bkt/source', 'x-amz-copy-source-range': range }
    const answer = await ask(`PUT /bkt/k?partNumber=1&uploadId=${id}`, headers)
    assert.is(typeof outcome === 'number' ? answer.status : code(answer), outcome)
  })

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

on('a store without ACLs shows its owner alone, lets two canned ones pass, and keeps none', async ask => {
  assert.is((await ask('PUT /bkt/k', { 'x-amz-acl': 'public-read' }, 'x')).status, 200)
  const { text } = await ask('GET /bkt/k?acl')
  assert.match(text, 'FULL_CONTROL')
  assert.not(text.includes('AllUsers'))
  assert.match((await ask('GET /bkt/k?acl', { 'x-goog-api-version': '2' })).text, '<AccessControlList><Owner>')
  for (const headers of [
    { 'x-amz-acl': 'public-read-write' },
    { 'x-amz-grant-read': 'id=a' },
    { 'x-storage-acl': 'bkt/k' },
  ])
    assert.is(code(await ask('PUT /bkt/k', headers, 'y')), 'NotImplemented')
  assert.is(code(await ask('PUT /bkt/k?acl', { 'x-amz-acl': 'private' })), 'NotImplemented')
  assert.is(code(await ask('PUT /bkt/k', { 'x-amz-acl': 'private', 'x-goog-acl': 'private' }, 'y')), 'InvalidRequest')
  assert.is((await ask('GET /bkt/k')).text, 'x')
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

test.run()
