import * as assert from 'uvu/assert'
import { rule } from './rule.ts'
import { grantsIn, policy, roles, type Someone } from './world.ts'

/** Rules 11 to 20: owners, and what each verb needs. */
export const VERB_RULES = [
  rule(11, async ({ anna, bert, ask, good, bucket }) => {
    const name = await bucket(anna, { 'x-amz-acl': 'public-read-write' })
    await good(bert, `PUT /${name}/k`, {}, 'x')
    const other = await ask(bert, `PUT /${name}/k?acl`, {}, policy([`${bert.id}=FULL_CONTROL`], anna.id))
    assert.equal([other.status, other.code], [403, 'AccessDenied'])
    await good(bert, `PUT /${name}/k?acl`, {}, policy([`${anna.id}=FULL_CONTROL`], bert.id))
    // Google's owner is not looked at, and whoever may write the ACL does not become the owner by it
    const google = roles([`UserById ${anna.id}=FULL_CONTROL`]).replace(
      '<Entries>',
      `<Owner><ID>${anna.id}</ID></Owner><Entries>`,
    )
    await good(anna, `PUT /${name}/k?acl`, {}, google)
    assert.match((await good(anna, `GET /${name}/k?acl`)).text, `<Owner><ID>${bert.id}</ID>`)
  }),
  rule(12, async ({ anna, ask, good, bucket }) => {
    const name = await bucket()
    await good(anna, `PUT /${name}/k`, {}, 'x')
    for (const target of [`/${name}`, `/${name}/k`]) {
      await good(anna, `PUT ${target}?acl`, {}, policy([], anna.id))
      assert.is(grantsIn(await good(anna, `GET ${target}?acl`)), '')
      const google = await good(anna, `GET ${target}?acl`, { 'x-goog-api-version': '2' })
      assert.match(google.text, `<ID>${anna.id}</ID>`)
      assert.match(google.text, 'FULL_CONTROL')
    }
    assert.is((await ask(anna, `GET /${name}/k`)).text, 'x')
    await good(anna, `PUT /${name}/k?acl`, { 'x-amz-acl': 'private' })
  }),
  rule(13, async ({ anna, bert, ask, good, bucket }) => {
    const name = await bucket(anna, { 'x-amz-acl': 'public-read-write' })
    await good(bert, `PUT /${name}/k`, {}, 'of bert')
    assert.is((await ask(anna, `GET /${name}/k`)).status, 403)
    assert.is((await ask(anna, `GET /${name}/k?acl`)).status, 403)
    assert.is((await good(bert, `GET /${name}/k`)).text, 'of bert')
    await good(anna, `DELETE /${name}/k`)
    assert.is((await ask(bert, `GET /${name}/k`)).status, 404)
  }),
  rule(14, async ({ anna, bert, ask, good, bucket }) => {
    const closed = await bucket()
    assert.is((await ask(null, `PUT /${closed}/k`, {}, 'x')).status, 403)
    const name = await bucket(anna, { 'x-amz-acl': 'public-read-write' })
    await good(null, `PUT /${name}/k`, {}, 'left here')
    const shown = await good(anna, `GET /${name}/k?acl`)
    assert.is(grantsIn(shown), `${anna.id}=FULL_CONTROL`)
    assert.match(shown.text, '<Owner><ID>anonymous</ID>')
    assert.is((await good(anna, `GET /${name}/k`)).text, 'left here')
    for (const who of [bert, null]) {
      assert.is((await ask(who, `GET /${name}/k`)).status, 403)
      assert.is((await ask(who, `PUT /${name}/k?acl`, who === null ? {} : { 'x-amz-acl': 'private' })).status, 403)
    }
    // whoever may change the ACL does not become the owner by it
    await good(anna, `PUT /${name}/k?acl`, {}, policy([`${bert.id}=FULL_CONTROL`]))
    assert.match((await good(bert, `GET /${name}/k?acl`)).text, '<Owner><ID>anonymous</ID>')
    assert.is((await ask(bert, `PUT /${name}/k?acl`, {}, policy([], bert.id))).status, 403)
    // what nobody signed asks for no ACL, and for no upload in parts
    assert.is((await ask(null, `PUT /${name}/l`, { 'x-amz-acl': 'public-read' }, 'x')).status, 403)
    assert.is((await ask(null, `POST /${name}/l?uploads=`)).status, 403)
    await good(anna, `PUT /${name}?defaultObjectAcl`, { 'x-goog-acl': 'public-read' })
    await good(null, `PUT /${name}/open`, {}, 'for all')
    assert.is((await good(bert, `GET /${name}/open`)).text, 'for all')
  }),
  rule(15, async ({ anna, bert, ask, good, bucket }) => {
    const name = await bucket()
    await good(anna, `PUT /${name}/k`, { 'x-amz-acl': 'public-read' }, 'x')
    for (const line of [`PUT /${name}/new`, `PUT /${name}/k`, `DELETE /${name}/k`, `POST /${name}/k?uploads=`])
      assert.is((await ask(bert, line)).status, 403, line)
    await good(anna, `PUT /${name}?acl`, { 'x-amz-grant-write': `id="${bert.id}"` })
    await good(bert, `PUT /${name}/k`, {}, 'y')
    assert.is((await good(bert, `GET /${name}/k`)).text, 'y')
    assert.is(grantsIn(await good(bert, `GET /${name}/k?acl`)), `${bert.id}=FULL_CONTROL`, 'fresh, and his')
    assert.is((await ask(anna, `GET /${name}/k`)).status, 403)
    const begun = await good(bert, `POST /${name}/parts?uploads=`, { 'x-amz-acl': 'public-read' })
    const id = /<UploadId>([^<]+)</.exec(begun.text)?.[1]
    const part = await good(bert, `PUT /${name}/parts?partNumber=1&uploadId=${id}`, {}, 'whole')
    const list = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${part.headers.get('etag')}</ETag></Part></CompleteMultipartUpload>`
    await good(bert, `POST /${name}/parts?uploadId=${id}`, {}, list)
    assert.is((await good(null, `GET /${name}/parts`)).text, 'whole')
    await good(bert, `DELETE /${name}/k`)
  }),
  rule(16, async ({ anna, bert, ask, good, bucket }) => {
    const name = await bucket()
    await good(anna, `PUT /${name}/k`, { 'x-amz-grant-read': `id="${bert.id}"` }, 'x')
    await good(bert, `GET /${name}/k`)
    await good(bert, `HEAD /${name}/k`)
    for (const line of [`GET /${name}`, `GET /${name}?uploads=`, `HEAD /${name}`])
      assert.is((await ask(bert, line)).status, 403, line)
    await good(anna, `PUT /${name}?acl`, { 'x-amz-grant-read': `id="${bert.id}"` })
    for (const line of [`GET /${name}`, `GET /${name}?uploads=`, `HEAD /${name}`]) await good(bert, line)
    await good(anna, `PUT /${name}/closed`, {}, 'x')
    assert.is((await ask(bert, `GET /${name}/closed`)).status, 403, 'no right on a bucket opens an object')
  }),
  rule(17, async ({ anna, bert, ask, good, bucket }) => {
    const name = await bucket(anna, { 'x-amz-acl': 'public-read-write' })
    await good(bert, `PUT /${name}/k`, {}, 'x')
    const may = async () => [
      (await ask(anna, `GET /${name}/k?acl`)).status,
      (await ask(anna, `PUT /${name}/k?acl`, { 'x-amz-acl': 'public-read' })).status,
    ]
    assert.equal(await may(), [403, 403])
    await good(bert, `PUT /${name}/k?acl`, { 'x-amz-grant-read-acp': `id="${anna.id}"` })
    assert.equal(await may(), [200, 403])
    await good(bert, `PUT /${name}/k?acl`, { 'x-amz-grant-write-acp': `id="${anna.id}"` })
    assert.equal(await may(), [403, 200])
  }),
  rule(18, async ({ anna, bert, ask, good, bucket }) => {
    const name = await bucket()
    const may = async (header: string | null) => {
      const headers = header === null ? { 'x-amz-acl': 'private' } : { [`x-amz-grant-${header}`]: `id="${bert.id}"` }
      await good(anna, `PUT /${name}?acl`, headers)
      return [
        (await ask(bert, `GET /${name}?defaultObjectAcl`)).status,
        (await ask(bert, `PUT /${name}?defaultObjectAcl`, { 'x-goog-acl': 'private' })).status,
        (await ask(bert, `DELETE /${name}`)).status,
      ]
    }
    assert.equal(await may(null), [403, 403, 403])
    assert.equal(await may('write'), [403, 403, 403])
    assert.equal(await may('read-acp'), [200, 403, 403])
    assert.equal(await may('write-acp'), [403, 200, 403])
    await good(anna, `PUT /${name}/k`, {}, 'x')
    await good(anna, `PUT /${name}?acl`, { 'x-amz-grant-full-control': `id="${bert.id}"` })
    assert.is((await ask(bert, `DELETE /${name}`)).code, 'BucketNotEmpty')
    await good(anna, `DELETE /${name}/k`)
    await good(bert, `DELETE /${name}`)
    // the name is free for whoever comes next
    await good(bert, `PUT /${name}`)
  }),
  rule(19, async ({ anna, bert, ask, good, bucket }) => {
    const from = await bucket()
    const to = await bucket(bert)
    await good(anna, `PUT /${from}/k`, { 'x-amz-acl': 'public-read' }, 'x')
    await good(anna, `PUT /${from}/closed`, {}, 'x')
    const copy = (key: string, where: string, headers = {}) =>
      ask(bert, `PUT /${where}/copy`, { 'x-amz-copy-source': `/${from}/${key}`, ...headers })
    assert.is((await copy('closed', to)).status, 403)
    assert.is((await copy('k', from)).status, 403)
    assert.is((await copy('k', to)).status, 200)
    assert.is(grantsIn(await good(bert, `GET /${to}/copy?acl`)), `${bert.id}=FULL_CONTROL`)
    assert.is((await ask(null, `GET /${to}/copy`)).status, 403)
    assert.is((await copy('k', to, { 'x-amz-acl': 'public-read' })).status, 200)
    assert.is((await good(null, `GET /${to}/copy`)).text, 'x')
  }),
]

/** Rules 22 to 29: how an ACL is said, and what writing one does. */
export const SETTING_RULES = [
  rule(21, async world => {
    const { administration, anna, ask, good, bucket } = world
    const name = await bucket()
    await good(anna, `PUT /${name}/k`, {}, 'x')
    const html = { accept: 'text/html,*/*;q=0.8' }
    const line = `GET /${name}/k?response-cache-control=a%26b`
    assert.is((await ask(null, line, html)).code, 'AccessDenied', 'where logging in is off')
    await administration.addLoginOrigin('http://localhost')
    world.fixture.clock.now += 3000
    const sent = async (who: Someone | null, asked: string, headers: Record<string, string> = html) =>
      (await ask(who, asked, headers)).status
    const to = new URL((await ask(null, line, html)).headers.get('location') ?? '')
    assert.is(`${to.origin}${to.pathname}`, 'http://localhost/.sealift/login')
    // signed: the keystore opens what it signed itself, and that alone
    assert.match(to.searchParams.get('back') ?? '', /^\d+\.[\w-]{43}\.http:\/\/localhost\//)
    assert.ok((to.searchParams.get('back') ?? '').endsWith(line.slice('GET '.length)))
    assert.is(await sent(null, `HEAD /${name}/k`), 302)
    assert.is(await sent(null, line, {}), 403, 'an API client')
    assert.is(await sent(null, line, { accept: '*/*' }), 403)
    assert.is(await sent(null, `PUT /${name}/k`), 403, 'what changes something')
    assert.is(await sent(null, `DELETE /${name}/k`), 403)
    assert.is(await sent(world.bert, line), 403, 'who signs and may not')
    assert.is(await sent(null, line, { ...html, authorization: 'Bearer a.b.c' }), 401)
    assert.is(await sent(null, `GET /${name}/k?X-Amz-Signature=1`), 400)
    assert.is(await sent(null, line, { ...html, host: 'other.example' }), 403, 'a host where it is off')
    assert.is(await sent(null, `GET /${name}/none`), 302, 'what is not there looks the same')
    await good(anna, `PUT /${name}/k?acl`, { 'x-amz-acl': 'public-read' })
    assert.is(await sent(null, `GET /${name}/k`), 200, 'what everybody may read')
    await administration.removeLoginOrigin('http://localhost')
    world.fixture.clock.now += 3000
    assert.is(await sent(null, `GET /${name}`), 403)
  }),
  rule(22, async ({ anna, bert, ask, good, bucket }) => {
    const name = await bucket()
    await good(anna, `PUT /${name}/first`, {}, 'x')
    assert.is(grantsIn(await good(anna, `GET /${name}/first?acl`)), `${anna.id}=FULL_CONTROL`)
    await good(anna, `PUT /${name}?defaultObjectAcl`, {}, roles([`UserById ${bert.id}=READ`]))
    await good(anna, `PUT /${name}/second`, {}, 'x')
    await good(bert, `GET /${name}/second`)
    await good(anna, `PUT /${name}/third`, { 'x-amz-acl': 'private' }, 'x')
    assert.is((await ask(bert, `GET /${name}/third`)).status, 403)
    await good(anna, `PUT /${name}/copy`, { 'x-amz-copy-source': `/${name}/third` })
    await good(bert, `GET /${name}/copy`)
  }),
  rule(23, async ({ anna, ask, good, bucket }) => {
    const name = await bucket()
    await good(anna, `PUT /${name}/k`, {}, 'x')
    for (const headers of [
      { 'x-amz-acl': 'private', 'x-amz-grant-read': `id="${anna.id}"` },
      { 'x-amz-acl': 'private', 'x-goog-acl': 'private' },
    ])
      for (const line of [`PUT /${name}/k`, `PUT /${name}/k?acl`, `PUT /${name}x`])
        assert.is((await ask(anna, line, headers)).code, 'InvalidRequest', line)
    assert.is((await ask(anna, `PUT /${name}/k?acl`, { 'x-amz-acl': 'private' }, policy([]))).code, 'InvalidRequest')
    assert.is((await good(anna, `GET /${name}/k`)).text, 'x')
  }),
  rule(24, async ({ anna, ask, good, bucket }) => {
    const name = await bucket()
    await good(anna, `PUT /${name}?acl`, { 'x-goog-acl': 'public-read-write' })
    for (const headers of [{ 'x-goog-acl': 'public-read-write' }, { 'x-amz-acl': 'no-such' }, { 'x-amz-acl': '' }])
      assert.is((await ask(anna, `PUT /${name}/k`, headers, 'x')).status, 400, JSON.stringify(headers))
    for (const canned of ['bucket-owner-read', 'bucket-owner-full-control']) {
      assert.is((await ask(anna, `PUT /${name}?acl`, { 'x-amz-acl': canned })).status, 400)
      await good(anna, `PUT /${name}/k`, { 'x-amz-acl': canned }, 'x')
    }
    await good(anna, `PUT /${name}/k`, { 'x-amz-acl': 'public-read-write' }, 'x')
    assert.is(grantsIn(await good(anna, `GET /${name}/k?acl`)), `AllUsers=READ AllUsers=WRITE ${anna.id}=FULL_CONTROL`)
  }),
  rule(25, async ({ anna, bert, good, bucket }) => {
    const name = await bucket(anna, { 'x-amz-acl': 'public-read-write' })
    for (const [canned, grants] of [
      ['private', ''],
      ['public-read', 'AllUsers=READ '],
      ['authenticated-read', 'AuthenticatedUsers=READ '],
      ['bucket-owner-read', `${anna.id}=READ `],
      ['bucket-owner-full-control', `${anna.id}=FULL_CONTROL `],
    ] as const) {
      await good(bert, `PUT /${name}/k`, { 'x-amz-acl': canned }, canned)
      const shown = grantsIn(await good(bert, `GET /${name}/k?acl`)).split(' ')
      assert.equal(shown.sort(), `${grants}${bert.id}=FULL_CONTROL`.split(' ').sort(), canned)
      if (canned.startsWith('bucket-owner')) assert.is((await good(anna, `GET /${name}/k`)).text, canned)
    }
  }),
  rule(26, async ({ anna, bert, ask, good, bucket }) => {
    const name = await bucket(anna, { 'x-amz-acl': 'public-read-write' })
    await good(anna, `PUT /${name}/before`, {}, 'x')
    await good(anna, `PUT /${name}?defaultObjectAcl`, { 'x-goog-acl': 'public-read' })
    const kept = (await good(anna, `GET /${name}?defaultObjectAcl`)).text
    assert.is([...kept.matchAll(/<Entry>/g)].length, 1)
    assert.not(kept.includes(anna.id))
    await good(bert, `PUT /${name}/k`, {}, 'x')
    assert.is(grantsIn(await good(bert, `GET /${name}/k?acl`)), `AllUsers=READ ${bert.id}=FULL_CONTROL`)
    assert.is((await ask(null, `GET /${name}/before`)).status, 403)
    await good(anna, `PUT /${name}?defaultObjectAcl`, { 'x-goog-acl': 'private' })
    await good(null, `GET /${name}/k`)
    assert.match((await good(anna, `GET /${name}?defaultObjectAcl`)).text, '<AccessControlList><Entries></Entries>')
  }),
  rule(27, async ({ anna, bert, ask, good, bucket }) => {
    const name = await bucket()
    await good(anna, `PUT /${name}/k`, { 'content-type': 'text/x' }, 'x')
    const looks = async () => {
      const { headers } = await good(anna, `HEAD /${name}/k`)
      return ['etag', 'last-modified', 'content-type'].map(each => headers.get(each))
    }
    const before = await looks()
    const writes = Array.from({ length: 50 }, (_, at) =>
      ask(anna, `PUT /${name}/k?acl`, {}, policy([`${bert.id}=${at % 2 === 0 ? 'READ' : 'READ_ACP'}`])),
    )
    assert.equal([...new Set((await Promise.all(writes)).map(each => each.status))], [200])
    // what is shown is what both decide by
    const reads = grantsIn(await good(anna, `GET /${name}/k?acl`)) === `${bert.id}=READ`
    assert.is((await ask(bert, `GET /${name}/k`)).status, reads ? 200 : 403)
    assert.equal(await looks(), before)
  }),
  rule(29, async ({ anna, ask, good, bucket }) => {
    const name = await bucket()
    await good(anna, `PUT /${name}/k`, {}, 'x')
    const before = (await good(anna, `GET /${name}/k?acl`)).text
    for (const [document, code] of [
      ['<AccessControlPolicy>', 'MalformedACLError'],
      [`<!DOCTYPE a [<!ENTITY b "c">]>${policy([])}`, 'MalformedACLError'],
      [Buffer.from([0x3c, 0xff, 0x3e]).toString('latin1'), 'MalformedACLError'],
      [policy([`${anna.id}=EVERYTHING`]), 'MalformedACLError'],
      [`${' '.repeat(64 << 10)}${policy([])}`, 'EntityTooLarge'],
      ['', 'MalformedACLError'],
    ] as const) {
      const answer = await ask(anna, `PUT /${name}/k?acl`, {}, document)
      assert.equal([answer.status, answer.code], [400, code], document.slice(0, 40))
    }
    assert.is((await good(anna, `GET /${name}/k?acl`)).text, before)
    await good(anna, `PUT /${name}/k?acl`, {}, '<ACCESSControlList><EntrIes></EntrIes></ACCESSControlList>')
  }),
]
