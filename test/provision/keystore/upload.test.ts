import { hash, randomBytes } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BodySealer } from '../../../format/body.ts'
import { newId, type ObjectId } from '../../../format/bytes.ts'
import { SHA_256 } from '../../../format/digest.ts'
import { COMPOSITE, type CompositePart, encodeParts, OBJECT, PART } from '../../../format/envelope.ts'
import {
  encodeBinding,
  type ObjectPlace,
  type RewrapRequest,
  type StoredObject,
  type WrapRequest,
} from '../../../format/release.ts'
import {
  type AuthorityFixture,
  authorityFixture,
  faultOf,
  jobRequest,
  member,
  proofOf,
  takeIn,
  testDevice,
} from './authority-fixture.ts'

type Member = Awaited<ReturnType<typeof member>>
const test = suite('uploads')
let fixture: AuthorityFixture
let anna: Member
let bert: Member

test.before(async () => {
  fixture = await authorityFixture()
  anna = await member(fixture.authority.administration, 'anna')
  bert = await member(fixture.authority.administration, 'bert')
})
test.after(() => fixture.remove())

const release = () => fixture.authority.release
const upload = 'upload-1'

function wrapRequest(who: Member, place: ObjectPlace, more: Partial<WrapRequest> = {}): WrapRequest {
  const objectId = newId<ObjectId>()
  const objectKey = randomBytes(32)
  const sealer = new BodySealer(objectId, objectKey)
  sealer.push(Buffer.from(`${place.bucket}/${place.key}`))
  const { summary } = sealer.finish()
  const query = place.part && { query: `partNumber=${place.part.number}&uploadId=${place.part.upload}` }
  return {
    proof: proofOf(who, 'PUT', place, query ?? {}),
    creation: null,
    kind: place.part === undefined ? OBJECT : PART,
    coreHeader: sealer.coreHeader,
    place,
    ...summary,
    parts: [],
    metadata: Buffer.from('metadata'),
    objectKey,
    named: null,
    ...more,
  }
}

function compositeRequest(
  who: Member,
  place: ObjectPlace,
  parts: CompositePart[],
  more: Partial<WrapRequest> = {},
): WrapRequest {
  const plaintextLength = parts.reduce((sum, part) => sum + part.plaintextLength, 0)
  return wrapRequest(who, place, {
    proof: proofOf(who, 'POST', place, { query: `uploadId=${upload}` }),
    creation: proofOf(who, 'POST', place, { query: 'uploads=' }),
    kind: COMPOSITE,
    coreHeader: Buffer.alloc(0),
    plaintextLength,
    bodyLength: 0,
    digestId: SHA_256,
    digest: hash('sha256', encodeParts(parts), 'buffer'),
    parts,
    ...more,
  })
}

async function put(request: WrapRequest, who: Member): Promise<StoredObject> {
  const { envelope, binding } = await release().wrap(request)
  const { coreHeader, place } = request
  return { envelope, coreHeader, account: who.id, job: null, place, binding }
}
const lineOf = ({ objectId, plaintextLength, bodyLength, digestId, digest }: WrapRequest): CompositePart => {
  return { objectId, plaintextLength, bodyLength, digestId, digest: Buffer.from(digest) }
}
const read = async (who: Member | null, object: StoredObject, parts: StoredObject[] = []) => {
  const proof = who === null ? null : proofOf(who, 'GET', object.place)
  return (await release().release({ proof, object, parts })).keys
}
const openBucket = (who: Member, bucket: string) =>
  release().openBucket({ proof: proofOf(who, 'PUT', { bucket, key: '' }), bucket, named: null })
const closeBucket = (who: Member, bucket: string) =>
  release().closeBucket({ proof: proofOf(who, 'DELETE', { bucket, key: '' }), bucket })
const withAcl = (acl: string) => ({ headers: [['x-amz-acl', acl]] as [string, string][] })

test('what an account puts it reads again, and nobody else; no token operation per object', async () => {
  const place = { bucket: 'b', key: 'k' }
  await put(wrapRequest(anna, place), anna)
  const before = fixture.token.operations
  for (let at = 0; at < 20; at++) {
    const request = wrapRequest(anna, place)
    const object = await put(request, anna)
    assert.equal(await read(anna, object), [request.objectKey])
    assert.is(await faultOf(read(bert, object)), 'denied')
    assert.is(await faultOf(read(null, object)), 'denied')
  }
  assert.is(fixture.token.operations, before)
})

