import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openWorld, type World } from '../acl/world.ts'
import { signedForm } from './cases.ts'
import { END, type Fields, formOf, part, post } from './sender.ts'

const test = suite('forms in bytes')
let world: World
test.before(async () => {
  world = await openWorld()
})
test.after(() => world.remove())

const now = () => world.fixture.clock.now
const form = (bucket: string, given = {}) => signedForm(world.anna, bucket, now(), given)

test('bytes in any pieces are the same form', async () => {
  const { anna, good, bucket } = world
  const name = await bucket()
  const file = Buffer.from('\r\n--a-boundary-of-the\r\n--\r\nend')
  const sent = form(name, { file })
  for (const size of [1, 2, 7, 64, 1000]) {
    assert.is((await post(world, name, sent, { size })).status, 204)
    assert.is((await good(anna, `GET /${name}/foo.txt`)).text, file.toString())
  }
})

test('what is no form is refused, and nothing is kept', async () => {
  const { anna, ask, good, bucket } = world
  const open = await bucket(anna, { 'x-amz-acl': 'public-read-write' })
  const whole = formOf([['key', 'k']], 'bar')
  const evil = part('key"; name="acl', 'k')
  const file = part('file', 'bar', '; filename="f"')
  const many: Fields = Array.from({ length: 101 }, (_, at) => [`x-ignore-${at}`, 'v'])
  for (const [title, body, code, options] of [
    ['cut in the file', whole.subarray(0, whole.length - 30), 'IncompleteBody'],
    ['cut in a field', whole.subarray(0, 60), 'MalformedPOSTRequest'],
    ['nothing', Buffer.alloc(0), 'MalformedPOSTRequest'],
    ['another boundary', whole, 'MalformedPOSTRequest', { boundary: 'other' }],
    ['no boundary', whole, 'MalformedPOSTRequest', { headers: { 'content-type': 'multipart/form-data' } }],
    [
      'a field of 10 MB',
      formOf(
        [
          ['key', 'k'],
          ['x-ignore', 'v'.repeat(10 << 20)],
        ],
        'bar',
      ),
      'MaxPostPreDataLengthExceededError',
    ],
    [
      'a field of 20 KiB and one byte',
      formOf(
        [
          ['key', 'k'],
          ['x-ignore', 'v'.repeat((20 << 10) + 1)],
        ],
        'bar',
      ),
      'MaxPostPreDataLengthExceededError',
    ],
    [
      'fields of 21 KiB together',
      formOf(
        [
          ['key', 'k'],
          ['x-ignore-a', 'v'.repeat(11 << 10)],
          ['x-ignore-b', 'v'.repeat(10 << 10)],
        ],
        'bar',
      ),
      'MaxPostPreDataLengthExceededError',
    ],
    ['102 fields', formOf([['key', 'k'], ...many], 'bar'), 'MaxPostPreDataLengthExceededError'],
    ['a name that is two', Buffer.concat([evil, file, END]), 'InvalidArgument'],
    ['a key of 1025 bytes', formOf([['key', 'k'.repeat(1025)]], 'bar'), 'KeyTooLongError'],
    ['an empty key', formOf([['key', '']], 'bar'), 'InvalidArgument'],
    ['an ACL in a header', whole, 'InvalidRequest', { headers: { 'x-amz-acl': 'public-read' } }],
    ['an Authorization header', whole, 'InvalidRequest', { headers: { authorization: 'AWS4-HMAC-SHA256 x' } }],
  ] as const) {
    const answer = await post(world, open, body, options ?? {})
    assert.equal([answer.status, answer.code], [400, code], title)
  }
  assert.not((await good(anna, `GET /${open}`)).text.includes('<Key>'))
  // a line end in a name begins another head of the part, and no other field
  const split = Buffer.concat([part('key"\r\nx-amz-acl: public-read', 'k'), file, END])
  assert.is((await post(world, open, split)).status, 204)
  assert.is((await ask(null, `GET /${open}/k`)).status, 403)
  // the file is the last that counts
  const after = Buffer.concat([part('key', 'k'), file, part('acl', 'public-read'), part('key', 'other'), END])
  assert.is((await post(world, open, after)).status, 204)
  assert.is((await ask(null, `GET /${open}/k`)).status, 403)
  assert.is((await ask(anna, `GET /${open}/other`)).status, 404)
})

test('the keystore judges the form itself: a store that changes it gets no key', async () => {
  const { anna, bucket, fixture } = world
  const name = await bucket()
  const { release } = fixture.authority
  const { wrap } = release
  const sent = form(name)
  for (const [title, lie] of [
    ['another key', (request: Parameters<typeof wrap>[0]) => ({ ...request, place: { bucket: name, key: 'other' } })],
    [
      'another bucket',
      (request: Parameters<typeof wrap>[0]) => ({ ...request, place: { bucket: 'other', key: 'foo.txt' } }),
    ],
    [
      'a part',
      (request: Parameters<typeof wrap>[0]) => ({
        ...request,
        kind: 2 as const,
        place: { ...request.place, part: { upload: 'u', number: 1 } },
      }),
    ],
    ['a longer file', (request: Parameters<typeof wrap>[0]) => ({ ...request, plaintextLength: 1025 })],
  ] as const) {
    release.wrap = request => wrap(lie(request))
    assert.is((await post(world, name, sent)).status, 403, title)
  }
  release.wrap = wrap
  assert.is((await world.ask(anna, `GET /${name}/foo.txt`)).status, 404)
  assert.is((await post(world, name, sent)).status, 204)
})

test.run()
