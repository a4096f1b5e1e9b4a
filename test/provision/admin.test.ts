import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { adminRoutes } from '../../provision/join/admin-routes.ts'
import { adminSocketPath, askAdmin, serveAdmin } from '../../provision/join/admin-socket.ts'
import { createAdminToken, isAdminToken, listAdminTokens, removeAdminToken } from '../../provision/join/admin-tokens.ts'
import { openWorld } from './acl/world.ts'

const test = suite('the administration over HTTP')
const world = await openWorld()
const { usage, dataStores } = world.hosted
const desk = { administration: world.administration, usage, dataStores }
const state = world.directory
const socket = adminSocketPath(state)
const local = await serveAdmin({ path: socket }, desk)
const remote = await serveAdmin({ host: '127.0.0.1', port: 0, isToken: token => isAdminToken(state, token) }, desk)
const token = await createAdminToken(state, 'tests', 1)
const QUOTA = { scope: 'bucket', id: 'b', dimension: 'reads', period: 'day', amount: 5 }

async function onSocket(method: 'GET' | 'PUT' | 'DELETE', path: string, value?: object) {
  const answer = await askAdmin(socket, method, path, value)
  assert.ok(answer)
  const chunks: Buffer[] = []
  for await (const chunk of answer) chunks.push(chunk)
  return { status: answer.statusCode, text: Buffer.concat(chunks).toString('utf8') }
}

async function ask<T>(
  line: string,
  body?: unknown,
  headers: Record<string, string> = { authorization: `Bearer ${token}` },
) {
  const [method = '', path = ''] = line.split(' ')
  const sent = body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }
  const answer = await fetch(`${remote.address}${path}`, { method, headers, ...sent })
  const text = await answer.text()
  return { status: answer.status, headers: answer.headers, value: JSON.parse(text) as T }
}
type Problem = { status: number; detail: string; instance: string }
type Page<T> = { items: T[]; next: string | null }
type Named = { id: string; name: string }

test('the socket is the operator’s alone', () => assert.is(statSync(socket).mode & 0o777, 0o600))

test('over TCP nothing is answered without a token, and nothing once it is removed', async () => {
  for (const authorization of ['', 'Bearer', 'Bearer x', `Basic ${token}`, `Bearer ${token}x`]) {
    const { status, value, headers } = await ask<Problem>('GET /v1/accounts', undefined, { authorization })
    assert.is(status, 401, authorization)
    assert.is(headers.get('www-authenticate'), 'Bearer')
    assert.is(value.status, 401)
  }
  const other = await createAdminToken(state, 'other', 2)
  assert.is((await ask('GET /v1/accounts', undefined, { authorization: `Bearer ${other}` })).status, 200)
  assert.equal(
    (await listAdminTokens(state)).map(each => each.name),
    ['tests', 'other'],
  )
  assert.is(await removeAdminToken(state, 'other'), true)
  assert.is(await removeAdminToken(state, 'other'), false)
  assert.is((await ask('GET /v1/accounts', undefined, { authorization: `Bearer ${other}` })).status, 401)
})

test('of tokens only digests are kept, for the operator alone', () => {
  const file = join(state, 'admin-tokens.json')
  assert.is(statSync(file).mode & 0o777, 0o600)
  assert.not(readFileSync(file, 'utf8').includes(token.slice(-20)))
})

