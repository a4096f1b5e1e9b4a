import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { StoreError, type StoreFault } from '../../../../store/object-store.ts'
import { s3Face } from '../../../../store/s3/face.ts'
import { answerOf } from '../../../../store/s3/fault.ts'
import type { Gate } from '../../../../store/s3/gate.ts'
import { asker } from './asking.ts'

const test = suite('S3 face: faults')

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

test.run()
