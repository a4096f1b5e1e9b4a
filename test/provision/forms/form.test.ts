import { createHash } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { policy as document, grantsIn, openWorld, type World } from '../acl/world.ts'
import { BASE, CASES, signedForm, soon, usual } from './cases.ts'
import { fieldsIn, formPage } from './page.ts'
import { type Conditions, type Fields, formOf, fourth, policyText, post, signSecond } from './sender.ts'

const test = suite('forms')
let world: World
test.before(async () => {
  world = await openWorld()
})
test.after(() => world.remove())

const now = () => world.fixture.clock.now
const policyOf = (conditions: Conditions) => policyText(conditions, soon(now()))
const form = (bucket: string, given = {}) => signedForm(world.anna, bucket, now(), given)

const ODD = '"a" <b> & c'

for (const given of CASES)
  test(given.title, async () => {
    const { anna, ask, good, bucket } = world
    const name = await bucket()
    const answer = await post(world, name, form(name, given))
    assert.equal([answer.status, answer.code], [given.status, given.code ?? ''], answer.text)
    const key = given.fields?.[0]?.[1] === '\\$foo.txt' ? '%5C%24foo.txt' : 'foo.txt'
    // whole, or nothing at all
    if (given.status === 204) assert.is((await good(anna, `GET /${name}/${key}`)).text, given.file ?? 'bar')
    else assert.is((await ask(anna, `GET /${name}/${key}`)).status, 404)
  })

test('signatures of version 4, in both dialects, sign the policy', async () => {
  const { anna, bert, good, ask, bucket } = world
  for (const dialect of ['amz', 'goog'] as const) {
    const name = await bucket()
    const { sign, conditions } = fourth(anna, dialect, now())
    const text = policyOf([...usual(name), ...conditions])
    const answer = await post(world, name, formOf([...BASE, ...sign(text)], 'bar'))
    assert.is(answer.status, 204, answer.text)
    assert.is((await good(anna, `GET /${name}/foo.txt`)).text, 'bar')
    // somebody else's signature under the same credential, one of tomorrow, and one without its fields in the policy
    const other = fourth({ ...bert, accessKey: anna.accessKey }, dialect, now()).sign(text)
    assert.is((await post(world, name, formOf([...BASE, ...other], 'bar'))).code, 'SignatureDoesNotMatch')
    const ahead = fourth(anna, dialect, now() + 86_400_000)
    const early = ahead.sign(policyOf([...usual(name), ...ahead.conditions]))
    assert.is((await post(world, name, formOf([...BASE, ...early], 'bar'))).code, 'RequestTimeTooSkewed')
    assert.is((await post(world, name, formOf([...BASE, ...sign(policyOf(usual(name)))], 'bar'))).status, 403)
    // the policy gives no more than its signer has
    const strange = await bucket(bert)
    const foreign = fourth(anna, dialect, now())
    const asked = foreign.sign(policyOf([...usual(strange), ...foreign.conditions]))
    assert.is((await post(world, strange, formOf([...BASE, ...asked], 'bar'))).status, 403)
    assert.is((await ask(bert, `GET /${strange}/foo.txt`)).status, 404)
  }
})

test('the ACL that a form asks for is there with the object, in each way to say it', async () => {
  const { anna, bert, good, ask, bucket } = world
  const name = await bucket()
  await good(
    anna,
    `PUT /${name}/team`,
    { 'content-type': 'application/vnd.storage.acl+xml' },
    document([`${bert.id}=READ`]),
  )
  const send = (fields: Fields) => {
    const conditions = [{ bucket: name }, ...fields.map(([field]) => ['starts-with', `$${field}`, ''])]
    return post(world, name, formOf([...fields, ...signSecond(anna, policyOf(conditions))], 'bar'))
  }
  for (const [field, value, shown] of [
    ['acl', 'public-read', 'AllUsers=READ'],
    ['x-amz-acl', 'authenticated-read', 'AuthenticatedUsers=READ'],
    ['x-goog-acl', 'public-read', 'AllUsers=READ'],
    ['x-amz-grant-read', `id="${bert.id}"`, `${bert.id}=READ`],
    ['x-storage-acl', `${name}/team`, `${bert.id}=READ`],
  ] as const) {
    assert.is(
      (
        await send([
          ['key', 'k'],
          [field, value],
        ])
      ).status,
      204,
      field,
    )
    assert.match(grantsIn(await good(anna, `GET /${name}/k?acl`)), shown)
    await good(bert, `GET /${name}/k`)
  }
  await send([
    ['key', 'ref'],
    ['x-storage-acl', `${name}/team`],
    ['x-storage-acl-mode', 'reference'],
  ])
  assert.match((await good(anna, `GET /${name}/ref?acl`)).headers.get('x-storage-acl-reference') ?? '', `${name}/team`)
  assert.is(
    (
      await send([
        ['key', 'two'],
        ['acl', 'private'],
        ['x-goog-acl', 'private'],
      ])
    ).status,
    400,
  )
  assert.is(
    (
      await send([
        ['key', 'none'],
        ['acl', 'no-such'],
      ])
    ).code,
    'MalformedACLError',
  )
  for (const key of ['two', 'none']) assert.is((await ask(anna, `GET /${name}/${key}`)).status, 404)
  // an ACL object is signed whole, which no form is
  assert.is(
    (
      await send([
        ['key', 'team'],
        ['Content-Type', 'application/vnd.storage.acl+xml'],
      ])
    ).status,
    400,
  )
})

