import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Quota } from '../../../../provision/hosted/usage/dimension.ts'
import type { UsageLine } from '../../../../provision/hosted/usage/report.ts'
import { openWorld, type Someone } from '../../acl/world.ts'

const HOUR_MS = 3_600_000
const test = suite('what is used, and how much may be')
const world = await openWorld({ readersSeeAcl: false }, { keys: false })
const { anna, bert, fixture } = world
const usage = () => world.hosted.usage
const set = (quota: Partial<Quota>): Promise<void> =>
  usage().quotas.set({ scope: 'bucket', id: '', dimension: 'reads', period: 'none', amount: 0, ...quota })
const clear = async (): Promise<void> => {
  for (const quota of usage().quotas.list()) await usage().quotas.remove(quota)
}
async function linesOf(bucket: string): Promise<UsageLine[]> {
  const lines: UsageLine[] = []
  for await (const line of usage().lines({ from: 0, to: fixture.clock.now + HOUR_MS, bucket })) lines.push(line)
  return lines
}
const sum = (
  lines: UsageLine[],
  column: 'reads' | 'writes' | 'refused' | 'bytesIn' | 'bytesOut' | 'byteHours',
): number => lines.reduce((total, line) => total + line[column], 0)

test.after.each(clear)
test.after(() => world.remove())

test('reads, writes and bytes are counted for bucket, user and account', async () => {
  const bucket = await world.bucket()
  await world.good(anna, `PUT /${bucket}/k`, { 'x-amz-acl': 'public-read' }, '0123456789')
  await world.good(bert, `GET /${bucket}/k`)
  await world.good(bert, `GET /${bucket}/k`, { range: 'bytes=0-3' })
  await world.good(null, `GET /${bucket}/k`)
  await world.good(anna, `DELETE /${bucket}/none`)
  const lines = await linesOf(bucket)
  const of = (who: string) => lines.find(line => line.user === who)
  assert.is(of(anna.id)?.writes, 3)
  assert.is(of(anna.id)?.bytesIn, 10)
  assert.equal([of(bert.id)?.reads, of(bert.id)?.bytesOut], [2, 14])
  assert.equal([of('')?.reads, of('')?.bytesOut], [1, 10])
  assert.ok(lines.every(line => line.account === anna.id))
})

test('what is refused costs the bucket nothing, and is counted apart', async () => {
  const bucket = await world.bucket()
  await world.good(anna, `PUT /${bucket}/k`, {}, 'text')
  const before = await linesOf(bucket)
  assert.is((await world.ask(bert, `GET /${bucket}/k`)).status, 403)
  const forged = { ...anna, secretKey: bert.secretKey }
  assert.is((await world.ask(forged, `GET /${bucket}/k`)).code, 'SignatureDoesNotMatch')
  const after = await linesOf(bucket)
  assert.is(sum(after, 'reads'), sum(before, 'reads'))
  assert.is(sum(after, 'bytesOut'), sum(before, 'bytesOut'))
  assert.is(sum(after, 'refused'), 2)
  // whoever only says that he is somebody is nobody
  assert.is(after.find(line => line.user === anna.id)?.refused, 0)
})

test('names that nobody made a bucket of are no rows of their own', async () => {
  for (let at = 0; at < 20; at++) await world.ask(anna, `GET /no-such-${at}/k`)
  const lines: UsageLine[] = []
  for await (const line of usage().lines({ from: 0, to: fixture.clock.now + HOUR_MS })) lines.push(line)
  assert.not.ok(lines.some(line => line.bucket.startsWith('no-such')))
})

test('bytes that lie there are counted by the hour, through overwriting, copy and deletion', async () => {
  const bucket = await world.bucket()
  await world.good(anna, `PUT /${bucket}/k`, {}, 'x'.repeat(100))
  fixture.clock.now += 2 * HOUR_MS
  await world.good(anna, `PUT /${bucket}/k`, {}, 'x'.repeat(40))
  await world.good(anna, `PUT /${bucket}/copy`, { 'x-amz-copy-source': `/${bucket}/k` })
  fixture.clock.now += HOUR_MS
  await world.good(anna, `DELETE /${bucket}/k`)
  await world.good(anna, `DELETE /${bucket}/copy`)
  fixture.clock.now += 5 * HOUR_MS
  assert.ok(Math.abs(sum(await linesOf(bucket), 'byteHours') - 280) < 1e-6)
  // asked again, nothing is counted twice
  assert.ok(Math.abs(sum(await linesOf(bucket), 'byteHours') - 280) < 1e-6)
})

