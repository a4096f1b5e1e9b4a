import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sha256Hex, type WireHeader } from '../../../access/canonical.ts'
import { type Proof, type RequestHead, verifyProof } from '../../../access/proof.ts'
import { signRequest } from '../../../access/sign.ts'
import { signingKey } from '../../../access/signing-key.ts'
import { credentials, empty, fault, host, later, parsed, presignRequest, scope, time } from './published.ts'

const test = suite('SigV4: signed headers')

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

test.run()