test('accounts, users, access keys, groups, members and domains are what the keystore says', async () => {
  const made = await ask<Named>('POST /v1/accounts', { name: 'film' })
  assert.is(made.status, 200)
  const user = await ask<Named & { email: string }>('POST /v1/accounts/film/users', {
    name: 'eve',
    email: 'eve@film.example',
  })
  assert.is(user.value.email, 'eve@film.example')
  const key = await ask<{ accessKey: string; user: string }>('POST /v1/access-keys', { user: 'film/eve' })
  assert.is(key.value.user, user.value.id)
  const group = await ask<Named>('POST /v1/accounts/film/groups', { name: 'crew' })
  const members = `/v1/groups/${encodeURIComponent('film/crew')}/members`
  assert.equal((await ask(`PUT ${members}/user/${encodeURIComponent('film/eve')}`)).value, { done: true })
  assert.equal(
    (await world.administration.showGroup(group.value.id)).members.map(each => each.id),
    [user.value.id],
  )
  assert.equal(
    (await ask<Page<Named>>(`GET ${members}`)).value.items.map(each => each.id),
    [user.value.id],
  )
  await ask(`DELETE ${members}/user/${user.value.id}`)
  assert.equal((await ask<Page<Named>>(`GET ${members}`)).value, { items: [], next: null })
  assert.is((await ask('PUT /v1/accounts/film/domains/film.example')).status, 200)
  assert.is((await ask('PUT /v1/accounts/anna/domains/film.example')).status, 409)
  assert.is((await ask('DELETE /v1/accounts/film/domains/film.example')).status, 200)
  for (const line of [`/v1/access-keys/${key.value.accessKey}`, `/v1/users/${user.value.id}`, '/v1/accounts/film'])
    assert.equal((await ask(`POST ${line}/disable`)).value, { done: true })
  const accounts = await world.administration.listAccounts()
  assert.is(accounts.find(each => each.name === 'film')?.disabled, true)
  assert.is((await ask(`DELETE /v1/groups/${group.value.id}`)).status, 200)
})

test('every answer is of the form that its route says', async () => {
  for (const route of adminRoutes().filter(each => each.method === 'GET' && !each.path.includes('{group}'))) {
    const { status, value } = await ask<Page<unknown>>(`GET ${route.path.replace('{account}', 'anna')}`)
    assert.is(status, 200, route.path)
    for (const item of value.items) route.answer.parse(item)
  }
})

test('lists come by pages, each item once, whatever is added meanwhile', async () => {
  for (let number = 0; number < 7; number++) await ask('POST /v1/accounts/anna/users', { name: `paged-${number}` })
  const all = (await world.administration.listUsers('anna')).map(each => each.id).sort()
  const seen: string[] = []
  for (let next: string | null = ''; next !== null; ) {
    const { value }: { value: Page<Named> } = await ask(`GET /v1/accounts/anna/users?limit=3&cursor=${next}`)
    assert.ok(value.items.length <= 3)
    seen.push(...value.items.map(each => each.id))
    next = value.next
  }
  assert.equal(seen, all)
  for (const limit of ['0', '1001', 'x', '1.5']) assert.is((await ask(`GET /v1/accounts?limit=${limit}`)).status, 400)
})

test('a POST that is repeated with its key is done once; with another body the key is refused', async () => {
  const headers = { authorization: `Bearer ${token}`, 'idempotency-key': 'k1' }
  const many = await Promise.all(
    Array.from({ length: 5 }, () => ask<Named>('POST /v1/accounts', { name: 'once' }, headers)),
  )
  assert.is(new Set(many.map(each => `${each.status} ${each.value.id}`)).size, 1)
  assert.is(many[0]?.status, 200)
  assert.is((await ask('POST /v1/accounts', { name: 'twice' }, headers)).status, 422)
  assert.is((await ask('POST /v1/accounts', { name: 'once' })).status, 409, 'without the key it is a second')
  const failed = { ...headers, 'idempotency-key': 'k2' }
  assert.is((await ask('POST /v1/accounts/not-there/users', { name: 'x' }, failed)).status, 404)
  assert.is((await ask('POST /v1/accounts/not-there/users', { name: 'x' }, failed)).status, 404)
})

