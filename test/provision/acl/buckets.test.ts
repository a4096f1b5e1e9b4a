import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openWorld, policy, type World } from './world.ts'

const test = suite('buckets of users')
let world: World
test.before(async () => {
  world = await openWorld()
})
test.after(() => world.remove())

test("what comes by drive for an account goes into a bucket of any of its users, and of nobody else's", async () => {
  const { anna, bert, carl, hosted, bucket } = world
  const name = await bucket(carl)
  assert.is(await hosted.registration.openBucket(name, anna.id), 'ready')
  assert.is(await hosted.registration.openBucket(name, bert.id), 'foreign')
})

test('a name is taken for everybody, and free again when its bucket is gone', async () => {
  const { anna, bert, ask, good, bucket } = world
  const name = await bucket(anna)
  for (const who of [anna, bert]) assert.is((await ask(who, `PUT /${name}`)).status, 409)
  await good(anna, `DELETE /${name}`)
  await good(bert, `PUT /${name}`)
  assert.is((await ask(anna, `GET /${name}`)).status, 403)
})

test('a bucket that the store lost between two steps is made again by its owner, and by nobody else', async () => {
  const { anna, bert, ask, good, bucket, hosted, fixture } = world
  const name = await bucket(anna)
  const { release } = fixture.authority
  const { closeBucket } = release
  release.closeBucket = async () => undefined
  await good(anna, `DELETE /${name}`)
  release.closeBucket = closeBucket
  assert.is((await ask(bert, `PUT /${name}`)).status, 409)
  await good(anna, `PUT /${name}`)
  assert.is(await hosted.registration.openBucket(name, anna.id), 'ready')
})

test('nobody who is not known deletes a bucket, whatever its ACL gives everybody', async () => {
  const { anna, ask, good, bucket } = world
  const name = await bucket(anna)
  await good(anna, `PUT /${name}?acl`, {}, policy(['http://acs.amazonaws.com/groups/global/AllUsers=FULL_CONTROL']))
  assert.is((await ask(null, `DELETE /${name}`)).status, 403)
  await good(anna, `HEAD /${name}`)
})

test.run()
