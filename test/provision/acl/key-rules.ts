import * as assert from 'uvu/assert'
import type { ReleaseRequest } from '../../../format/release.ts'
import { rule } from './rule.ts'
import { grantsIn, policy, type World } from './world.ts'

/** What the store asked the keystore for last: what it has in hand when it begins to lie. */
async function releaseOf(world: World, line: string): Promise<ReleaseRequest> {
  const { release } = world.fixture.authority
  const seen: ReleaseRequest[] = []
  const original = release.release
  release.release = async request => {
    seen.push(request)
    return original(request)
  }
  try {
    await world.good(world.anna, line)
  } finally {
    release.release = original
  }
  const [last] = seen
  if (last === undefined) throw new Error('nothing was asked for')
  return last
}

const refused = async (asked: Promise<unknown>): Promise<boolean> =>
  asked.then(
    () => false,
    () => true,
  )

/** Rules 43 to 45: keys. */
export const KEY_RULES = [
  rule(43, async world => {
    const { anna, bert, ask, good, bucket } = world
    const name = await bucket()
    await good(anna, `PUT /${name}/k`, { 'x-amz-acl': 'public-read' }, 'x')
    const { object } = await releaseOf(world, `GET /${name}/k`)
    const { release } = world.fixture.authority
    const asNobody = () => release.release({ proof: null, object, parts: [] })
    await asNobody()
    assert.ok(
      await refused(release.release({ proof: null, object: { ...object, binding: Buffer.alloc(0) }, parts: [] })),
    )
    await good(anna, `PUT /${name}/k?acl`, {}, policy([`${bert.id}=READ`]))
    // the very bytes that gave the key before, their binding still saying that everybody reads
    assert.ok(await refused(asNobody()))
    await good(bert, `GET /${name}/k`)
    assert.is((await ask(null, `GET /${name}/k`)).status, 403)
  }),
  rule(44, async world => {
    const { administration, anna, bert, ask, good, bucket } = world
    const name = await bucket()
    await administration.createGroup('anna', 'readers', null)
    const { id } = await administration.showGroup('anna/readers')
    await good(anna, `PUT /${name}/k`, { 'x-amz-grant-read': `uri="urn:x-storage:group:${id}"` }, 'x')
    assert.is((await ask(bert, `GET /${name}/k`)).status, 403)
    await administration.addMember('anna/readers', 'user', 'bert')
    await good(bert, `GET /${name}/k`)
    await administration.removeMember('anna/readers', 'user', 'bert')
    assert.is((await ask(bert, `GET /${name}/k`)).status, 403)
    // a document that nobody signed changes nothing
    const unsigned = await ask(anna, `PUT /${name}/k?acl`, { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' }, policy([]))
    assert.is(unsigned.status, 403)
    assert.match(unsigned.text, 'switch payload signing on')
    assert.match(grantsIn(await good(anna, `GET /${name}/k?acl`)), id)
  }),
  rule(45, async world => {
    const { anna, bert, ask, good, bucket } = world
    const name = await bucket()
    await good(anna, `PUT /${name}/k`, { 'x-amz-acl': 'public-read' }, 'old')
    const old = await releaseOf(world, `GET /${name}/k`)
    await good(anna, `PUT /${name}/k`, { 'x-amz-grant-read': `id="${bert.id}"` }, 'new')
    const fresh = await releaseOf(world, `GET /${name}/k`)
    assert.not.equal(Buffer.from(fresh.object.envelope), Buffer.from(old.object.envelope))
    assert.is((await good(bert, `GET /${name}/k`)).text, 'new')
    assert.is((await ask(null, `GET /${name}/k`)).status, 403)
    const { release } = world.fixture.authority
    const { wrap } = release
    release.wrap = async () => {
      throw new Error('the authority is away')
    }
    try {
      assert.ok((await ask(anna, `PUT /${name}/k`, {}, 'newer')).status >= 500)
    } finally {
      release.wrap = wrap
    }
    assert.is((await good(bert, `GET /${name}/k`)).text, 'new')
  }),
]
