import * as assert from 'uvu/assert'
import { rule } from './rule.ts'
import { type Answer, grantsIn, policy, type World } from './world.ts'

const MARK = { 'content-type': 'application/vnd.storage.acl+xml' }

function numbers({ headers }: Answer): { generation: number; meta: number } {
  return { generation: Number(headers.get('x-goog-generation')), meta: Number(headers.get('x-goog-metageneration')) }
}

/** `GET`'s answers to a condition that holds and to one that does not, by its header. */
async function conditionsOn(world: World, line: string, number: number, header: string): Promise<void> {
  const { anna, ask } = world
  const isRead = !line.startsWith('PUT')
  for (const [suffix, value, status] of [
    ['match', number, 200],
    ['match', number + 1, 412],
    ['match', 0, 412],
    ['not-match', number + 1, 200],
    ['not-match', number, isRead ? 304 : 412],
  ] as const) {
    const answer = await ask(anna, line, { [`x-goog-if-${header}-${suffix}`]: `${value}` })
    assert.is(answer.status, status, `${line} ${header}-${suffix} ${value}`)
  }
}

async function numbersOfAnObject(world: World): Promise<void> {
  const { anna, ask, good, bucket } = world
  const name = await bucket()
  const put = await good(anna, `PUT /${name}/k`, {}, 'x')
  const first = numbers(put)
  assert.ok(first.generation > 0)
  assert.is(first.meta, 1)
  for (const line of [`GET /${name}/k`, `HEAD /${name}/k`, `GET /${name}/k?acl`]) {
    assert.equal(numbers(await good(anna, line)), first, line)
    await conditionsOn(world, line, first.generation, 'generation')
    await conditionsOn(world, line, 1, 'metageneration')
  }
  // an ACL write: the generation stays, the metageneration is one more, and what it must be is judged
  const acl = { 'x-amz-acl': 'public-read' }
  const change = (headers: Record<string, string>) => ask(anna, `PUT /${name}/k?acl`, { ...acl, ...headers })
  assert.equal(numbers(await change({})), { ...first, meta: 2 })
  for (const headers of [
    { 'x-goog-if-generation-match': `${first.generation + 1}` },
    { 'x-goog-if-generation-match': '0' },
    { 'x-goog-if-generation-not-match': `${first.generation}` },
    { 'x-goog-if-metageneration-match': '1' },
    { 'x-goog-if-metageneration-not-match': '2' },
  ])
    assert.equal([(await change(headers)).status, (await change(headers)).code], [412, 'PreconditionFailed'])
  assert.equal(numbers(await good(anna, `HEAD /${name}/k`)), { ...first, meta: 2 })
  const held = await change({
    'x-goog-if-generation-match': `${first.generation}`,
    'x-goog-if-metageneration-match': '2',
  })
  assert.equal(numbers(held), { ...first, meta: 3 })
  for (const value of ['', 'x', '-1', '1.5', '1 2', '9'.repeat(20)])
    for (const line of [`GET /${name}/k`, `PUT /${name}/k`, `PUT /${name}/k?acl`, `DELETE /${name}/k`]) {
      const answer = await ask(anna, line, { 'x-goog-if-metageneration-match': value })
      assert.equal([answer.status, answer.code], [400, 'InvalidArgument'], `${line} ${value}`)
    }
  // an overwrite is a new generation, which does not inherit
  const second = numbers(await good(anna, `PUT /${name}/k`, {}, 'y'))
  assert.ok(second.generation > first.generation)
  assert.is(second.meta, 1)
  assert.is(grantsIn(await good(anna, `GET /${name}/k?acl`)), `${anna.id}=FULL_CONTROL`)
  for (const field of ['generation', 'versionId'])
    for (const line of [`GET /${name}/k?`, `HEAD /${name}/k?`, `GET /${name}/k?acl&`, `PUT /${name}/k?acl&`]) {
      const headers = line.startsWith('PUT') ? acl : {}
      await good(anna, `${line}${field}=${second.generation}`, headers)
      const old = await ask(anna, `${line}${field}=${first.generation}`, headers)
      assert.equal([old.status, old.code], [404, line.startsWith('HEAD') ? '' : 'NoSuchVersion'], line)
      assert.is((await ask(anna, `${line}${field}=x`, headers)).status, 400)
    }
  assert.is((await ask(anna, `PUT /${name}/k?generation=${second.generation}`, {}, 'z')).status, 501)
}

