import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import * as assert from 'uvu/assert'
import { ACL_CONTENT_TYPE } from '../../../provision/hosted/acl/acl-rows.ts'
import { rule } from './rule.ts'
import { grantsIn, policy, roles, type Someone, type World } from './world.ts'

const MARK = { 'content-type': ACL_CONTENT_TYPE }
const EVERYBODY = 'http://acs.amazonaws.com/groups/global/AllUsers'

/** An ACL object of anna's, or of whom is given: `bucket/key`. */
async function aclObject(
  { good, bucket, anna }: World,
  entries: string[],
  options: { who?: Someone; key?: string; headers?: Record<string, string> } = {},
): Promise<string> {
  const who = options.who ?? anna
  const name = `${await bucket(who)}/${options.key ?? 'acl'}`
  await good(who, `PUT /${name}`, { ...MARK, ...options.headers }, policy(entries))
  return name
}
const by = (mode: 'copy' | 'reference', name: string) => ({ 'x-storage-acl': name, 'x-storage-acl-mode': mode })

/** Rules 30 to 42: objects that are the ACLs of others. */
export const NAMED_RULES = [
  rule(20, async world => {
    const { anna, bert, ask, good, bucket } = world
    const name = await bucket()
    assert.equal([(await ask(anna, `GET /${name}/no`)).status, (await ask(bert, `GET /${name}/no`)).status], [404, 403])
    await good(anna, `PUT /${name}?acl`, { 'x-amz-grant-read': `id="${bert.id}"` })
    assert.is((await ask(bert, `GET /${name}/no`)).status, 404)
    // whether an ACL object is there is not told to who may not read it
    const there = await aclObject(world, [])
    const mine = await bucket(bert)
    const answers = []
    for (const acl of [there, `${there}-that-is-not`, `${name}-no-bucket/acl`])
      answers.push(await ask(bert, `PUT /${mine}/k`, by('reference', acl), 'x'))
    assert.equal(
      answers.map(each => [each.status, each.code]),
      answers.map(() => [403, 'AccessDenied']),
    )
  }),
  rule(30, async world => {
    const { anna, bert, ask, good, bucket } = world
    const name = await bucket()
    const acl = await aclObject(world, [`${bert.id}=READ`], { key: 'gr%C3%BCn/1%23a' })
    await good(anna, `PUT /${name}/copy`, { 'x-storage-acl': acl }, 'x')
    assert.is((await good(anna, `GET /${name}/copy?acl`)).headers.get('x-storage-acl-reference'), undefined)
    await good(anna, `PUT /${name}/custom`, { 'x-storage-custom-acl': acl, 'x-storage-acl-mode': 'reference' }, 'x')
    assert.is((await good(anna, `GET /${name}/custom?acl`)).headers.get('x-storage-acl-reference'), `${acl}#1`)
    for (const key of ['copy', 'custom']) await good(bert, `GET /${name}/${key}`)
    await good(anna, `PUT /${name}/canned`, { 'x-storage-acl': 'public-read' }, 'x')
    await good(null, `GET /${name}/canned`)
    await good(anna, `PUT /${name}/canned?acl`, by('reference', acl))
    assert.is((await ask(null, `GET /${name}/canned`)).status, 403)
    assert.is((await ask(anna, `PUT /${name}/k`, { 'x-storage-custom-acl': 'private' }, 'x')).status, 400)
  }),
  rule(31, async world => {
    const { anna, bert, ask, good, bucket } = world
    const name = await bucket(anna, { 'x-amz-acl': 'public-read-write' })
    const acl = await aclObject(world, [`${EVERYBODY}=READ`], { headers: { 'x-storage-acl-consent': 'any' } })
    const attach = () => ask(bert, `PUT /${name}/of-bert`, by('reference', acl), 'x')
    assert.is((await attach()).status, 403, 'no R on the ACL object')
    await good(anna, `PUT /${acl}?acl`, { 'x-amz-grant-read': `id="${bert.id}"` })
    assert.is((await attach()).status, 200)
    await good(anna, `PUT /${name}/of-anna`, {}, 'x')
    assert.is((await ask(bert, `PUT /${name}/of-anna?acl`, by('reference', acl))).status, 403, 'no WA on the object')
    await good(anna, `PUT /${name}/of-anna?acl`, { 'x-amz-grant-write-acp': `id="${bert.id}"` })
    await good(bert, `PUT /${name}/of-anna?acl`, by('reference', acl))
    assert.is(
      (await ask(bert, `PUT /${await bucket()}/k`, by('reference', acl), 'x')).status,
      403,
      'no W on the bucket',
    )
  }),
  rule(32, async world => {
    const { anna, ask, good, bucket } = world
    const name = await bucket()
    for (const document of ['no XML', '<Tagging/>', policy(['nobody=READ']), policy([`${anna.id}=EVERYTHING`]), ''])
      assert.is((await ask(anna, `PUT /${name}/acl`, MARK, document)).status, 400, document)
    assert.is((await ask(anna, `PUT /${name}/acl`, MARK, `${' '.repeat(64 << 10)}${policy([])}`)).status, 400)
    assert.is((await ask(anna, `GET /${name}/acl`)).status, 404)
    await good(anna, `PUT /${name}/plain`, {}, policy([]))
    const attach = (mode: 'copy' | 'reference') => ask(anna, `PUT /${name}/k`, by(mode, `${name}/plain`), 'x')
    assert.equal([(await attach('reference')).status, (await attach('reference')).code], [400, 'InvalidAclObject'])
    assert.is((await ask(anna, `GET /${name}/k`)).status, 404, 'nothing is created')
    const acl = await aclObject(world, [`${EVERYBODY}=READ`])
    await good(anna, `PUT /${name}/k`, by('reference', acl), 'x')
    assert.is((await ask(anna, `PUT /${acl}`, MARK, 'broken')).status, 400)
    await good(null, `GET /${name}/k`)
    // what is an ACL stays one, or is deleted first
    assert.is((await ask(anna, `PUT /${acl}`, {}, 'a text')).status, 409)
  }),
  rule(33, async world => {
    const { anna, bert, ask, good, bucket } = world
    const name = await bucket()
    const acl = await aclObject(world, [`${bert.id}=READ`])
    await good(anna, `PUT /${name}/k`, by('copy', acl), 'x')
    await good(bert, `GET /${name}/k`)
    await good(anna, `PUT /${acl}`, MARK, policy([]))
    await good(bert, `GET /${name}/k`)
    await good(anna, `PUT /${name}/k?acl`, {}, policy([]))
    assert.is((await ask(bert, `GET /${name}/k`)).status, 403)
    assert.match((await good(anna, `GET /${acl}`)).text, '<AccessControlList></AccessControlList>')
  }),
  rule(34, async world => {
    const { anna, bert, ask, good, bucket } = world
    const name = await bucket()
    const acl = await aclObject(world, [`${bert.id}=READ`])
    await good(anna, `PUT /${name}/live`, by('reference', acl), 'x')
    await good(anna, `PUT /${name}/pinned`, by('reference', `${acl}#1`), 'x')
    const reads = async () => [
      (await ask(bert, `GET /${name}/live`)).status,
      (await ask(bert, `GET /${name}/pinned`)).status,
    ]
    assert.equal(await reads(), [200, 200])
    await good(anna, `PUT /${acl}`, MARK, policy([]))
    assert.equal(await reads(), [403, 200])
    assert.is((await good(anna, `GET /${name}/live?acl`)).headers.get('x-storage-acl-reference'), `${acl}#2`)
    assert.is((await good(anna, `GET /${name}/pinned?acl`)).headers.get('x-storage-acl-reference'), `${acl}#1`)
    assert.is((await ask(anna, `PUT /${name}/k`, by('reference', `${acl}#7`), 'x')).code, 'InvalidAclObject')
  }),
  rule(35, async world => {
    const { anna, bert, ask, good, bucket } = world
    const name = await bucket()
    const acl = await aclObject(world, [])
    for (let at = 0; at < 20; at++) await good(anna, `PUT /${name}/k${at}`, by('reference', acl), 'x')
    for (const [entries, status] of [
      [[`${bert.id}=READ`], 200],
      [[], 403],
      [[`${EVERYBODY}=READ`], 200],
      [[`${EVERYBODY}=READ_ACP`], 403],
    ] as const) {
      await good(anna, `PUT /${acl}`, MARK, policy([...entries]))
      for (const at of [0, 19])
        for (const method of ['GET', 'HEAD'])
          assert.is((await ask(bert, `${method} /${name}/k${at}`)).status, status, `${entries} ${method}`)
    }
  }),
  rule(36, async world => {
    const { anna, bert, ask, good, bucket } = world
    const name = await bucket()
    const outer = await aclObject(world, [`${bert.id}=READ`])
    // an ACL object whose own ACL is another one: that governs itself, not what refers to it
    const inner = await aclObject(world, [], { headers: by('reference', outer) })
    await good(bert, `GET /${inner}`)
    await good(anna, `PUT /${name}/k`, by('reference', inner), 'x')
    assert.is((await ask(bert, `GET /${name}/k`)).status, 403)
    for (const line of [`PUT /${inner}`, `PUT /${inner}?acl`]) {
      const self = await ask(
        anna,
        line,
        line.endsWith('acl?acl') ? by('reference', inner) : { ...MARK, ...by('reference', inner) },
        line.endsWith('?acl') ? '' : policy([]),
      )
      assert.equal([self.status, self.code], [400, 'InvalidAclObject'], line)
    }
  }),
  rule(37, async world => {
    const { anna, bert, carl, ask, good, bucket } = world
    const acl = await aclObject(world, ['urn:x-storage:bucket-owner=READ'], {
      headers: { 'x-storage-acl-consent': 'any' },
    })
    await good(anna, `PUT /${acl}?acl`, { 'x-amz-acl': 'authenticated-read' })
    const ofBert = await bucket(bert, { 'x-amz-acl': 'public-read-write' })
    await good(carl, `PUT /${ofBert}/k`, by('reference', acl), 'x')
    await good(bert, `GET /${ofBert}/k`)
    assert.is((await ask(anna, `GET /${ofBert}/k`)).status, 403, 'the owner of the ACL object’s bucket is nobody here')
    await good(carl, `GET /${ofBert}/k`)
    await good(carl, `PUT /${ofBert}/k?acl`, { 'x-amz-acl': 'private' })
  }),
  rule(38, async world => {
    const { anna, bert, ask, good, bucket } = world
    const acl = await aclObject(world, [`${bert.id}=WRITE`])
    const name = await bucket(anna, by('reference', acl))
    await good(bert, `PUT /${name}/k`, {}, 'x')
    assert.is((await ask(bert, `GET /${name}`)).status, 403)
    const plain = await bucket()
    await good(anna, `PUT /${plain}/k`, by('reference', acl), 'x')
    assert.is((await ask(bert, `PUT /${plain}/k`, {}, 'y')).status, 403)
    assert.is((await ask(bert, `GET /${plain}/k`)).status, 403)
    await good(anna, `PUT /${acl}`, MARK, roles([`UserById ${bert.id}=WRITE`]))
    await good(bert, `GET /${name}`)
  }),
  rule(39, async world => {
    const { anna, bert, ask, good, bucket } = world
    const name = await bucket()
    const acl = await aclObject(world, [`${EVERYBODY}=READ`])
    await good(anna, `PUT /${name}/k`, by('reference', acl), 'x')
    await good(anna, `PUT /${name}?acl`, by('reference', acl))
    const used = await ask(anna, `DELETE /${acl}`)
    assert.equal([used.status, used.code], [409, 'AclObjectInUse'])
    const listed = (await good(anna, `GET /${acl}?referrers`)).text
    assert.match(listed, '<Count>2</Count>')
    assert.match(listed, `<Referrer>${name}</Referrer><Referrer>${name}/k</Referrer>`)
    assert.is((await ask(bert, `GET /${acl}?referrers`)).status, 403)
    await good(bert, `GET /${name}/k`)
    const [home, key] = acl.split('/')
    const many = await good(anna, `POST /${home}?delete`, {}, `<Delete><Object><Key>${key}</Key></Object></Delete>`)
    assert.match(many.text, 'deleted by a DELETE of its own')
    await good(anna, `DELETE /${acl}`, { 'x-storage-force': 'true' })
    for (const line of [`GET /${name}/k`, `GET /${name}`]) assert.is((await ask(bert, line)).status, 403, line)
    assert.is((await good(anna, `GET /${name}/k`)).text, 'x')
    const shown = await good(anna, `GET /${name}/k?acl`)
    assert.is(shown.headers.get('x-storage-acl-state'), 'dangling')
    assert.is(grantsIn(shown), '')
    // another of the name is another one
    await good(anna, `PUT /${acl}`, MARK, policy([`${EVERYBODY}=READ`]))
    assert.is((await ask(bert, `GET /${name}/k`)).status, 403)
  }),
  rule(40, async world => {
    const { anna, bert, ask, good, bucket } = world
    const name = await bucket()
    const acl = await aclObject(world, [`${bert.id}=READ`])
    await good(anna, `PUT /${name}/k`, by('reference', acl), 'x')
    const shown = await good(anna, `GET /${name}/k?acl`)
    assert.is(grantsIn(shown), `${bert.id}=READ`)
    assert.is(shown.headers.get('x-storage-acl-reference'), `${acl}#1`)
    await good(anna, `PUT /${name}/k?acl`, {}, policy([]))
    assert.is((await good(anna, `GET /${name}/k?acl`)).headers.get('x-storage-acl-reference'), undefined)
    assert.is((await ask(bert, `GET /${name}/k`)).status, 403)
    assert.match((await good(anna, `GET /${acl}`)).text, bert.id)
    assert.match((await good(anna, `GET /${acl}?referrers`)).text, '<Count>0</Count>')
  }),
  rule(41, async world => {
    const { anna, bert, ask, good, bucket, fixture } = world
    const acl = await aclObject(world, [`${EVERYBODY}=READ`])
    await good(anna, `PUT /${acl}?acl`, { 'x-amz-acl': 'authenticated-read' })
    const name = await bucket(bert)
    const attach = (mode: 'copy' | 'reference') => ask(bert, `PUT /${name}/k`, by(mode, acl), 'x')
    const refused = await attach('reference')
    assert.equal([refused.status, refused.code], [400, 'InvalidAclObject'])
    assert.is((await attach('copy')).status, 200)
    await good(anna, `PUT /${acl}`, { ...MARK, 'x-storage-acl-consent': 'any' }, policy([`${EVERYBODY}=READ`]))
    await good(anna, `PUT /${acl}?acl`, { 'x-amz-acl': 'authenticated-read' })
    assert.is((await attach('reference')).status, 200)
    await good(anna, `PUT /${acl}`, { ...MARK, 'x-storage-acl-consent': 'any' }, policy([]))
    const audit = (): string => {
      const database = new Database(join(fixture.directory, 'keystore.sqlite'), { readonly: true })
      const rows = database.prepare<[], Buffer>('SELECT body FROM audit ORDER BY seq').pluck().all()
      database.close()
      return Buffer.concat(rows).toString('latin1')
    }
    for (let turn = 0; turn < 100 && !audit().includes(`${acl}, 1 referrers`); turn++) await delay(20)
    assert.match(audit(), `${acl}, 1 referrers`)
  }),
  rule(42, async world => {
    const { anna, bert, ask, good, bucket } = world
    const name = await bucket()
    const acl = await aclObject(world, [`${EVERYBODY}=READ`])
    await good(anna, `PUT /${name}/k`, by('reference', acl), 'x')
    assert.is((await ask(bert, `GET /${acl}`)).status, 403)
    await good(bert, `GET /${name}/k`)
    assert.match((await good(anna, `GET /${acl.split('/')[0]}`)).text, '<Key>acl</Key>')
    assert.match((await good(anna, `GET /${acl}`)).text, 'AllUsers')
    assert.is((await good(anna, `HEAD /${acl}`)).headers.get('content-type'), ACL_CONTENT_TYPE)
  }),
]
