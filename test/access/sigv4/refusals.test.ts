import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { WireHeader } from '../../../access/canonical.ts'
import { parseProof } from '../../../access/proof.ts'
import { payloadDigest, signRequest } from '../../../access/sign.ts'
import { credentials, empty, host, presigned, presignRequest, thrown, time } from './published.ts'

const test = suite('SigV4: refusals')

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

test.run()
