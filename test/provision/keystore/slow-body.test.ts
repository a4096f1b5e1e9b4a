import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { presignQuery, signRequest } from '../../../access/sign.ts'
import { collect } from '../../store/contract/bodies.ts'
import { openWorld } from '../acl/world.ts'

const MINUTE_MS = 60_000
const test = suite('bodies that take longer to come than what allows them lives')
const world = await openWorld()
const { anna, fixture } = world
const bucket = await world.bucket()

/** A PUT whose body comes in three pieces, `minutes` apart. @param between - called before the last piece */
async function slowPut(
  key: string,
  minutes: number,
  { presigned = false, between = async () => {} }: { presigned?: boolean; between?: () => Promise<unknown> } = {},
): Promise<string> {
  const rawPath = `/${bucket}/${key}`
  const headers: [string, string][] = [['host', 'localhost']]
  const head = { method: 'PUT', rawPath, rawQuery: '', headers }
  const on = { region: 'r1', time: new Date(fixture.clock.now) }
  const signed = presigned
    ? { ...head, rawQuery: presignQuery(head, anna, { ...on, expiresSeconds: 60 }) }
    : signRequest(head, anna, { ...on, payload: 'UNSIGNED-PAYLOAD' })
  async function* body() {
    yield Buffer.from('one ')
    fixture.clock.now += minutes * MINUTE_MS
    yield Buffer.from('two ')
    fixture.clock.now += minutes * MINUTE_MS
    await between()
    yield Buffer.from('three')
  }
  const sent = { ...signed, headers: [...signed.headers, ['content-length', '13'] as [string, string]] }
  const answer = await world.hosted.face({ ...sent, body: body() })
  const text =
    answer.body === null
      ? ''
      : Buffer.from(answer.body instanceof Uint8Array ? answer.body : await collect(answer.body)).toString()
  return /<Code>(\w+)</.exec(text)?.[1] ?? String(answer.status)
}

test('a PUT that was begun in time is taken hours later', async () => {
  assert.is(await slowPut('slow', 14), '200')
  assert.is(await slowPut('slower', 10), '200')
  assert.is((await world.good(anna, `GET /${bucket}/slow`)).text, 'one two three')
})

test('a presigned PUT, too', async () => assert.is(await slowPut('presigned', 0.9, { presigned: true }), '200'))

test('one whose first pieces came too late to say so is refused at its end, and nothing is there', async () => {
  assert.is(await slowPut('late', 16), 'RequestTimeTooSkewed')
  assert.is((await world.ask(anna, `GET /${bucket}/late`)).status, 404)
})

test('a day is the end of it', async () =>
  assert.is(
    await slowPut('days', 14, {
      between: async () => {
        fixture.clock.now += 24 * 60 * MINUTE_MS
      },
    }),
    'RequestTimeTooSkewed',
  ))

test('only its age is forgiven: an access key that is switched off meanwhile signs nothing', async () => {
  const { administration } = world
  const { accessKey, secret } = await administration.createAccessKey('anna', 'short')
  const before = { ...anna }
  Object.assign(anna, { accessKey, secretKey: secret })
  const code = await slowPut('off', 10, { between: () => administration.disableAccessKey(accessKey) })
  Object.assign(anna, before)
  assert.is(code, 'AccessDenied')
})

test('what was held is still no proof for a read or another name', async () => {
  const rawPath = `/${bucket}/held`
  const head = { method: 'PUT', rawPath, rawQuery: '', headers: [['host', 'localhost'] as [string, string]] }
  const signed = signRequest(head, anna, {
    region: 'r1',
    time: new Date(fixture.clock.now),
    payload: 'UNSIGNED-PAYLOAD',
  })
  fixture.clock.now += 20 * MINUTE_MS
  async function* body() {
    yield Buffer.from('text')
  }
  const answer = await world.hosted.face({ ...signed, body: body() })
  assert.is(answer.status, 403)
})

test.after(() => world.remove())
test.run()