test('a binding cannot be swapped for a wider one', async () => {
  const object = await put(wrapRequest(anna, { bucket: 'b', key: 'k' }), anna)
  assert.is(await faultOf(read(null, { ...object, binding: encodeBinding(anna.id, 'public-read') })), 'denied')
  assert.is(await faultOf(read(bert, { ...object, binding: encodeBinding(bert.id, 'private') })), 'denied')
  assert.is(
    await faultOf(read(bert, { ...object, account: bert.id, binding: encodeBinding(bert.id, 'private') })),
    'denied',
  )
})

test('public-read is what the signed header asked for, never what the store says', async () => {
  const place = { bucket: 'b', key: 'open' }
  const asked = wrapRequest(anna, place)
  assert.is(await faultOf(read(null, await put({ ...asked, objectKey: Buffer.from(asked.objectKey) }, anna))), 'denied')
  const object = await put({ ...asked, proof: proofOf(anna, 'PUT', place, withAcl('public-read')) }, anna)
  assert.equal(await read(null, object), [asked.objectKey])
  assert.equal(await read(bert, object), [asked.objectKey])
})

const wrong: Record<string, (request: WrapRequest) => Partial<WrapRequest>> = {
  'a proof for another name': () => ({ proof: proofOf(anna, 'PUT', { bucket: 'b', key: 'other' }) }),
  'a proof of a GET': () => ({ proof: proofOf(anna, 'GET', { bucket: 'b', key: 'k' }) }),
  'a proof of PUT ?acl': () => ({ proof: proofOf(anna, 'PUT', { bucket: 'b', key: 'k' }, { query: 'acl' }) }),
  "a key that is not the body's": () => ({ objectKey: randomBytes(32) }),
  'another object id': () => ({ objectId: newId<ObjectId>() }),
  'another length': request => ({ plaintextLength: request.plaintextLength + 1 }),
  'parts of no composite': request => ({ parts: [lineOf(request)] }),
  'a part without a number': () => ({ kind: PART }),
}
for (const [name, change] of Object.entries(wrong))
  test(`not wrapped: ${name}`, async () => {
    const request = wrapRequest(anna, { bucket: 'b', key: 'k' })
    assert.is(await faultOf(release().wrap({ ...request, ...change(request) })), 'denied')
  })

test('a multipart upload takes its ACL from the request that created it, however long ago', async () => {
  const place = { bucket: 'b', key: 'film' }
  const parts = [1, 2].map(number => wrapRequest(anna, { ...place, part: { upload, number } }))
  const stored = await Promise.all(parts.map(part => put(part, anna)))
  const created = (who: Member, acl: string, at = Date.now() - 3_600_000) =>
    proofOf(who, 'POST', place, { query: 'uploads=', at, ...withAcl(acl) })
  const complete = (more: Partial<WrapRequest>) => compositeRequest(anna, place, parts.map(lineOf), more)
  assert.is(await faultOf(release().wrap(complete({ creation: null }))), 'denied', 'as if nothing had been asked for')
  const closed = await put(complete({ creation: created(anna, 'private') }), anna)
  assert.is(await faultOf(read(null, closed, stored)), 'denied')
  const ofBert = created(bert, 'public-read')
  assert.is(await faultOf(release().wrap(complete({ creation: ofBert }))), 'denied')
  const whole = await put(complete({ creation: created(anna, 'public-read') }), anna)
  assert.equal(
    await read(null, whole, stored),
    parts.map(part => part.objectKey),
  )
  const [first] = stored
  if (first === undefined) throw new Error('no part')
  assert.is(await faultOf(read(anna, first)), 'denied', 'a part by itself')
  assert.is(await faultOf(release().wrap(complete({ plaintextLength: 1 }))), 'denied', 'lengths do not add up')
})

test("a composite that lists another's parts does not open them", async () => {
  const place = { bucket: 'b', key: 'stolen' }
  const part = wrapRequest(anna, { ...place, part: { upload, number: 1 } })
  const stored = await put(part, anna)
  const whole = await put(compositeRequest(bert, place, [lineOf(part)]), bert)
  assert.is(await faultOf(read(bert, whole, [stored])), 'denied')
  assert.is(await faultOf(read(bert, whole, [{ ...stored, account: bert.id }])), 'denied')
})

