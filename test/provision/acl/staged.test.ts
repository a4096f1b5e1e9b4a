import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ReleaseError } from '../../../format/release.ts'
import { ACL_CONTENT_TYPE } from '../../../provision/hosted/acl/acl-rows.ts'
import { openWorld, policy, type World } from './world.ts'

const test = suite('ACL objects and crashes')
let world: World
test.before.each(async () => {
  world = await openWorld()
})
test.after.each(() => world.remove())

const MARK = { 'content-type': ACL_CONTENT_TYPE }
const blobsLeft = () =>
  ['incoming', 'blobs'].flatMap(each =>
    readdirSync(join(world.directory, each), { recursive: true, withFileTypes: true }).filter(found => found.isFile()),
  ).length

/** An ACL object that lets nobody read, and an object that refers to it. */
async function prepared(): Promise<string> {
  const { anna, good, bucket } = world
  const name = await bucket()
  await good(anna, `PUT /${name}/acl`, MARK, policy([]))
  await good(anna, `PUT /${name}/k`, { 'x-storage-acl': `${name}/acl`, 'x-storage-acl-mode': 'reference' }, 'x')
  return name
}

test('what came into force and was not seen yet is seen after the next start', async () => {
  const { anna, bert, ask, good, fixture } = world
  const name = await prepared()
  const { release } = fixture.authority
  const { putAclObject, aclObjectAt } = release
  release.putAclObject = async request => {
    await putAclObject(request)
    throw new ReleaseError('unavailable', 'the answer is lost')
  }
  release.aclObjectAt = async () => {
    throw new ReleaseError('unavailable', 'and the authority is away')
  }
  assert.is((await ask(anna, `PUT /${name}/acl`, MARK, policy([`${bert.id}=READ`]))).status, 503)
  // in force there, not here: both must say yes
  assert.is((await ask(bert, `GET /${name}/k`)).status, 403)
  Object.assign(release, { putAclObject, aclObjectAt })
  await world.restart()
  await good(bert, `GET /${name}/k`)
  assert.match((await good(anna, `GET /${name}/acl`)).text, bert.id)
})

test('what did not come into force is taken back, whole', async () => {
  const { anna, bert, ask, good, fixture } = world
  const name = await prepared()
  const before = blobsLeft()
  const { release } = fixture.authority
  const { putAclObject, aclObjectAt } = release
  const away = async (): Promise<never> => {
    throw new ReleaseError('unavailable', 'away')
  }
  Object.assign(release, { putAclObject: away, aclObjectAt: away })
  assert.is((await ask(anna, `PUT /${name}/acl`, MARK, policy([`${bert.id}=READ`]))).status, 503)
  Object.assign(release, { putAclObject, aclObjectAt })
  await world.restart()
  assert.is((await ask(bert, `GET /${name}/k`)).status, 403)
  assert.not((await good(anna, `GET /${name}/acl`)).text.includes(bert.id))
  assert.is(blobsLeft(), before)
})

test('an answer that is lost while the authority is there is found out at once', async () => {
  const { anna, bert, ask, good, fixture } = world
  const name = await prepared()
  const { release } = fixture.authority
  const { putAclObject } = release
  release.putAclObject = async request => {
    await putAclObject(request)
    throw new ReleaseError('unavailable', 'the answer is lost')
  }
  assert.is((await ask(anna, `PUT /${name}/acl`, MARK, policy([`${bert.id}=READ`]))).status, 503)
  release.putAclObject = putAclObject
  await good(bert, `GET /${name}/k`)
})

test('what the authority refuses leaves nothing', async () => {
  const { anna, ask } = world
  const name = await prepared()
  const before = blobsLeft()
  assert.is((await ask(anna, `PUT /${name}/acl`, MARK, policy(['0123456789abcdef=READ']))).status, 400)
  assert.is(blobsLeft(), before)
})

test('fifty writers at once: what is shown is what decides', async () => {
  const { anna, bert, ask, good } = world
  const name = await prepared()
  const writes = Array.from({ length: 50 }, (_, at) =>
    ask(anna, `PUT /${name}/acl`, MARK, policy([`${bert.id}=${at % 2 === 0 ? 'READ' : 'READ_ACP'}`])),
  )
  assert.equal([...new Set((await Promise.all(writes)).map(each => each.status))], [200])
  const reads = (await good(anna, `GET /${name}/acl`)).text.includes('>READ<')
  assert.is((await ask(bert, `GET /${name}/k`)).status, reads ? 200 : 403)
  assert.match((await good(anna, `GET /${name}/k?acl`)).text, reads ? '>READ<' : '>READ_ACP<')
})

test.run()
