import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KeyRelease } from '../../../format/release.ts'
import { openWorld, policy, roles, type World } from './world.ts'

const test = suite('replayed requests')
let world: World
test.before(async () => {
  world = await openWorld()
})
test.after(() => world.remove())

/** What the store hands the authority while the work is done: what it could hand over again. */
async function recorded<Name extends 'bind' | 'bindBucket' | 'rewrap'>(
  name: Name,
  work: () => Promise<unknown>,
): Promise<() => Promise<unknown>> {
  const { release } = world.fixture.authority
  const original = release[name] as (request: unknown) => Promise<unknown>
  const seen: unknown[] = []
  Object.assign(release, {
    [name]: (request: unknown) => {
      seen.push(request)
      return original(request)
    },
  } satisfies Partial<Record<keyof KeyRelease, unknown>>)
  try {
    await work()
  } finally {
    Object.assign(release, { [name]: original })
  }
  assert.is(seen.length, 1)
  return () => original(seen[0])
}

test('a grant that was taken back stays taken back, whatever the store hands over again', async () => {
  const { anna, bert, ask, good, bucket } = world
  const name = await bucket()
  await good(anna, `PUT /${name}/k`, {}, 'x')
  const again = await recorded('bind', () => good(anna, `PUT /${name}/k?acl`, {}, policy([`${bert.id}=READ`])))
  await good(bert, `GET /${name}/k`)
  // a retry changes nothing and is answered as what it asked for is in force
  assert.equal(await again(), { acl: `user:${bert.id}=R`, revision: 1, metageneration: 2, held: true })
  await good(anna, `PUT /${name}/k?acl`, {}, policy([]))
  assert.equal(await again(), { acl: '', revision: 2, metageneration: 3, held: true })
  assert.is((await ask(bert, `GET /${name}/k`)).status, 403)
})

test('nor does a bucket, its default, or a copy', async () => {
  const { anna, ask, good, bucket } = world
  const name = await bucket()
  const opened = await recorded('bindBucket', () =>
    good(anna, `PUT /${name}?acl`, { 'x-amz-acl': 'public-read-write' }),
  )
  const left = await recorded('bindBucket', () =>
    good(anna, `PUT /${name}?defaultObjectAcl`, {}, roles(['AllUsers=READ'])),
  )
  await good(anna, `PUT /${name}?acl`, { 'x-amz-acl': 'private' })
  await good(anna, `PUT /${name}?defaultObjectAcl`, { 'x-goog-acl': 'private' })
  await opened()
  await left()
  await good(anna, `PUT /${name}/k`, {}, 'x')
  assert.is((await ask(null, `GET /${name}/k`)).status, 403)
  const headers = { 'x-amz-copy-source': `/${name}/k`, 'x-amz-acl': 'public-read' }
  const copied = await recorded('rewrap', () => good(anna, `PUT /${name}/copy`, headers))
  await good(null, `GET /${name}/copy`)
  await good(anna, `PUT /${name}/copy?acl`, {}, policy([]))
  await copied()
  assert.is((await ask(null, `GET /${name}/copy`)).status, 403)
})

test('what was used is forgotten when it is too old by itself, and is refused then', async () => {
  const { anna, bert, ask, good, bucket, fixture } = world
  const name = await bucket()
  await good(anna, `PUT /${name}/k`, {}, 'x')
  const again = await recorded('bind', () => good(anna, `PUT /${name}/k?acl`, {}, policy([`${bert.id}=READ`])))
  await good(anna, `PUT /${name}/k?acl`, {}, policy([]))
  fixture.clock.now += 31 * 60_000
  assert.is(
    await again().then(
      () => 'done',
      (error: unknown) => (error instanceof Error && 'fault' in error ? error.fault : error),
    ),
    'skewed',
  )
  // and the change after it sweeps
  await good(anna, `PUT /${name}/k?acl`, {}, policy([]))
  assert.is((await ask(bert, `GET /${name}/k`)).status, 403)
})

test.run()