test("a copy needs R on its source and becomes the copier's; the source stays as it is", async () => {
  const from = { bucket: 'b', key: 'ä source' }
  const to = { bucket: 'c', key: 'copy' }
  const request = wrapRequest(anna, from, {
    proof: proofOf(anna, 'PUT', from, withAcl('public-read')),
  })
  const object = await put(request, anna)
  const secret = await put(wrapRequest(anna, from), anna)
  const source: [string, string] = ['x-amz-copy-source', `/b/${encodeURIComponent('ä source')}`]
  const proof = proofOf(bert, 'PUT', to, { headers: [source] })
  const copy: RewrapRequest = {
    proof,
    object,
    parts: [],
    destination: to,
    metadata: Buffer.from('m'),
    named: null,
  }
  assert.is(await faultOf(release().rewrap(copy)), 'denied', 'nobody has opened a bucket of that name')
  await openBucket(anna, 'c')
  assert.is(await faultOf(release().rewrap(copy)), 'denied', "the bucket is another's")
  await closeBucket(anna, 'c')
  await openBucket(bert, 'c')
  const copied = await release().rewrap(copy)
  const [envelope = Buffer.alloc(0)] = copied.envelopes
  const made = { ...object, envelope, account: bert.id, place: to, binding: copied.binding }
  assert.equal(await read(bert, made), [request.objectKey])
  assert.is(await faultOf(read(anna, made)), 'denied')
  assert.equal(await read(null, object), [request.objectKey])
  assert.is(await faultOf(release().rewrap({ ...copy, object: secret })), 'denied', 'no R')
  assert.is(await faultOf(release().rewrap({ ...copy, destination: { ...to, key: 'x' } })), 'denied', 'another name')
  assert.is(await faultOf(release().rewrap({ ...copy, proof: proofOf(bert, 'PUT', to) })), 'denied', 'no copy')
  const unsigned = proofOf(bert, 'PUT', to, { headers: [['x-amz-copy-source', '/b/other']] })
  assert.is(await faultOf(release().rewrap({ ...copy, proof: unsigned })), 'denied', 'of another source')
})

test('a copy of what came by drive carries its parts, and its binding is its own', async () => {
  const { administration } = fixture.authority
  const { job } = await administration.createJob(jobRequest('anna'))
  const device = await testDevice(administration, job)
  await takeIn(release(), administration, device)
  const parts = [1, 2].map(number => device.seal('photos', 'film', Buffer.from(`${number}`), { upload: 'd', number }))
  const whole = device.composite('photos', 'film', parts)
  const to = { bucket: 'photos', key: 'film 2' }
  const proof = proofOf(anna, 'PUT', to, { headers: [['x-amz-copy-source', 'photos/film']] })
  const none = Buffer.alloc(0)
  const { envelopes, binding, partBinding } = await release().rewrap({
    proof,
    object: whole.stored,
    parts: parts.map(part => ({ object: part.stored, metadata: none })),
    destination: to,
    metadata: none,
    named: null,
  })
  assert.is(envelopes.length, 3)
  const [copy, ...copies] = [whole, ...parts].map(({ stored }, at): StoredObject => {
    const place = { ...stored.place, ...to }
    return { ...stored, envelope: envelopes[at] ?? none, job: null, place, binding: at === 0 ? binding : partBinding }
  })
  if (copy === undefined) throw new Error('no copy')
  assert.equal(
    await read(anna, copy, copies),
    parts.map(part => part.objectKey),
  )
  const opened = proofOf(anna, 'PUT', to, { query: 'acl', ...withAcl('public-read') })
  await release().bind({ proof: opened, object: copy, document: none, named: null })
  assert.equal(
    await read(null, copy, copies),
    parts.map(part => part.objectKey),
  )
  assert.is(await faultOf(read(null, whole.stored, [])), 'denied', 'the source shares the body, not the binding')
})

test('an own epoch ends after its time, and what it wrapped still opens', async () => {
  const place = { bucket: 'b', key: 'late' }
  const request = wrapRequest(anna, place)
  const object = await put(request, anna)
  const before = fixture.token.operations
  fixture.clock.now += 601_000
  await put(wrapRequest(anna, place, { proof: proofOf(anna, 'PUT', place, { at: fixture.clock.now }) }), anna)
  assert.is(fixture.token.operations - before, 1, 'random bytes of the token for the next epoch')
  assert.equal(await read(anna, object), [request.objectKey])
})

test.run()
