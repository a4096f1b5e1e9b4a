import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sha256Hex } from '../../../access/canonical.ts'
import { type ChunkClaim, chainHolds, signChunk, verifyChunk } from '../../../access/chunk-claim.ts'
import type { RequestHead } from '../../../access/proof.ts'
import { signRequest } from '../../../access/sign.ts'
import { signingKey } from '../../../access/signing-key.ts'
import { credentials, scope, time } from './published.ts'

const test = suite('SigV4: chunks')

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

test.run()
