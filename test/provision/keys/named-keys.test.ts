import { join } from 'node:path'
import Database from 'better-sqlite3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeCbor, encodeCbor } from '../../../format/cbor.ts'
import { parseDestructionFile, verifyDestruction } from '../../../format/destruction.ts'
import { parseBinding } from '../../../format/release.ts'
import { certifiedKey } from '../../../verify/certificate.ts'
import { openWorld, type World } from '../acl/world.ts'
import { soon } from '../forms/cases.ts'
import { type Fields, formOf, policyText, post, signSecond } from '../forms/sender.ts'
import { ended } from '../keystore/key-scene.ts'

const test = suite('named keys')
let world: World
let bucket: string
let id: string
test.before(async () => {
  world = await openWorld()
  // everybody writes here, so that what is refused is refused for the key
  bucket = await world.bucket(world.anna, { 'x-amz-acl': 'public-read-write' })
  id = (await world.administration.createKey('anna', 'film')).id
  await world.administration.grantKey('anna/film', 'user', 'anna/carl')
})
test.after(() => world.remove())

const SSE = 'x-amz-server-side-encryption'
const under = (key: string, more: Record<string, string> = {}) => ({
  [SSE]: 'aws:kms',
  [`${SSE}-aws-kms-key-id`]: key,
  'x-amz-acl': 'public-read',
  ...more,
})
const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64')
const read = async (who: World['anna'] | null, key: string) => {
  const { status, text } = await world.ask(who, `GET /${bucket}/${key}`)
  return status === 200 ? text : status
}

test('an object under a named key is read by whoever the ACL lets read and the key lets use it, and by nobody else', async () => {
  const { anna, bert, carl, administration } = world
  const put = await world.good(carl, `PUT /${bucket}/a`, under('anna/film'), 'frames')
  const head = await world.good(bert, `HEAD /${bucket}/a`)
  const got = await world.good(carl, `GET /${bucket}/a`)
  for (const { headers } of [put, head, got]) {
    assert.is(headers.get(SSE), 'aws:kms')
    assert.is(headers.get(`${SSE}-aws-kms-key-id`), id)
  }
  assert.is(await read(carl, 'a'), 'frames')
  assert.is(await read(bert, 'a'), 403, 'the ACL says yes, the key no')
  assert.is(await read(anna, 'a'), 403, 'the account whose key it is has no more right to it than it was given')
  assert.is(await read(null, 'a'), 403, 'nobody who is not known')
  await administration.grantKey(id, 'user', 'bert')
  assert.is(await read(bert, 'a'), 'frames')
  await world.good(carl, `PUT /${bucket}/a?acl`, { 'x-amz-acl': 'private' })
  assert.is(await read(bert, 'a'), 403, 'the key says yes, the ACL no')
  await world.good(carl, `PUT /${bucket}/a?acl`, { 'x-amz-acl': 'public-read' })
  assert.is(await read(bert, 'a'), 'frames')
  await administration.revokeKey(id, 'user', 'bert')
  assert.is(await read(bert, 'a'), 403, 'from the answer on')
})

test('a group that may use a key is looked up at each request', async () => {
  const { bert, administration } = world
  await administration.createGroup('anna', 'editors', null)
  await administration.grantKey('anna/film', 'group', 'anna/editors')
  assert.is(await read(bert, 'a'), 403)
  await administration.addMember('anna/editors', 'user', 'bert')
  assert.is(await read(bert, 'a'), 'frames')
  await administration.removeMember('anna/editors', 'user', 'bert')
  assert.is(await read(bert, 'a'), 403)
})

test('a key that is switched off gives nothing and takes nothing, till it is switched on', async () => {
  const { carl, administration } = world
  await administration.disableKey('anna/film')
  assert.is(await read(carl, 'a'), 403)
  assert.is((await world.ask(carl, `PUT /${bucket}/off`, under('anna/film'), 'x')).status, 403)
  await administration.enableKey('anna/film')
  assert.is(await read(carl, 'a'), 'frames')
  assert.is((await world.ask(carl, `HEAD /${bucket}/off`)).status, 404)
})

test('an object without a named key is under its owner’s, and says AES256', async () => {
  const { carl } = world
  for (const headers of [{}, { [SSE]: 'AES256' }]) {
    const put = await world.good(carl, `PUT /${bucket}/own`, headers, 'x')
    const head = await world.good(carl, `HEAD /${bucket}/own`)
    for (const answer of [put, head]) {
      assert.is(answer.headers.get(SSE), 'AES256')
      assert.is(answer.headers.get(`${SSE}-aws-kms-key-id`), undefined)
    }
  }
})

