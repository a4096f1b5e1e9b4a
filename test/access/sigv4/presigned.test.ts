import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseProof, verifyProof } from '../../../access/proof.ts'
import { credentials, fault, later, parsed, presigned, presignRequest, thrown } from './published.ts'

const test = suite('SigV4: presigned')

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

test.run()