async function conditionsOnWrites({ anna, ask, good, bucket }: World): Promise<void> {
  const name = await bucket()
  const put = (headers: Record<string, string>) => ask(anna, `PUT /${name}/k`, headers, 'x')
  assert.is((await put({ 'x-goog-if-generation-match': '999' })).status, 412)
  assert.is((await put({ 'x-goog-if-generation-not-match': '0' })).status, 412)
  const made = await put({ 'x-goog-if-generation-match': '0' })
  assert.is(made.status, 200)
  const { generation } = numbers(made)
  assert.is((await put({ 'x-goog-if-generation-match': '0' })).status, 412)
  assert.is((await put({ 'x-goog-if-generation-not-match': `${generation}` })).status, 412)
  assert.is((await put({ 'x-goog-if-metageneration-match': '2' })).status, 412)
  const copy = (headers: Record<string, string>) =>
    ask(anna, `PUT /${name}/copy`, { 'x-amz-copy-source': `/${name}/k`, ...headers })
  for (const headers of [
    { 'x-goog-copy-source-if-generation-match': `${generation + 1}` },
    { 'x-goog-copy-source-if-generation-not-match': `${generation}` },
    { 'x-goog-copy-source-if-metageneration-match': '2' },
    { 'x-goog-if-generation-match': '5' },
  ])
    assert.is((await copy(headers)).status, 412, JSON.stringify(headers))
  assert.is((await copy({ 'x-amz-copy-source': `/${name}/k?versionId=${generation + 1}` })).code, 'NoSuchVersion')
  const copied = await copy({
    'x-goog-copy-source-if-generation-match': `${generation}`,
    'x-goog-if-generation-match': '0',
  })
  assert.is(copied.status, 200)
  assert.ok(numbers(copied).generation > generation)
  // there and back: a body that comes to a place again is a new object there, counted from 1
  await good(anna, `PUT /${name}/copy?acl`, { 'x-amz-acl': 'public-read' })
  const again = numbers(await copy({}))
  assert.is(again.meta, 1)
  const next = await ask(anna, `PUT /${name}/copy?acl`, {
    'x-amz-acl': 'public-read',
    'x-goog-if-metageneration-match': '1',
  })
  assert.equal([next.status, numbers(next)], [200, { ...again, meta: 2 }])
  const remove = (headers: Record<string, string>, query = '') => ask(anna, `DELETE /${name}/k${query}`, headers)
  assert.is((await remove({ 'x-goog-if-generation-match': '1' })).status, 412)
  assert.is((await remove({ 'x-goog-if-metageneration-not-match': '1' })).status, 412)
  assert.is((await remove({}, '?generation=1')).code, 'NoSuchVersion')
  assert.is((await remove({ 'x-goog-if-generation-match': `${generation}` })).status, 204)
  assert.is((await put({ 'x-goog-if-generation-match': '0' })).status, 200)
}

async function metagenerationOfABucket({ anna, ask, good, bucket }: World): Promise<void> {
  const name = await bucket()
  const shown = await good(anna, `GET /${name}?acl`)
  assert.equal([shown.headers.get('x-goog-generation'), numbers(shown).meta], [undefined, 1])
  const change = (headers: Record<string, string>, sub = 'acl') =>
    ask(anna, `PUT /${name}?${sub}`, { 'x-goog-acl': 'public-read', ...headers })
  assert.is((await change({ 'x-goog-if-metageneration-match': '2' })).status, 412)
  assert.is(numbers(await change({ 'x-goog-if-metageneration-match': '1' })).meta, 2)
  assert.is(numbers(await change({ 'x-goog-if-metageneration-match': '2' }, 'defaultObjectAcl')).meta, 3)
  assert.is((await change({ 'x-goog-if-generation-match': '1' })).status, 400)
  assert.is((await ask(anna, `GET /${name}?acl`, { 'x-goog-if-metageneration-match': '2' })).status, 412)
  assert.is((await ask(anna, `GET /${name}?acl`, { 'x-goog-if-metageneration-not-match': '3' })).status, 304)
}

async function oneOfManyWriters({ anna, bert, ask, good, bucket, fixture }: World): Promise<void> {
  const name = await bucket()
  const statuses = async (each: (at: number) => Promise<Answer>) => {
    const answers = await Promise.all(Array.from({ length: 20 }, (_, at) => each(at)))
    return answers.map(answer => answer.status).sort()
  }
  const one = [200, ...Array.from({ length: 19 }, () => 412)]
  const absent = { 'x-goog-if-generation-match': '0' }
  assert.equal(await statuses(at => ask(anna, `PUT /${name}/k`, absent, `${at}`)), one)
  const once = { 'x-goog-if-metageneration-match': '1' }
  const grants = (at: number) => policy([`${bert.id}=${at % 2 === 0 ? 'READ' : 'READ_ACP'}`, `${anna.id}=READ`])
  assert.equal(
    await statuses(at => ask(anna, `PUT /${name}/k?acl`, { ...once, 'x-amz-meta-n': `${at}` }, grants(at))),
    one,
  )
  assert.equal(
    await statuses(at => ask(anna, `PUT /${name}?acl`, { ...once, 'x-amz-meta-n': `${at}` }, grants(at))),
    one,
  )
  assert.equal(await statuses(at => ask(anna, `PUT /${name}/acl`, { ...MARK, ...absent }, grants(at))), one)
  // the store lags behind what the keystore has decided: its number is refused, and is right from then on
  const { release } = fixture.authority
  const { bind } = release
  release.bind = async request => {
    await bind(request)
    throw new Error('the answer is lost')
  }
  assert.ok((await ask(anna, `PUT /${name}/k?acl`, { 'x-amz-acl': 'private' })).status >= 500)
  release.bind = bind
  const meta = { 'x-goog-if-metageneration-match': '2' }
  assert.is(numbers(await good(anna, `HEAD /${name}/k`)).meta, 2)
  assert.is((await ask(anna, `PUT /${name}/k?acl`, { 'x-amz-acl': 'public-read', ...meta })).status, 412)
  assert.is(numbers(await good(anna, `HEAD /${name}/k`)).meta, 3)
  assert.is(grantsIn(await good(anna, `GET /${name}/k?acl`)), `${anna.id}=FULL_CONTROL`)
  assert.is((await ask(null, `GET /${name}/k`)).status, 403)
}

/** Rule 28: generations and metagenerations. */
export const GENERATION_RULES = [
  rule(28, async world => {
    for (const show of [numbersOfAnObject, conditionsOnWrites, metagenerationOfABucket, oneOfManyWriters])
      await show(world)
  }),
]
