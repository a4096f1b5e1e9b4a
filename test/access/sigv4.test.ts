import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { canonicalPath, canonicalQuery, sha256Hex, type WireHeader } from '../../access/canonical.ts'
import { type ChunkClaim, chainHolds, signChunk, verifyChunk } from '../../access/chunk-claim.ts'
import { AccessError } from '../../access/fault.ts'
import { type Proof, parseProof, type RequestHead, verifyProof } from '../../access/proof.ts'
import { payloadDigest, presignQuery, signRequest } from '../../access/sign.ts'
import { signingKey } from '../../access/signing-key.ts'

// AWS, "Authenticating Requests: Signature Calculations", S3 API reference: examples with this published key
const credentials = { accessKey: 'AKIAIOSFODNN7EXAMPLE', secretKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' }
const time = new Date('2013-05-24T00:00:00Z')
const host: WireHeader = ['Host', 'examplebucket.s3.amazonaws.com']
const scope = { date: '20130524', region: 'us-east-1' }
const empty = sha256Hex('')

const test = suite('SigV4')

const examples: [string, RequestHead, string, string][] = [
  [
    'GET object with range',
    { method: 'GET', rawPath: '/test.txt', rawQuery: '', headers: [host, ['Range', 'bytes=0-9']] },
    empty,
    'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  ],
  [
    'PUT object',
    {
      method: 'PUT',
      rawPath: '/test%24file.text',
      rawQuery: '',
      headers: [host, ['Date', 'Fri, 24 May 2013 00:00:00 GMT'], ['x-amz-storage-class', 'REDUCED_REDUNDANCY']],
    },
    sha256Hex('Welcome to Amazon S3.'),
    '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
  ],
  [
    'GET bucket lifecycle',
    { method: 'GET', rawPath: '/', rawQuery: 'lifecycle', headers: [host] },
    empty,
    'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
  ],
  [
    'list objects',
    { method: 'GET', rawPath: '/', rawQuery: 'max-keys=2&prefix=J', headers: [host] },
    empty,
    '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  ],
]

for (const [name, request, payload, signature] of examples) {
  test(`${name}: signature is the documented one and verifies`, () => {
    const signed = signRequest(request, credentials, { region: 'us-east-1', time, payload })
    assert.is(signed.signature, signature)
    const proof = parsed(signed)
    assert.equal(verifyProof(proof, credentials.secretKey, time), { ok: true })
    assert.equal(verifyProof(proof, signingKey(credentials.secretKey, scope), time), { ok: true })
    assert.equal(verifyProof(JSON.parse(JSON.stringify(proof)), credentials.secretKey, time), { ok: true })
    assert.is(fault(verifyProof(proof, 'another', time)), 'signature-mismatch')
  })
}

const presignRequest: RequestHead = { method: 'GET', rawPath: '/test.txt', rawQuery: '', headers: [host] }
const presigned = presignQuery(presignRequest, credentials, { region: 'us-east-1', time, expiresSeconds: 86400 })

test('presigned URL: signature is the documented one', () => {
  assert.match(presigned, /X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404$/)
})

for (const [seconds, expected] of [
  [-901, 'skewed'],
  [-900, undefined],
  [0, undefined],
  [86399, undefined],
  [86400, undefined],
  [86401, 'expired'],
] as const) {
  test(`a presigned URL of one day, ${seconds} s after signing: ${expected ?? 'good'}`, () => {
    const proof = parsed({ ...presignRequest, rawQuery: presigned })
    assert.is(fault(verifyProof(proof, credentials.secretKey, later(seconds))), expected)
  })
}

for (const [seconds, expected] of [
  [-901, 'skewed'],
  [-900, undefined],
  [900, undefined],
  [901, 'skewed'],
] as const) {
  test(`a signed header, ${seconds} s after signing: ${expected ?? 'good'}`, () => {
    const signed = signRequest(presignRequest, credentials, { region: 'anywhere-9', time, payload: empty })
    assert.is(fault(verifyProof(parsed(signed), credentials.secretKey, later(seconds))), expected)
  })
}

for (const [text, wanted] of [
  ['0', 'malformed'],
  ['1', undefined],
  ['604800', undefined],
  ['604801', 'malformed'],
  ['x', 'malformed'],
] as const) {
  test(`X-Amz-Expires=${text} is ${wanted ?? 'accepted'}`, () => {
    const rawQuery = presigned.replace('X-Amz-Expires=86400', `X-Amz-Expires=${text}`)
    assert.is(
      thrown(() => parseProof({ ...presignRequest, rawQuery })),
      wanted,
    )
  })
}

test('chunked upload: seed, three chunk signatures as documented', () => {
  const request: RequestHead = {
    method: 'PUT',
    rawPath: '/examplebucket/chunkObject.txt',
    rawQuery: '',
    headers: [
      ['Host', 's3.amazonaws.com'],
      ['content-encoding', 'aws-chunked'],
      ['content-length', '66824'],
      ['x-amz-decoded-content-length', '66560'],
      ['x-amz-storage-class', 'REDUCED_REDUNDANCY'],
    ],
  }
  const payload = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'
  const seed = signRequest(request, credentials, { region: 'us-east-1', time, payload }).signature
  assert.is(seed, '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9')
  const claims = chain(seed, [Buffer.alloc(65536, 'a'), Buffer.alloc(1024, 'a'), Buffer.alloc(0)])
  assert.equal(
    claims.map(claim => claim.signature),
    [
      'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648',
      '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497',
      'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9',
    ],
  )
  const key = signingKey(credentials.secretKey, scope)
  assert.ok(claims.every(claim => verifyChunk(claim, key)))
  assert.ok(claims.every(claim => !verifyChunk({ ...claim, digest: sha256Hex('x') }, key)))
  const proof = { time: '20130524T000000Z', ...scope }
  assert.ok(chainHolds(claims, proof, seed))
  assert.not(chainHolds(claims.slice(1), proof, seed))
  assert.not(chainHolds(claims.toReversed(), proof, seed))
  assert.not(chainHolds(claims, { ...proof, time: '20130524T000001Z' }, seed))
})

test('chunked upload with trailer: seed, chunk and trailer signatures as documented', () => {
  const request: RequestHead = {
    method: 'PUT',
    rawPath: '/examplebucket/chunkObject.txt',
    rawQuery: '',
    headers: [
      ['Host', 's3.amazonaws.com'],
      ['content-encoding', 'aws-chunked'],
      ['x-amz-decoded-content-length', '66560'],
      ['x-amz-storage-class', 'REDUCED_REDUNDANCY'],
      ['x-amz-trailer', 'x-amz-checksum-crc32c'],
    ],
  }
  const payload = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER'
  const seed = signRequest(request, credentials, { region: 'us-east-1', time, payload }).signature
  assert.is(seed, '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e')
  const claims = chain(seed, [Buffer.alloc(65536, 'a'), Buffer.alloc(1024, 'a'), Buffer.alloc(0)])
  assert.equal(
    claims.map(claim => claim.signature),
    [
      'b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2',
      '1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7',
      '2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992',
    ],
  )
  const trailer = signChunk(
    {
      kind: 'trailer',
      time: '20130524T000000Z',
      ...scope,
      previous: claims[2]?.signature ?? '',
      digest: sha256Hex('x-amz-checksum-crc32c:sOO8/Q==\n'),
    },
    signingKey(credentials.secretKey, scope),
  )
  assert.is(trailer.signature, 'd81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435')
})

test('every signed field flipped breaks the signature', () => {
  const signed = signRequest(
    { method: 'PUT', rawPath: '/b/k%20y', rawQuery: 'a=1&b', headers: [host, ['x-amz-meta-a', 'one']] },
    credentials,
    { region: 'r', time, payload: 'UNSIGNED-PAYLOAD' },
  )
  const proof = parsed(signed)
  const changed: Partial<Proof>[] = [
    { method: 'GET' },
    { rawPath: '/b/k' },
    { rawQuery: 'a=1&b&c' },
    { headers: proof.headers.map(([name, value]): WireHeader => [name, name === 'x-amz-meta-a' ? 'two' : value]) },
    { payload: empty },
    { region: 'q' },
    { time: '20130524T000001Z' },
    { signature: proof.signature.replace(/^./, digit => (digit === '0' ? '1' : '0')) },
  ]
  for (const change of changed) {
    assert.is(
      fault(verifyProof({ ...proof, ...change }, credentials.secretKey, time)),
      'signature-mismatch',
      JSON.stringify(change),
    )
  }
})

test('the path is signed by its decoded bytes, once, nothing resolved', () => {
  assert.is(canonicalPath('/b/a/../c//d'), '/b/a/../c//d')
  assert.is(canonicalPath("/b/(x)!'*~+ %2f%2B"), '/b/%28x%29%21%27%2A~%2B%20/%2B')
  assert.is(canonicalPath('/b/%e2%82%ac'), '/b/%E2%82%AC')
  assert.is(canonicalPath('/b/%2520'), '/b/%2520')
  assert.is(canonicalPath('/b/%zz'), null)
  assert.is(canonicalPath('/b/%2'), null)
})

test('the query is sorted after encoding, signature left out, blank and repeated values kept', () => {
  assert.is(canonicalQuery('b=2&a=%7e&a=1&acl&X-Amz-Signature=00'), 'a=1&a=~&acl=&b=2')
  assert.is(canonicalQuery('p=a+b'), 'p=a%20b')
  assert.is(canonicalQuery('p=%'), null)
})

const good = signRequest({ ...presignRequest, headers: [host, ['x-amz-acl', 'private']] }, credentials, {
  region: 'r',
  time,
  payload: empty,
})
const authorization = good.headers.find(([name]) => name === 'authorization')?.[1] ?? ''
const refusals: [string, (text: string) => string, string][] = [
  ['another scheme', text => text.replace('AWS4-HMAC-SHA256', 'AWS4-ECDSA-P256-SHA256'), 'unsupported'],
  ['signature version 2', () => 'AWS AKIA:c2ln', 'unsupported'],
  ['another service', text => text.replace('/s3/', '/iam/'), 'unsupported'],
  ['no credential', text => text.replace('Credential=', 'Other='), 'malformed'],
  ['a short signature', text => text.slice(0, -1), 'malformed'],
  ['a date that is not that of x-amz-date', text => text.replace('/20130524/', '/20130525/'), 'malformed'],
  ['unsorted header names', text => text.replace('host;x-amz-acl', 'x-amz-acl;host'), 'malformed'],
  ['host not signed', text => text.replace('SignedHeaders=host;', 'SignedHeaders='), 'unsigned-header'],
  ['an x-amz header not signed', text => text.replace('x-amz-acl;', ''), 'unsigned-header'],
  ['a signed header that is missing', text => text.replace('host;', 'host;range;'), 'malformed'],
  ['a field twice', text => `${text},Signature=00`, 'malformed'],
]
for (const [name, change, wanted] of refusals) {
  test(`${name} is ${wanted}`, () => {
    const headers = good.headers.map(
      ([key, value]): WireHeader => [key, key === 'authorization' ? change(authorization) : value],
    )
    assert.is(
      thrown(() => parseProof({ ...good, headers })),
      wanted,
    )
  })
}

test('no authorisation at all is anonymous, two at once are malformed', () => {
  assert.is(parseProof(presignRequest), null)
  assert.is(
    thrown(() => parseProof({ ...good, rawQuery: presigned })),
    'malformed',
  )
  assert.is(
    thrown(() => parseProof({ ...good, headers: [...good.headers, ['Authorization', authorization]] })),
    'malformed',
  )
  assert.is(
    thrown(() => parseProof({ ...presignRequest, rawQuery: 'AWSAccessKeyId=a&Signature=b&Expires=1' })),
    'unsupported',
  )
})

test('an unknown payload mode is refused', () => {
  for (const [payload, wanted] of [
    ['STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD', 'unsupported'],
    ['nonsense', 'malformed'],
    [empty.toUpperCase(), 'malformed'],
    [payloadDigest(Buffer.from('x')), undefined],
  ] as const) {
    const signed = signRequest(presignRequest, credentials, { region: 'r', time, payload })
    assert.is(
      thrown(() => parseProof(signed)),
      wanted,
      payload,
    )
  }
})

test('a header value of UTF-8 bytes is signed as the bytes on the wire, blanks folded', () => {
  const wire = Buffer.from('Grüße   aus €', 'utf8').toString('latin1')
  const signed = signRequest({ ...presignRequest, headers: [host, ['x-amz-meta-a', wire]] }, credentials, {
    region: 'r',
    time,
    payload: empty,
  })
  const respaced = signed.headers.map(
    ([name, value]): WireHeader => [name, name === 'x-amz-meta-a' ? ` ${wire.replace('   ', ' ')} ` : value],
  )
  assert.equal(verifyProof(parsed({ ...signed, headers: respaced }), credentials.secretKey, time), { ok: true })
})

function chain(seed: string, chunks: Buffer[]): ChunkClaim[] {
  let previous = seed
  return chunks.map(chunk => {
    const claim = signChunk(
      { kind: 'chunk', time: '20130524T000000Z', ...scope, previous, digest: sha256Hex(chunk) },
      signingKey(credentials.secretKey, scope),
    )
    previous = claim.signature
    return claim
  })
}

function parsed(request: RequestHead): Proof {
  const proof = parseProof(request)
  if (!proof) throw new Error('no proof parsed')
  return proof
}

function later(seconds: number): Date {
  return new Date(time.getTime() + seconds * 1000)
}

function fault(verdict: ReturnType<typeof verifyProof>): string | undefined {
  return verdict.ok ? undefined : verdict.fault
}

function thrown(call: () => unknown): string | undefined {
  try {
    call()
  } catch (error) {
    if (error instanceof AccessError) return error.fault
    throw error
  }
  return undefined
}

test.run()