test('what is asked for wrongly is refused, and nothing is made', async () => {
  const { bert, carl } = world
  const key = `${SSE}-aws-kms-key-id`
  const context = `${SSE}-context`
  const cases: [string, Record<string, string>, number, string][] = [
    ['no such key', under('anna/none'), 403, 'AccessDenied'],
    ['no such account', under('nobody/film'), 403, 'AccessDenied'],
    ["an account's own key", under('anna'), 403, 'AccessDenied'],
    ['no key', { [SSE]: 'aws:kms' }, 400, 'InvalidArgument'],
    ['an empty key', { [SSE]: 'aws:kms', [key]: '' }, 400, 'InvalidArgument'],
    ['a key that is none', { [SSE]: 'aws:kms', [key]: 'a"b' }, 400, 'InvalidArgument'],
    ['a key that is too long', { [SSE]: 'aws:kms', [key]: 'a'.repeat(261) }, 400, 'InvalidArgument'],
    ['a key without the word', { [key]: 'anna/film' }, 400, 'InvalidArgument'],
    ['a key with another word', { [SSE]: 'AES256', [key]: 'anna/film' }, 400, 'InvalidArgument'],
    ['another algorithm', { [SSE]: 'aws:kms:dsse', [key]: 'anna/film' }, 501, 'NotImplemented'],
    ['another word', { [SSE]: 'rot13' }, 501, 'NotImplemented'],
    ['a header that nobody knows', { [SSE]: 'AES256', [`${SSE}-rounds`]: '2' }, 501, 'NotImplemented'],
    ['a key of the caller', { [`${SSE}-customer-algorithm`]: 'AES256' }, 501, 'NotImplemented'],
    ["Google's of the caller", { 'x-goog-encryption-algorithm': 'AES256' }, 501, 'NotImplemented'],
    ['two dialects', under('anna/film', { 'x-goog-encryption-kms-key-name': 'anna/film' }), 400, 'InvalidArgument'],
    ['a context without a key', { [context]: base64({ a: 'b' }) }, 400, 'InvalidArgument'],
    ['a context that is no base64', under('anna/film', { [context]: '{"a":"b"}' }), 400, 'InvalidArgument'],
    ['a context that is no JSON', under('anna/film', { [context]: 'AAAA' }), 400, 'InvalidArgument'],
    ['a context that is a list', under('anna/film', { [context]: base64(['a']) }), 400, 'InvalidArgument'],
    ['a context that is null', under('anna/film', { [context]: base64(null) }), 400, 'InvalidArgument'],
    ['a context of numbers', under('anna/film', { [context]: base64({ a: 1 }) }), 400, 'InvalidArgument'],
    ['a context too long', under('anna/film', { [context]: base64({ a: 'b'.repeat(4100) }) }), 400, 'InvalidArgument'],
  ]
  for (const [why, headers, status, code] of cases)
    for (const line of [`PUT /${bucket}/wrong`, `POST /${bucket}/wrong?uploads`]) {
      const answer = await world.ask(carl, line, headers, line.startsWith('PUT') ? 'x' : '')
      // of an upload in parts the key is judged when its first part comes
      if (status === 403 && line.startsWith('POST')) assert.is(answer.status, 200, why)
      else assert.equal([answer.status, answer.code], [status, code], `${why}: ${line}`)
    }
  assert.is((await world.ask(bert, `PUT /${bucket}/wrong`, under('anna/film'), 'x')).status, 403, 'not his key')
  assert.is((await world.ask(null, `PUT /${bucket}/wrong`, { [SSE]: 'aws:kms', [key]: 'anna/film' }, 'x')).status, 403)
  assert.is((await world.ask(carl, `HEAD /${bucket}/wrong`)).status, 404)
  for (const line of [`GET /${bucket}/a`, `HEAD /${bucket}/a`])
    assert.is((await world.ask(carl, line, { [`${SSE}-customer-algorithm`]: 'AES256' })).status, 501, line)
})