test('what was counted outlives a restart, and time in which the store was away counts for what lay there', async () => {
  const bucket = await world.bucket()
  await world.good(anna, `PUT /${bucket}/k`, {}, 'x'.repeat(10))
  await world.good(anna, `GET /${bucket}/k`)
  fixture.clock.now += 3 * HOUR_MS
  await world.restart()
  const lines = await linesOf(bucket)
  assert.is(sum(lines, 'reads'), 1)
  assert.ok(Math.abs(sum(lines, 'byteHours') - 30) < 1e-6)
  assert.ok(lines.length >= 4)
})

for (const scope of ['bucket', 'account', 'user', 'everybody'] as const)
  test(`stored bytes of ${scope}: up to the amount, and not one more; nothing of what is refused stays`, async () => {
    const bucket = await world.bucket(bert)
    const id = { bucket, account: bert.id, user: bert.id, everybody: '' }[scope]
    await set({ scope, id, dimension: 'stored-bytes', amount: 10 })
    await world.good(bert, `PUT /${bucket}/a`, {}, '12345')
    await world.good(bert, `PUT /${bucket}/b`, {}, '12345')
    const refused = await world.ask(bert, `PUT /${bucket}/c`, {}, '1')
    assert.equal([refused.status, refused.code], [403, 'QuotaExceeded'])
    assert.match(refused.text, /stored-bytes of .*: 10 of 10/)
    assert.is((await world.ask(bert, `GET /${bucket}/c`)).status, 404)
    // the same again is no more; less makes room
    await world.good(bert, `PUT /${bucket}/a`, {}, '54321')
    await world.good(bert, `PUT /${bucket}/a`, {}, '1234')
    await world.good(bert, `PUT /${bucket}/c`, {}, '1')
    for (const key of ['a', 'b', 'c']) await world.good(bert, `DELETE /${bucket}/${key}`)
    await world.good(bert, `PUT /${bucket}/d`, {}, '1234567890')
    await world.good(bert, `DELETE /${bucket}/d`)
  })