test('a form that nobody signed goes where everybody may write, and nowhere else', async () => {
  const { anna, good, ask, bucket } = world
  const closed = await bucket()
  const form = formOf(BASE, 'bar')
  assert.is((await post(world, closed, form)).status, 403)
  const open = await bucket(anna, { 'x-amz-acl': 'public-read-write' })
  assert.is(
    (
      await post(
        world,
        open,
        formOf(
          [
            ['key', 'a'],
            ['acl', 'public-read'],
          ],
          'bar',
        ),
      )
    ).status,
    204,
  )
  assert.is((await good(null, `GET /${open}/a`)).text, 'bar')
  assert.match((await good(anna, `GET /${open}/a?acl`).catch(error => ({ text: `${error}` }))).text, 'AccessDenied')
  assert.is((await post(world, open, formOf([['key', 'b']], 'bar'))).status, 204)
  assert.is((await good(anna, `GET /${open}/b`)).text, 'bar')
  assert.is((await ask(null, `GET /${open}/b`)).status, 403)
  for (const [status, wanted] of [
    ['200', 200],
    ['201', 201],
    ['404', 204],
    ['', 204],
  ] as const) {
    const answer = await post(
      world,
      open,
      formOf(
        [
          ['key', 'foo.txt'],
          ['success_action_status', status],
        ],
        'bar',
      ),
    )
    assert.is(answer.status, wanted)
    assert.is(answer.headers.get('etag'), `"${createHash('md5').update('bar').digest('hex')}"`)
    assert.is(/<Key>(.*)<\/Key>/.exec(answer.text)?.[1], wanted === 201 ? 'foo.txt' : undefined)
  }
  const led = formOf(
    [
      ['key', 'c'],
      ['success_action_redirect', 'https://evil.example/'],
    ],
    'bar',
  )
  assert.is((await post(world, open, led)).status, 403)
  assert.is((await ask(anna, `GET /${open}/c`)).status, 404)
})

test('a redirect that the policy allows names bucket, key and etag', async () => {
  const { anna, bucket } = world
  const name = await bucket()
  const page = 'https://page.example/done?a=1'
  const fields: Fields = [...BASE, ['success_action_redirect', page]]
  const conditions = [...usual(name), ['eq', '$success_action_redirect', page]]
  const form = formOf([...fields, ...signSecond(anna, policyOf(conditions))], 'bar')
  const { status, headers } = await post(world, name, form)
  const etag = createHash('md5').update('bar').digest('hex')
  assert.equal([status, headers.get('location')], [303, `${page}&bucket=${name}&key=foo.txt&etag=%22${etag}%22`])
})

test('a page that holds the fields sends the form that was signed', async () => {
  const { anna, bucket } = world
  const name = await bucket()
  const page = formPage(`/${name}`, [
    ...BASE,
    ['x-amz-meta-foo', ODD],
    ...signSecond(anna, policyOf([...usual(name), ['eq', '$x-amz-meta-foo', ODD]])),
  ])
  assert.is((await post(world, name, formOf(fieldsIn(page), 'bar'))).status, 204)
  assert.is((await world.good(anna, `HEAD /${name}/foo.txt`)).headers.get('x-amz-meta-foo'), ODD)
})

test('the same form works till its policy ends, and not after', async () => {
  const { fixture, anna, bucket, ask } = world
  const name = await bucket()
  const sent = form(name)
  for (const wanted of [204, 204]) assert.is((await post(world, name, sent)).status, wanted)
  await world.good(anna, `DELETE /${name}/foo.txt`)
  fixture.clock.now += 6_001_000
  assert.is((await post(world, name, sent)).status, 403)
  assert.is((await ask(anna, `GET /${name}/foo.txt`)).status, 404)
})

test('a key that was switched off signs no form any more', async () => {
  const { administration, bert, bucket } = world
  const name = await bucket(bert)
  const { accessKey, secret } = await administration.createAccessKey('bert', '')
  const sign = (_: unknown, policy: string) => signSecond({ ...bert, accessKey, secretKey: secret }, policy)
  const sent = form(name, { sign })
  assert.is((await post(world, name, sent)).status, 204)
  await administration.disableAccessKey(accessKey)
  assert.is((await post(world, name, sent)).status, 403)
})

test.run()
