import * as assert from 'uvu/assert'
import { rule } from './rule.ts'
import { grantsIn, openWorld, policy, roles, type World } from './world.ts'

const EVERYBODY = 'http://acs.amazonaws.com/groups/global/AllUsers'
const KNOWN = 'http://acs.amazonaws.com/groups/global/AuthenticatedUsers'

const USUAL = { read: [403, 403, 403, 403], write: [403, 403, 403, 403] }

/** What bert may do with the ACLs of a bucket and an object that he may read, or write: see and change each. */
async function aclsFor({ anna, bert, ask, good, bucket }: World) {
  const may = async (permission: string) => {
    const name = await bucket()
    await good(anna, `PUT /${name}/k`, {}, 'x')
    const statuses: number[] = []
    for (const target of [`/${name}`, `/${name}/k`]) {
      await good(anna, `PUT ${target}?acl`, {}, policy([`${bert.id}=${permission}`]))
      statuses.push((await ask(bert, `GET ${target}?acl`)).status)
      statuses.push((await ask(bert, `PUT ${target}?acl`, {}, policy([`${bert.id}=FULL_CONTROL`]))).status)
    }
    return statuses
  }
  return { read: await may('READ'), write: await may('WRITE') }
}

/** Rules 1 to 10: what an ACL is and what it decides. */
export const MODEL_RULES = [
  rule(1, async ({ anna, bert, good, bucket }) => {
    const name = await bucket()
    await good(anna, `PUT /${name}/k`, {}, 'x')
    // the same grants in another order are the same ACL, in both views
    const grants = [`${bert.id}=READ`, `${EVERYBODY}=READ_ACP`, `${bert.id}=WRITE_ACP`]
    for (const order of [grants, grants.toReversed()]) {
      await good(anna, `PUT /${name}/k?acl`, {}, policy(order))
      assert.is(
        grantsIn(await good(anna, `GET /${name}/k?acl`)),
        `AllUsers=READ_ACP ${bert.id}=READ ${bert.id}=WRITE_ACP`,
      )
    }
    assert.match((await good(anna, `GET /${name}/k?acl`, { 'x-goog-api-version': '2' })).text, `<ID>${bert.id}</ID>`)
  }),
  rule(2, async ({ anna, bert, ask, good, bucket }) => {
    const name = await bucket()
    await good(anna, `PUT /${name}?acl`, {}, roles([`UserById ${bert.id}=WRITE`]))
    await good(bert, `PUT /${name}/k`, {}, 'x')
    await good(bert, `GET /${name}`)
    assert.is((await ask(bert, `GET /${name}?acl`)).status, 403)
    await good(anna, `PUT /${name}?acl`, {}, roles([`UserById ${bert.id}=FULL_CONTROL`]))
    await good(bert, `PUT /${name}?acl`, {}, roles([`UserById ${bert.id}=FULL_CONTROL`]))
    await good(anna, `PUT /${name}/mine`, {}, 'x')
    const refused = await ask(anna, `PUT /${name}/mine?acl`, {}, roles([`UserById ${bert.id}=WRITE`]))
    assert.equal([refused.status, refused.code], [400, 'MalformedACLError'])
    await good(anna, `PUT /${name}/mine?acl`, {}, roles([`UserById ${bert.id}=READ`]))
    await good(bert, `GET /${name}/mine`)
    assert.is((await ask(bert, `GET /${name}/mine?acl`)).status, 403)
  }),
  rule(3, async ({ anna, bert, ask, good, bucket }) => {
    const name = await bucket()
    await good(anna, `PUT /${name}?acl`, { 'x-amz-grant-write': `id="${bert.id}"` })
    await good(bert, `PUT /${name}/k`, {}, 'x')
    assert.is((await ask(bert, `GET /${name}`)).status, 403)
    await good(anna, `PUT /${name}/k2`, {}, 'x')
    const every = ['read', 'write', 'read-acp', 'write-acp', 'full-control']
    const headers = Object.fromEntries(every.map(each => [`x-amz-grant-${each}`, `id="${bert.id}"`]))
    await good(anna, `PUT /${name}/k2?acl`, headers)
    assert.is(
      grantsIn(await good(anna, `GET /${name}/k2?acl`)),
      ['READ', 'WRITE', 'READ_ACP', 'WRITE_ACP', 'FULL_CONTROL'].map(each => `${bert.id}=${each}`).join(' '),
    )
    await good(anna, `PUT /${name}?acl`, { 'x-amz-acl': 'private' })
    await good(anna, `PUT /${name}/k2?acl`, { 'x-amz-grant-write': `id="${bert.id}"` })
    assert.is((await ask(bert, `PUT /${name}/k2`, {}, 'y')).status, 403)
    assert.is((await ask(bert, `GET /${name}/k2`)).status, 403)
  }),
  rule(4, async ({ anna, bert, carl, good, bucket }) => {
    const name = await bucket()
    const view = () => good(anna, `GET /${name}?acl`, { 'x-goog-api-version': '2' })
    await good(anna, `PUT /${name}?acl`, {}, policy([`${bert.id}=READ_ACP`, `${carl.id}=READ`, `${carl.id}=WRITE_ACP`]))
    const less = await view()
    assert.is(less.headers.get('x-storage-acl-inexact'), 'true')
    assert.not(less.text.includes(bert.id))
    assert.match(less.text, `<ID>${carl.id}</ID>`)
    assert.is([...less.text.matchAll(/<Permission>(\w+)</g)].map(([, role]) => role).join(), 'FULL_CONTROL,READ')
    await good(anna, `PUT /${name}?acl`, {}, policy([`${bert.id}=READ`]))
    assert.is((await view()).headers.get('x-storage-acl-inexact'), undefined)
  }),
  rule(5, async world => {
    assert.equal(await aclsFor(world), USUAL)
    const variant = await openWorld({ readersSeeAcl: true })
    try {
      assert.equal(await aclsFor(variant), { read: [200, 403, 200, 403], write: [200, 200, 403, 403] })
      // one that does not agree with the other gives nothing: both decide
      await variant.restart({ readersSeeAcl: false })
      assert.equal(await aclsFor(variant), USUAL)
    } finally {
      await variant.remove()
    }
  }),
  rule(6, async ({ administration, anna, bert, carl, ask, good, bucket }) => {
    const name = await bucket()
    await good(anna, `PUT /${name}/k`, {}, 'x')
    const put = (whom: string) => ask(anna, `PUT /${name}/k?acl`, {}, policy([`${whom}=READ`]))
    assert.is((await put('@Carl@anna.example')).status, 200)
    assert.is(grantsIn(await good(anna, `GET /${name}/k?acl`)), `${carl.id}=READ`)
    const group = await administration.createGroup('anna', 'by-mail', 'team@anna.example')
    await good(anna, `PUT /${name}/k?acl`, {}, roles(['GroupByEmail team@anna.example=READ']))
    assert.match(
      (await good(anna, `GET /${name}/k?acl`, { 'x-goog-api-version': '2' })).text,
      `"GroupById"><ID>${group.id}`,
    )
    for (const [whom, code] of [
      ['@nobody@anna.example', 'UnresolvableGrantByEmailAddress'],
      ['0123456789abcdef', 'InvalidArgument'],
      ['urn:x-storage:group:0123456789abcdef', 'InvalidArgument'],
      ['http://acs.amazonaws.com/groups/s3/LogDelivery', 'InvalidArgument'],
    ] as const)
      assert.equal([(await put(whom)).status, (await put(whom)).code], [400, code])
    for (const account of ['anna', 'bert']) await administration.createUser(account, 'twin', 'twin@x.example')
    assert.is((await put('@twin@x.example')).code, 'AmbiguousGrantByEmailAddress')
    await good(anna, `PUT /${name}/k?acl`, {}, policy([`${KNOWN}=READ`]))
    await good(bert, `GET /${name}/k`)
  }),
  rule(7, async ({ administration, anna, ask, good, bucket }) => {
    const name = await bucket()
    const ids: string[] = []
    for (let at = 0; at < 101; at++) ids.push((await administration.createUser('bert', `u${at}`, null)).id)
    const put = (grants: string[]) => ask(anna, `PUT /${name}?acl`, {}, policy(grants))
    const hundred = ids.slice(0, 100).map(id => `${id}=READ`)
    assert.is((await put(hundred)).status, 200)
    assert.is((await put([...hundred, ...ids.slice(0, 100).map(id => `${id}=WRITE`)])).status, 200)
    assert.is(grantsIn(await good(anna, `GET /${name}?acl`)).split(' ').length, 200)
    const over = await put(ids.map(id => `${id}=READ`))
    assert.equal([over.status, over.code], [400, 'MalformedACLError'])
    assert.is(grantsIn(await good(anna, `GET /${name}?acl`)).split(' ').length, 200, 'what was refused changed nothing')
  }),
  rule(8, async ({ administration, anna, bert, ask, good, bucket }) => {
    const name = await bucket()
    const { id } = await administration.createGroup('anna', 'union', null)
    await administration.addMember('anna/union', 'user', 'bert')
    const grants = policy([`urn:x-storage:group:${id}=READ`, `${EVERYBODY}=READ_ACP`, `${bert.id}=WRITE_ACP`])
    await good(anna, `PUT /${name}/k`, {}, 'x')
    const may = async () => [
      (await ask(bert, `GET /${name}/k`)).status,
      (await ask(bert, `GET /${name}/k?acl`)).status,
      (await ask(bert, `PUT /${name}/k?acl`, { 'x-storage-acl-flags': 'specific-overrides' }, grants)).status,
    ]
    await good(anna, `PUT /${name}/k?acl`, {}, grants)
    assert.equal(await may(), [200, 200, 200])
    // bert's last write set the flag: what names him counts alone
    assert.is((await good(anna, `GET /${name}/k?acl`)).headers.get('x-storage-acl-flags'), 'specific-overrides')
    assert.equal(await may(), [403, 403, 200])
    assert.is((await ask(anna, `PUT /${name}/k?acl`, { 'x-storage-acl-flags': 'deny' }, grants)).status, 400)
  }),
  rule(9, async ({ administration, anna, bert, carl, ask, good, bucket }) => {
    const name = await bucket()
    await good(anna, `PUT /${name}/all`, { 'x-amz-acl': 'public-read' }, 'x')
    await good(anna, `PUT /${name}/known`, { 'x-amz-acl': 'authenticated-read' }, 'x')
    await good(null, `GET /${name}/all`)
    await good(bert, `GET /${name}/known`)
    assert.is((await ask(null, `GET /${name}/known`)).status, 403)
    // carl's address ends in anna.example, which nobody has verified yet
    const mine = await bucket(bert)
    await good(bert, `PUT /${mine}/k`, {}, 'x')
    await good(bert, `PUT /${mine}/k?acl`, {}, roles(['GroupByDomain anna.example=READ']))
    assert.is((await ask(carl, `GET /${mine}/k`)).status, 403)
    await administration.addDomain('anna', 'anna.example')
    await good(carl, `GET /${mine}/k`)
    await administration.removeDomain('anna', 'anna.example')
    assert.is((await ask(carl, `GET /${mine}/k`)).status, 403)
  }),
  rule(10, async ({ administration, anna, bert, ask, good, bucket }) => {
    const name = await bucket()
    const chain: { id: string }[] = []
    for (let at = 0; at < 10; at++) chain.push(await administration.createGroup('anna', `nest${at}`, null))
    for (const [at, group] of chain.entries())
      if (at > 0) await administration.addMember(group.id, 'group', chain[at - 1]?.id ?? '')
    const put = (at: number) =>
      good(anna, `PUT /${name}/k`, { 'x-amz-grant-read': `uri="urn:x-storage:group:${chain[at]?.id}"` }, 'x')
    const reads = async () => (await ask(bert, `GET /${name}/k`)).status
    await put(0)
    assert.is(await reads(), 403)
    await administration.addMember('anna/nest0', 'user', 'bert')
    assert.is(await reads(), 200)
    await put(7)
    assert.is(await reads(), 200, 'eight levels')
    await put(8)
    assert.is(await reads(), 403, 'nine are more than are followed')
    await administration.addMember('anna/nest0', 'group', 'anna/nest5')
    await put(5)
    assert.is(await reads(), 200, 'a circle')
    await administration.removeMember('anna/nest0', 'user', 'bert')
    assert.is(await reads(), 403)
  }),
]