/** The row of an object behind the store's back. */
function changeRow(key: string, change: (binding: Buffer) => Buffer): void {
  const database = new Database(join(world.directory, 'hosted.sqlite'))
  const name = [bucket, Buffer.from(key)] as const
  const row = database.prepare<unknown[], { binding: Buffer }>(
    'SELECT binding FROM objects WHERE bucket = ? AND key = ?',
  )
  const binding = row.get(...name)?.binding ?? Buffer.alloc(0)
  database.prepare('UPDATE objects SET binding = ? WHERE bucket = ? AND key = ?').run(change(binding), ...name)
  database.close()
}

test('the encryption context and the key are bound to the object: a store that changes them gets no key', async () => {
  const { carl } = world
  const asked = { [`${SSE}-context`]: base64({ b: '2', a: '1' }) }
  await world.good(carl, `PUT /${bucket}/bound`, under('anna/film', asked), 'frames')
  assert.is(await read(carl, 'bound'), 'frames')
  let good: Buffer = Buffer.alloc(0)
  changeRow('bound', binding => {
    good = binding
    return binding
  })
  assert.equal(parseBinding(good).encryption, { key: id, context: '{"a":"1","b":"2"}' }, 'one text for one meaning')
  const fields = decodeCbor(good, 1 << 16, 'binding')
  const lies: [string, object][] = [
    ['another context', { ...Object(fields), enc: { k: id, c: '{"a":"1","b":"3"}' } }],
    ['no context', { ...Object(fields), enc: { k: id, c: '' } }],
    ['another key', { ...Object(fields), enc: { k: 'other', c: '{"a":"1","b":"2"}' } }],
    ['no key', { owner: Object(fields).owner, acl: Object(fields).acl }],
  ]
  for (const [why, lie] of lies) {
    changeRow('bound', () => encodeCbor({ ...lie }))
    assert.is(await read(carl, 'bound'), 403, why)
  }
  changeRow('bound', () => good)
  assert.is(await read(carl, 'bound'), 'frames')
})

test('a copy is under the key that it asks for, by right to both keys; the body is the same', async () => {
  const { bert, carl, administration } = world
  await administration.createKey('bert', 'cut')
  await administration.grantKey('bert/cut', 'user', 'bert')
  const from = (key: string) => ({ 'x-amz-copy-source': `/${bucket}/${key}` })
  const copy = (who: World['anna'], to: string, headers: Record<string, string>) =>
    world.ask(who, `PUT /${bucket}/${to}`, headers)
  assert.is((await copy(bert, 'b', { ...from('a'), ...under('bert/cut') })).status, 403, 'no right to the source’s key')
  assert.is((await copy(carl, 'b', { ...from('a'), ...under('bert/cut') })).status, 403, 'no right to the copy’s')
  await administration.grantKey('bert/cut', 'user', 'anna/carl')
  const done = await copy(carl, 'b', { ...from('a'), ...under('bert/cut') })
  assert.is(done.status, 200)
  assert.is(done.headers.get(SSE), 'aws:kms')
  assert.is(await read(bert, 'b'), 'frames', 'of another account, by its key')
  assert.is(await read(bert, 'a'), 403)
  assert.is((await copy(carl, 'c', { ...from('a'), 'x-amz-acl': 'public-read' })).status, 200)
  assert.is(await read(null, 'c'), 'frames', 'no key asked for: the copier’s account’s')
  assert.is((await copy(carl, 'd', { ...from('c'), ...under('anna/film') })).status, 200)
  assert.is(await read(null, 'd'), 403)
  assert.is(await read(carl, 'd'), 'frames')
})