for (const [name, line, body, status, says] of [
  ['no such path', 'GET /v2/accounts', undefined, 404, /no \/v2/],
  ['no such method', 'DELETE /v1/accounts', undefined, 405, /no DELETE/],
  ['no such account', 'GET /v1/accounts/nobody/users', undefined, 404, /nobody/],
  ['a name that is taken', 'POST /v1/accounts', { name: 'anna' }, 409, /anna/],
  ['a body that is none', 'POST /v1/accounts', '{', 400, /JSON/],
  ['a field too many', 'POST /v1/accounts', { name: 'x', more: 1 }, 400, /more/],
  ['a member of no kind', 'PUT /v1/groups/g/members/robot/m', undefined, 400, /user/],
  ['a path out of form', 'GET /v1/accounts/%ff/users', undefined, 400, /UTF-8/],
  ['too long a body', 'POST /v1/accounts', { name: 'x'.repeat(70_000) }, 413, /at most/],
] as const)
  test(`${name} is refused by name, as problem+json with the request's id`, async () => {
    const { status: found, value, headers } = await ask<Problem>(line, body)
    assert.is(found, status)
    assert.is(headers.get('content-type'), 'application/problem+json')
    assert.match(value.detail, says)
    assert.is(value.instance, `urn:uuid:${headers.get('x-request-id')}`)
  })

test('/openapi.json describes every route', async () => {
  const { value } = await ask<{ openapi: string; paths: Record<string, Record<string, { requestBody?: object }>> }>(
    'GET /openapi.json',
  )
  assert.is(value.openapi, '3.1.0')
  for (const { method, path, body } of adminRoutes()) {
    const found = value.paths[path]?.[method.toLowerCase()]
    assert.ok(found, `${method} ${path}`)
    assert.is(found?.requestBody !== undefined, body !== null)
  }
})

test('a quota is set, listed and removed, once', async () => {
  assert.is((await onSocket('PUT', '/v1/quotas', QUOTA)).status, 200)
  assert.equal(JSON.parse((await onSocket('GET', '/v1/quotas')).text), { items: [QUOTA], next: null })
  const { amount: _, ...key } = QUOTA
  assert.equal(JSON.parse((await onSocket('DELETE', '/v1/quotas', key)).text), { removed: true })
  assert.equal(JSON.parse((await onSocket('DELETE', '/v1/quotas', key)).text), { removed: false })
})

for (const [name, value, says] of [
  ['a dimension that there is not', { ...QUOTA, dimension: 'songs' }, /dimension/],
  ['a period that does not fit', { ...QUOTA, period: 'second' }, /per hour, day or month/],
  ['less than nothing', { ...QUOTA, amount: -1 }, /amount/],
] as const)
  test(`${name} is refused by name`, async () => {
    const { status, text } = await onSocket('PUT', '/v1/quotas', value)
    assert.is(status, 400)
    assert.match((JSON.parse(text) as Problem).detail, says)
  })

test('usage comes as CSV with its header, and as lines of JSON', async () => {
  const bucket = await world.bucket()
  await world.good(world.anna, `PUT /${bucket}/k`, {}, 'text')
  const at = `/v1/usage?from=0&to=${world.fixture.clock.now + 3_600_000}&bucket=${bucket}`
  const [header, line, ...rest] = (await onSocket('GET', `${at}&format=csv`)).text.trim().split('\n')
  assert.is(header, 'hour,account,bucket,user,reads,writes,refused,bytes_in,bytes_out,byte_hours')
  assert.match(line ?? '', new RegExp(`^[0-9T:.Z-]+,${world.anna.id},${bucket},${world.anna.id},0,2,0,4,0,`))
  assert.equal(rest, [])
  assert.is((JSON.parse((await onSocket('GET', at)).text) as { bytesIn: number }).bytesIn, 4)
  assert.is((await onSocket('GET', '/v1/usage?from=x&to=1')).status, 400)
})

test('nobody who listens is told from a refusal', async () =>
  assert.is(await askAdmin(`${socket}-none`, 'GET', '/v1/quotas'), null))

test.after(async () => {
  await local.close()
  await remote.close()
  await world.remove()
})

test.run()
