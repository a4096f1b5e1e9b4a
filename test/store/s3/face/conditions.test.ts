import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { judgeConditions, readRange } from '../../../../store/s3/conditions.ts'
import { S3Error } from '../../../../store/s3/fault.ts'
import { clock, onFace } from './asking.ts'

const test = suite('S3 face: conditions and ranges')
const on = onFace(test)

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

test.run()
