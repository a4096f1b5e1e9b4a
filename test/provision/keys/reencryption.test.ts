import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseEnvelope } from '../../../format/envelope.ts'
import { openWorld, type World } from '../acl/world.ts'

const test = suite('re-encryption')
const ANEW = { 'x-storage-reencrypt': 'true' }
let world: World
let bucket: string
test.before(async () => {
  world = await openWorld()
  bucket = await world.bucket(world.anna, { 'x-amz-acl': 'public-read-write' })
})
test.after(() => world.remove())

type Row = { object_id: string; blob: string | null; envelope: Buffer }
function rowOf(key: string): Row {
  const database = new Database(join(world.directory, 'hosted.sqlite'), { readonly: true })
  const select = 'SELECT objects.object_id, blob, envelope FROM objects JOIN bodies USING (object_id) WHERE key = ?'
  const row = database.prepare<[Buffer], Row>(select).get(Buffer.from(key))
  database.close()
  if (row === undefined) throw new Error(`no ${key}`)
  return row
}
/** Whether the blob's file is anywhere below the store's directory. */
const isKept = (blob: string | null): boolean =>
  readdirSync(world.directory, { recursive: true }).some(path => String(path).endsWith(blob ?? 'none'))

const from = (key: string, more: Record<string, string> = {}) => ({ 'x-amz-copy-source': `/${bucket}/${key}`, ...more })
const put = (key: string, text: string, headers: Record<string, string> = {}) =>
  world.good(world.anna, `PUT /${bucket}/${key}`, headers, text)
const anew = (key: string, headers: Record<string, string> = {}, who: World['anna'] | null = world.anna) =>
  world.ask(who, `PUT /${bucket}/${key}`, from(key, { ...ANEW, ...headers }))

test('an object copied onto itself so has another key and another body, and the old body is gone', async () => {
  const { anna, bert } = world
  await put('a', 'frames', { 'x-amz-meta-reel': '7', 'content-type': 'video/x', 'x-amz-acl': 'public-read' })
  const before = rowOf('a')
  const keyOf = async () => {
    const keys: Buffer[] = []
    const { release } = world.fixture.authority
    const honest = release.release
    release.release = async request => {
      const answer = await honest(request)
      keys.push(...answer.keys.map(key => Buffer.from(key)))
      return answer
    }
    assert.is((await world.good(anna, `GET /${bucket}/a`)).text, 'frames')
    release.release = honest
    return keys[0]?.toString('hex') ?? ''
  }
  const old = await keyOf()
  assert.ok(isKept(before.blob))
  const done = await anew('a', { 'x-amz-acl': 'public-read' })
  assert.is(done.status, 200, done.text)
  const after = rowOf('a')
  assert.is.not(after.object_id, before.object_id)
  assert.is.not(after.blob, before.blob)
  assert.is.not(await keyOf(), old)
  assert.not.ok(isKept(before.blob), 'its bytes')
  assert.ok(isKept(after.blob))
  const head = await world.good(bert, `GET /${bucket}/a`)
  assert.equal(
    [head.text, head.headers.get('x-amz-meta-reel'), head.headers.get('content-type')],
    ['frames', '7', 'video/x'],
  )
  await anew('a')
  assert.is(
    (await world.ask(bert, `GET /${bucket}/a`)).status,
    403,
    'the ACL is as the request asks: nothing, the owner’s alone',
  )
})

test('a copy that shares the old body keeps it, till it is re-encrypted itself', async () => {
  const { anna } = world
  await put('b', 'frames')
  await world.good(anna, `PUT /${bucket}/b2`, from('b'))
  const { blob, object_id } = rowOf('b')
  assert.is(rowOf('b2').object_id, object_id)
  await anew('b')
  assert.ok(isKept(blob))
  await anew('b2')
  assert.not.ok(isKept(blob))
  for (const key of ['b', 'b2']) assert.is((await world.good(anna, `GET /${bucket}/${key}`)).text, 'frames')
})

