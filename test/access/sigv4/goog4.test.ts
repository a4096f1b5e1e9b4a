import { createHash, createHmac } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { WireHeader } from '../../../access/canonical.ts'
import { parseProof, type RequestHead, verifyProof } from '../../../access/proof.ts'
import { presignQuery, signRequest } from '../../../access/sign.ts'
import { credentials, empty, fault, parsed, thrown, time } from './published.ts'

const test = suite("Google's signatures")

const stamp = '20130524T000000Z'
const scope = '20130524/auto/storage/goog4_request'

/** Written from Google's "Canonical requests" and "Signatures", and from nothing of ours. */
function signatureOf(canonical: string[]): string {
  const digest = createHash('sha256').update(canonical.join('\n')).digest('hex')
  let key: Buffer = Buffer.from(`GOOG4${credentials.secretKey}`)
  for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest()
  return createHmac('sha256', key).update(['GOOG4-HMAC-SHA256', stamp, scope, digest].join('\n')).digest('hex')
}

const host: WireHeader = ['host', 'storage.googleapis.com']
const credential = `${credentials.accessKey}/${scope}`

function byHeader(request: Omit<RequestHead, 'headers'>, signed: WireHeader[], canonical: string[]): RequestHead {
  const names = signed.map(([name]) => name.toLowerCase()).join(';')
  const authorization = `GOOG4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names}, Signature=${signatureOf(canonical)}`
  return { ...request, headers: [...signed, ['Authorization', authorization]] }
}

const put = byHeader(
  { method: 'PUT', rawPath: '/test-bucket/path/amper%26sand/file.ext', rawQuery: '' },
  [host, ['x-goog-acl', 'private'], ['x-goog-content-sha256', empty], ['x-goog-date', stamp]],
  [
    'PUT',
    '/test-bucket/path/amper%26sand/file.ext',
    '',
    'host:storage.googleapis.com',
    'x-goog-acl:private',
    `x-goog-content-sha256:${empty}`,
    `x-goog-date:${stamp}`,
    '',
    'host;x-goog-acl;x-goog-content-sha256;x-goog-date',
    empty,
  ],
)

function signedQuery(fields: string, signedNames: string, headerLines: string[], rawPath: string): string {
  const encoded = encodeURIComponent(credential)
  const plain = `X-Goog-Algorithm=GOOG4-HMAC-SHA256&X-Goog-Credential=${encoded}&X-Goog-Date=${stamp}&X-Goog-Expires=10&X-Goog-SignedHeaders=${encodeURIComponent(signedNames)}`
  const query = fields === '' ? plain : `${plain}&${fields}`
  const canonical = ['GET', rawPath, query, ...headerLines, '', signedNames, 'UNSIGNED-PAYLOAD']
  return `${query}&X-Goog-Signature=${signatureOf(canonical)}`
}

// the cases of Google's conformance tests for signed URLs: headers trimmed and folded, a query in UTF-8, values in one line
const links: [string, RequestHead][] = [
  [
    'a plain one',
    {
      method: 'GET',
      rawPath: '/test-bucket/test-object',
      rawQuery: signedQuery('', 'host', ['host:storage.googleapis.com'], '/test-bucket/test-object'),
      headers: [host],
    },
  ],
  [
    'headers with blanks and tabs',
    {
      method: 'GET',
      rawPath: '/test-bucket/test-object',
      rawQuery: signedQuery(
        '',
        'collapsed;host;leading;tabs;trailing',
        ['collapsed:abc def', 'host:storage.googleapis.com', 'leading:xyz', 'tabs:abc def', 'trailing:abc'],
        '/test-bucket/test-object',
      ),
      headers: [
        host,
        ['collapsed', 'abc    def'],
        ['leading', '    xyz'],
        ['trailing', 'abc    '],
        ['tabs', '\tabc\t\t\t\tdef\t'],
      ],
    },
  ],
  [
    'a query that is not ASCII',
    {
      method: 'GET',
      rawPath: '/test-bucket/test-object',
      rawQuery: signedQuery(
        'souffl%C3%A9=%3D%25-_.~',
        'host',
        ['host:storage.googleapis.com'],
        '/test-bucket/test-object',
      ),
      headers: [host],
    },
  ],
]