test('parts of an upload under way are stored bytes of the bucket, until they are the object’s, or gone', async () => {
  const bucket = await world.bucket(bert)
  await set({ id: bucket, dimension: 'stored-bytes', amount: 10 })
  const begin = async (key: string): Promise<string> => {
    const { text } = await world.good(bert, `POST /${bucket}/${key}?uploads=`)
    return `/${bucket}/${key}?partNumber=1&uploadId=${/<UploadId>([^<]*)</.exec(text)?.[1]}`
  }
  const [first, second] = [await begin('a'), await begin('b')]
  const { headers } = await world.good(bert, `PUT ${first}`, {}, '1234567')
  assert.is((await world.ask(bert, `PUT ${second}`, {}, '1234')).code, 'QuotaExceeded')
  // the same part again takes the place of the first
  await world.good(bert, `PUT ${first}`, {}, '1234567')
  const list = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${headers.get('etag')}</ETag></Part></CompleteMultipartUpload>`
  await world.good(bert, `POST ${first.replace('partNumber=1&', '')}`, {}, list)
  await world.good(bert, `PUT ${second}`, {}, '123')
  await world.good(bert, `DELETE ${second.replace('partNumber=1&', '')}`)
  await world.good(bert, `PUT /${bucket}/c`, {}, '123')
  for (const key of ['a', 'c']) await world.good(bert, `DELETE /${bucket}/${key}`)
  await world.good(bert, `PUT ${await begin('d')}`, {}, '1234567890')
  await world.good(bert, `DELETE /${bucket}`)
  await world.good(bert, `PUT /${bucket}`)
  await world.good(bert, `PUT /${bucket}/e`, {}, '1234567890')
})

test('stored objects are limited by number', async () => {
  const bucket = await world.bucket(bert)
  await set({ id: bucket, dimension: 'stored-objects', amount: 1 })
  await world.good(bert, `PUT /${bucket}/a`)
  assert.is((await world.ask(bert, `PUT /${bucket}/b`)).code, 'QuotaExceeded')
  await world.good(bert, `PUT /${bucket}/a`)
})

test('reads a day are limited until the next day begins, others are not', async () => {
  const [bucket, other] = [await world.bucket(), await world.bucket()]
  for (const name of [bucket, other]) await world.good(anna, `PUT /${name}/k`, {}, 'text')
  await set({ id: bucket, period: 'day', amount: 2 })
  await world.good(anna, `GET /${bucket}/k`)
  await world.good(anna, `HEAD /${bucket}/k`)
  const refused = await world.ask(anna, `GET /${bucket}/k`)
  assert.equal([refused.status, refused.code], [403, 'QuotaExceeded'])
  assert.match(refused.text, /reads of bucket .*: 2 of 2 a day are used|2 of 2 a day; the next day begins at \d{4}-/)
  await world.good(anna, `GET /${other}/k`)
  await world.good(anna, `PUT /${bucket}/k`, {}, 'text')
  fixture.clock.now += 24 * HOUR_MS
  await world.good(anna, `GET /${bucket}/k`)
})

test('a quota that is set late counts what was used before, and outlives a restart', async () => {
  const bucket = await world.bucket()
  await world.good(anna, `PUT /${bucket}/k`, {}, 'text')
  for (let at = 0; at < 3; at++) await world.good(anna, `GET /${bucket}/k`)
  await set({ id: bucket, period: 'month', amount: 4 })
  await world.good(anna, `GET /${bucket}/k`)
  await world.restart()
  assert.is((await world.ask(anna, `GET /${bucket}/k`)).code, 'QuotaExceeded')
})

test('bytes in are refused before they are read, bytes out once they are used up', async () => {
  const bucket = await world.bucket()
  await set({ id: bucket, dimension: 'bytes-in', period: 'hour', amount: 10 })
  await world.good(anna, `PUT /${bucket}/k`, {}, '1234567')
  assert.is((await world.ask(anna, `PUT /${bucket}/k`, {}, '1234')).code, 'QuotaExceeded')
  await world.good(anna, `PUT /${bucket}/k`, {}, '123')
  await set({ id: bucket, dimension: 'bytes-out', period: 'hour', amount: 3 })
  await world.good(anna, `GET /${bucket}/k`)
  assert.is((await world.ask(anna, `GET /${bucket}/k`)).code, 'QuotaExceeded')
})

for (const scope of ['user', 'everybody', 'address'] as const)
  test(`requests a second of ${scope}: 503 SlowDown with when to come again`, async () => {
    const bucket = await world.bucket()
    await set({ scope, id: scope === 'user' ? anna.id : '', dimension: 'requests', period: 'second', amount: 2 })
    await world.good(anna, `GET /${bucket}`)
    await world.good(anna, `GET /${bucket}`)
    const refused = await world.ask(anna, `GET /${bucket}`)
    assert.equal([refused.status, refused.code, refused.headers.get('retry-after')], [503, 'SlowDown', '1'])
    fixture.clock.now += 1000
    await world.good(anna, `GET /${bucket}`)
  })

test('a forged signature uses up nothing of whose name it bears', async () => {
  const bucket = await world.bucket()
  await set({ scope: 'user', id: anna.id, dimension: 'requests', period: 'second', amount: 1 })
  const forged: Someone = { ...anna, secretKey: bert.secretKey }
  for (let at = 0; at < 5; at++) assert.is((await world.ask(forged, `GET /${bucket}/k`)).code, 'SignatureDoesNotMatch')
  await world.good(anna, `GET /${bucket}`)
})

test('more requests at once than may be are asked to come again', async () => {
  const bucket = await world.bucket()
  await set({ scope: 'address', dimension: 'connections', amount: 1 })
  const answers = await Promise.all([1, 2, 3].map(() => world.ask(anna, `GET /${bucket}`)))
  assert.equal(answers.map(each => each.status).sort(), [200, 503, 503])
  await turn()
  await world.good(anna, `GET /${bucket}`)
})

test('the log has a line a request, without the names of objects', async () => {
  const bucket = await world.bucket()
  await world.good(anna, `PUT /${bucket}/secret-name`, {}, 'text')
  await world.ask(bert, `GET /${bucket}/secret-name`)
  await world.restart()
  const text = readFileSync(join(world.directory, 'activity.log'), 'utf8')
  assert.not.match(text, /secret-name/)
  const lines = text
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>)
    .filter(line => line.bucket === bucket)
  assert.equal(
    lines.map(({ user, verb, status, code, bytesIn }) => [user, verb, status, code, bytesIn]),
    [
      [anna.id, 'PUT', 200, null, 0],
      [anna.id, 'PUT', 200, null, 4],
      [bert.id, 'GET', 403, 'AccessDenied', 0],
    ],
  )
})

test.run()