test('a copy elsewhere can have a key and a body of its own, and its source stays', async () => {
  const { anna } = world
  await put('c', 'frames')
  const { object_id } = rowOf('c')
  await world.good(anna, `PUT /${bucket}/c2`, from('c', ANEW))
  assert.is.not(rowOf('c2').object_id, object_id)
  assert.is(rowOf('c').object_id, object_id)
})

test('an object of parts becomes one body, under the key that the request names', async () => {
  const { anna, administration } = world
  const { id } = await administration.createKey('anna', 'film')
  await administration.grantKey('anna/film', 'user', 'anna')
  const begun = await world.good(anna, `POST /${bucket}/d?uploads`)
  const upload = /<UploadId>([^<]+)</.exec(begun.text)?.[1] ?? ''
  const text = 'frames'.repeat(1 << 20)
  const etags: string[] = []
  for (const number of [1, 2]) {
    const part = await world.good(anna, `PUT /${bucket}/d?partNumber=${number}&uploadId=${upload}`, {}, text)
    etags.push(`<Part><PartNumber>${number}</PartNumber><ETag>${part.headers.get('etag')}</ETag></Part>`)
  }
  const list = `<CompleteMultipartUpload>${etags.join('')}</CompleteMultipartUpload>`
  await world.good(anna, `POST /${bucket}/d?uploadId=${upload}`, {}, list)
  const kms = { 'x-amz-server-side-encryption': 'aws:kms', 'x-amz-server-side-encryption-aws-kms-key-id': 'anna/film' }
  const done = await anew('d', kms)
  assert.is(done.status, 200, done.text)
  assert.is(done.headers.get('x-amz-server-side-encryption-aws-kms-key-id'), id)
  assert.is(parseEnvelope(rowOf('d').envelope).parts.length, 0)
  assert.ok((await world.good(anna, `GET /${bucket}/d`)).text === text + text)
})

test('what cannot be re-encrypted is refused, and stays as it was', async () => {
  const { anna, bert } = world
  await put('e', 'frames')
  await put('open', 'frames', { 'x-amz-acl': 'public-read' })
  const { object_id } = rowOf('e')
  const etag = (await world.good(anna, `HEAD /${bucket}/e`)).headers.get('etag') ?? ''
  const cases: [string, World['anna'] | null, Record<string, string>, number][] = [
    ['another word', anna, { 'x-storage-reencrypt': 'false' }, 400],
    ['no word', anna, { 'x-storage-reencrypt': '' }, 400],
    ['who may not read it', bert, {}, 403],
    ['nobody who is known', null, {}, 403],
    ['another ETag than it has', anna, { 'if-match': '"0"' }, 412],
    ['only where nothing is', anna, { 'if-none-match': '*' }, 412],
    ['another generation', anna, { 'x-goog-if-generation-match': '1' }, 412],
    ['a key that is none', anna, { 'x-amz-server-side-encryption': 'aws:kms' }, 400],
  ]
  for (const [why, who, headers, status] of cases) assert.is((await anew('e', headers, who)).status, status, why)
  assert.is((await world.ask(null, `PUT /${bucket}/open`, from('open', ANEW))).status, 403)
  assert.is(rowOf('e').object_id, object_id)
  assert.is((await anew('e', { 'if-match': etag })).status, 200)
  assert.is((await anew('none')).status, 404)
})

test('what was written while an object was re-encrypted is not lost', async () => {
  const { anna } = world
  await put('f', 'frames', { 'x-amz-meta-reel': '1' })
  const { release } = world.fixture.authority
  const honest = release.wrap
  let between = 0
  release.wrap = async request => {
    release.wrap = honest
    between++
    // the same bytes, with other words about them: the ETag is the same
    await put('f', 'frames', { 'x-amz-meta-reel': '2' })
    return honest(request)
  }
  const answer = await anew('f')
  release.wrap = honest
  assert.is(between, 1)
  assert.is(answer.status, 412)
  assert.is((await world.good(anna, `HEAD /${bucket}/f`)).headers.get('x-amz-meta-reel'), '2')
})

test.run()