const changedBy = (request: RequestHead, from: string, to: string): RequestHead => ({
  ...request,
  rawQuery: request.rawQuery.replace(from, to),
  headers: request.headers.map(([name, value]): WireHeader => [name, value.replace(from, to)]),
})

test('a header as Google describes it verifies with the secret that also signs as Amazon does', () => {
  const proof = parsed(put)
  assert.is(proof.scheme, 'GOOG4')
  assert.equal(verifyProof(proof, credentials.secretKey, time), { ok: true })
  assert.is(fault(verifyProof(proof, 'another', time)), 'signature-mismatch')
  assert.is(fault(verifyProof({ ...proof, scheme: 'AWS4' }, credentials.secretKey, time)), 'signature-mismatch')
})

for (const [name, request] of links)
  test(`a presigned request as Google describes it verifies: ${name}`, () => {
    assert.equal(verifyProof(parsed(request), credentials.secretKey, time), { ok: true })
    const late = new Date(time.getTime() + 11_000)
    assert.is(fault(verifyProof(parsed(request), credentials.secretKey, late)), 'expired')
  })

test('our own signer says the same as the paper', () => {
  const options = { region: 'auto', time, payload: empty, scheme: 'GOOG4' } as const
  const { headers, ...line } = put
  const ours = signRequest({ ...line, headers: headers.slice(0, 2) }, credentials, options)
  assert.is(ours.signature, parsed(put).signature)
  const [, link] = links[0] ?? []
  if (link === undefined) throw new Error('no case')
  const query = presignQuery({ ...link, rawQuery: '' }, credentials, { ...options, expiresSeconds: 10 })
  assert.is(query, link.rawQuery)
})

test('x-goog headers are signed under either scheme, and x-amz headers too', () => {
  for (const scheme of ['AWS4', 'GOOG4'] as const) {
    const head: RequestHead = {
      method: 'GET',
      rawPath: '/b/k',
      rawQuery: '',
      headers: [host, ['x-goog-acl', 'private']],
    }
    const signed = signRequest(head, credentials, { region: 'auto', time, payload: empty, scheme })
    assert.equal(verifyProof(parsed(signed), credentials.secretKey, time), { ok: true })
    for (const name of ['x-amz-acl', 'x-goog-meta-a', 'x-storage-acl'])
      assert.is(
        thrown(() => parseProof({ ...signed, headers: [...signed.headers, [name, 'v']] })),
        'unsigned-header',
      )
  }
})

for (const [name, request, wanted] of [
  ["Amazon's service in Google's scope", changedBy(put, '/storage/', '/s3/'), 'unsupported'],
  ["Amazon's end of the scope", changedBy(put, 'goog4_request', 'aws4_request'), 'malformed'],
  ["Google's RSA", changedBy(put, 'GOOG4-HMAC', 'GOOG4-RSA'), 'unsupported'],
  [
    'both schemes in one query',
    { ...put, headers: [host], rawQuery: 'X-Goog-Signature=a&X-Amz-Signature=b' },
    'malformed',
  ],
  ['a header and a query', { ...put, rawQuery: 'X-Goog-Signature=a' }, 'malformed'],
  [
    'signed chunks, which Google has none of',
    changedBy(put, empty, 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'),
    'unsupported',
  ],
  [
    'the signature of 2008',
    { ...put, headers: [host], rawQuery: 'GoogleAccessId=a&Signature=b&Expires=1' },
    'unsupported',
  ],
] as const)
  test(`${name} is ${wanted}`, () => {
    assert.is(
      thrown(() => parseProof(request)),
      wanted,
    )
  })

test.run()