test('an upload in parts and a resumable one are under the key that the request named which began them', async () => {
  const { bert, carl } = world
  const begun = await world.good(carl, `POST /${bucket}/parts?uploads`, under('anna/film'))
  const upload = /<UploadId>([^<]+)</.exec(begun.text)?.[1] ?? ''
  const part = await world.good(carl, `PUT /${bucket}/parts?partNumber=1&uploadId=${upload}`, {}, 'frames')
  const etag = part.headers.get('etag') ?? ''
  const list = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`
  const done = await world.good(carl, `POST /${bucket}/parts?uploadId=${upload}`, {}, list)
  assert.is(done.headers.get(`${SSE}-aws-kms-key-id`), id)
  assert.is(await read(carl, 'parts'), 'frames')
  assert.is(await read(bert, 'parts'), 403)
  const copied = await world.ask(carl, `PUT /${bucket}/parts2`, { 'x-amz-copy-source': `/${bucket}/parts` })
  assert.is(copied.status, 200)
  assert.is(await read(carl, 'parts2'), 'frames', 'parts under the copy’s key too')

  const headers = { 'x-goog-resumable': 'start', 'x-goog-encryption-kms-key-name': 'anna/film', 'content-length': '0' }
  const started = await world.good(carl, `POST /${bucket}/resumed`, headers)
  const address = new URL(started.headers.get('location') ?? '')
  const line = `PUT ${address.pathname}${address.search}`
  const last = await world.good(null, line, { 'content-range': 'bytes 0-5/6', 'content-length': '6' }, 'frames')
  assert.is(last.headers.get(SSE), 'aws:kms')
  assert.is(await read(carl, 'resumed'), 'frames')
  const refused = await world.ask(bert, `POST /${bucket}/resumed`, headers)
  assert.is(refused.status, 403, 'before a byte is sent')
})

test('a form is under the key that its policy lets it name, and nobody names one in a form that nobody signed', async () => {
  const { bert, carl, fixture } = world
  const fields: Fields = [
    ['key', 'form'],
    [SSE, 'aws:kms'],
    [`${SSE}-aws-kms-key-id`, 'anna/film'],
  ]
  const conditions = [{ bucket }, { key: 'form' }, { [SSE]: 'aws:kms' }, { [`${SSE}-aws-kms-key-id`]: 'anna/film' }]
  const send = (signed: Fields) => post(world, bucket, formOf([...fields, ...signed], 'frames'))
  const signedBy = (who: World['anna'], said: object[]) => signSecond(who, policyText(said, soon(fixture.clock.now)))
  assert.is((await send(signedBy(bert, conditions))).status, 403, 'not his key')
  assert.is((await send(signedBy(carl, conditions.slice(0, 3)))).status, 403, 'a key that the policy does not speak of')
  assert.is((await send([])).status, 403, 'nobody signed it')
  assert.is((await world.ask(carl, `HEAD /${bucket}/form`)).status, 404)
  const sent = await send(signedBy(carl, conditions))
  assert.is(sent.status, 204, sent.text)
  assert.is(sent.headers.get(`${SSE}-aws-kms-key-id`), id)
  assert.is(await read(carl, 'form'), 'frames')
})

test('a part under another key than its composite is none of it', async () => {
  const { carl } = world
  const begun = await world.good(carl, `POST /${bucket}/mixed?uploads`, under('anna/film'))
  const upload = /<UploadId>([^<]+)</.exec(begun.text)?.[1] ?? ''
  // the store forgets to say what the upload was begun with: the part is under the account's key
  const database = new Database(join(world.directory, 'hosted.sqlite'))
  const kept = database.prepare<[string], Buffer>('SELECT creation FROM uploads WHERE id = ?').pluck().get(upload)
  const set = (creation: Buffer | undefined): void =>
    void database.prepare('UPDATE uploads SET creation = ? WHERE id = ?').run(creation, upload)
  set(Buffer.from('none'))
  const part = await world.good(carl, `PUT /${bucket}/mixed?partNumber=1&uploadId=${upload}`, {}, 'frames')
  set(kept)
  database.close()
  const etag = part.headers.get('etag') ?? ''
  const list = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`
  await world.good(carl, `POST /${bucket}/mixed?uploadId=${upload}`, {}, list)
  assert.is(await read(carl, 'mixed'), 403)
})

test('a named key rotates, and is destroyed with what is under it and nothing else', async () => {
  const { carl, administration, fixture } = world
  await administration.rotateKey('anna/film', 'anna')
  assert.is((await ended(fixture, 'anna/film')).state, 'none')
  fixture.clock.now += 601_000
  assert.is(await read(carl, 'a'), 'frames')
  const file = await administration.destroyKey('anna/film', 'anna')
  const { signed, signerCertificate } = parseDestructionFile(file)
  const record = verifyDestruction(signed, certifiedKey(signerCertificate, null, 0, 'signer'))
  assert.equal([record.keyName, record.version, record.cause], ['film', 2, 'shredded'])
  for (const key of ['a', 'bound', 'parts', 'resumed']) assert.is(await read(carl, key), 403, key)
  assert.is(await read(null, 'c'), 'frames', 'a copy under another key')
  assert.is((await world.ask(carl, `PUT /${bucket}/late`, under('anna/film'), 'x')).status, 403)
  const [own, film] = await administration.listKeys('anna')
  assert.equal([own?.name, own?.destroyed, film?.name, film?.destroyed], ['', false, 'film', true])
})

test.run()
