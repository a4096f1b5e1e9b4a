// timeout: 180s, test 60s
import { setTimeout as sleep } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { StoreError } from '../../../store/object-store.ts'
import { type RemoteBlobs, remoteBlobs } from '../../../store/remote/remote-blobs.ts'
import { pattern } from '../contract/bodies.ts'
import { bytesOf } from '../pack/device.ts'
import { cut, type FarSide, KEYS, openFarSide, PART_BYTES, SHORT, said, times } from './far-side.ts'

const test = suite('blobs in someone else’s S3 store')
let far: FarSide
let blobs: RemoteBlobs
const connect = (more: Partial<FarSide['settings']> = {}, credentials = KEYS) =>
  remoteBlobs({
    name: 'away',
    settings: { ...far.settings, ...more },
    credentials,
    clock: () => new Date(),
    patience: SHORT,
  })
const faultOf = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(
    () => null,
    error => error,
  )
  assert.ok(error instanceof StoreError, `${error}`)
  return `${error.fault}: ${error.message}`
}
const read = async (blob: string, offset: number, length: number) => {
  const reader = await blobs.open(blob)
  assert.ok(reader)
  return Buffer.from(await reader.read(offset, length))
}
/** In pieces of a size that fits nothing. */
async function* pieces(bytes: Buffer) {
  for (let at = 0; at < bytes.length; at += 99_991) yield bytes.subarray(at, at + 99_991)
}

test.before.each(async () => {
  far = await openFarSide()
  blobs = connect()
})
test.after.each(async () => {
  blobs.close()
  blobs.close()
  await far.close()
})

for (const [size, parts] of [
  [0, 1],
  [1, 1],
  [PART_BYTES - 1, 1],
  [PART_BYTES, 1],
  [PART_BYTES + 1, 2],
  [2 * PART_BYTES, 2],
  [2 * PART_BYTES + 1, 3],
] as const)
  test(`a blob of ${size} bytes goes up in ${parts}, and comes back whole and in ranges`, async () => {
    const bytes = pattern(size)
    const { blob, size: told } = await blobs.write(pieces(bytes))
    assert.is(told, size)
    assert.equal(await far.keys(), [`from/us/${blob}`])
    assert.is(far.asked.filter(each => each === 'PUT part').length, parts === 1 ? 0 : parts)
    for (const [offset, length] of [
      [0, size],
      [0, size + 10],
      [size, 10],
      [Math.max(0, size - 3), 10],
      [PART_BYTES - 2, 4],
      [0, 0],
    ] as const)
      assert.ok(bytes.subarray(offset, offset + length).equals(await read(blob, offset, length)), `${offset} ${length}`)
    await blobs.remove(blob)
    await blobs.remove(blob)
    assert.equal(await far.keys(), [])
  })

test('a stream that breaks leaves nothing, in one part or in many', async () => {
  for (const size of [10, PART_BYTES + 10]) {
    async function* broken() {
      yield* pieces(pattern(size))
      throw new RangeError('broken')
    }
    assert.is(await blobs.write(broken()).catch(error => error.message), 'broken')
    const { uploads } = await far.store.listUploads('far', { prefix: '', limit: 10 })
    assert.equal([await far.keys(), uploads, [...blobs.arriving]], [[], [], []])
  }
})

test('faults of the moment are waited out, at every step of an upload and in a read', async () => {
  const bytes = pattern(PART_BYTES + 10)
  for (const step of ['POST upload', 'PUT part', 'POST complete', 'HEAD object', 'GET object']) {
    for (const fault of [
      async () => said(503, '<Error><Code>SlowDown</Code></Error>'),
      async () => cut(),
      async () => said(200, '<Error><Code>InternalError</Code></Error>'),
    ]) {
      // a 200 that means a fault is what completion may say; elsewhere it is a lie
      if (fault.toString().includes('InternalError') && step !== 'POST complete') continue
      far.fault = times(2, step, fault)
      const { blob } = await blobs.write(pieces(bytes))
      assert.ok(bytes.equals(await read(blob, 0, bytes.length)), step)
    }
  }
})

test('an answer that was lost is asked for again, and what was done is not done twice', async () => {
  const bytes = pattern(PART_BYTES + 10)
  for (const step of ['POST upload', 'PUT part', 'POST complete']) {
    far.fault = times(1, step, async (_, go) => {
      await go()
      return cut()
    })
    const { blob } = await blobs.write(pieces(bytes))
    assert.ok(bytes.equals(await read(blob, 0, bytes.length)), step)
  }
  assert.is((await far.keys()).length, 3)
})

test('a store that stays away is "away" after its attempts', async () => {
  far.fault = async () => said(503)
  assert.match(await faultOf(blobs.write(bytesOf('text'))), /^away: data store away is away \(PUT, 3 attempts\)/)
  far.fault = async () => {
    await sleep(60_000, null, { ref: false })
    return said(200)
  }
  assert.match(await faultOf(read('0'.repeat(32), 0, 1)), /^away: .*nothing came for 500 ms/)
})

test('closing ends what waits for it', async () => {
  far.fault = async () => said(503)
  const slow = remoteBlobs({
    ...{ name: 'away', settings: far.settings, credentials: KEYS, clock: () => new Date() },
    patience: { ...SHORT, attempts: 50, firstWaitMs: 60_000, longestWaitMs: 60_000 },
  })
  const writing = faultOf(slow.write(bytesOf('text')))
  await sleep(100)
  slow.close()
  assert.match(await writing, /^away/)
})

for (const [name, answer, says] of [
  ['refuses', async () => said(403, '<Error><Code>AccessDenied</Code></Error>'), /refuses to PUT: 403 AccessDenied/],
  ['says it holds other bytes', async () => said(200, '', [['etag', `"${'0'.repeat(32)}"`]]), /other bytes/],
  ['says nothing of what it holds', async () => said(200), /no MD5/],
] as const)
  test(`an endpoint that ${name} has acknowledged nothing`, async () => {
    far.fault = times(1, 'PUT object', answer)
    assert.match(await faultOf(blobs.write(bytesOf('text'))), says)
    assert.equal([await far.keys(), [...blobs.arriving]], [[], []])
  })

test('a part that was taken as something else ends the upload', async () => {
  far.fault = times(1, 'PUT part', async (_, go) => {
    await go()
    return said(200, '', [['etag', `"${'0'.repeat(32)}"`]])
  })
  assert.match(await faultOf(blobs.write(pieces(pattern(PART_BYTES + 1)))), /^damaged: .*other bytes/)
  const { uploads } = await far.store.listUploads('far', { prefix: '', limit: 10 })
  assert.equal(uploads, [])
})

test('an object that is shorter than what was acknowledged is noticed', async () => {
  far.fault = times(1, 'HEAD object', async () => said(200, '', [['etag', '"x"']]))
  assert.match(await faultOf(blobs.write(pieces(pattern(PART_BYTES + 1)))), /^damaged: .*bytes of/)
})

test('with opaque ETags sizes are compared', async () => {
  const opaque = connect({ opaqueEtags: true })
  far.fault = times(1, 'PUT object', async (_, go) => ({ ...(await go()), headers: [['etag', '"opaque"']] }))
  const { blob } = await opaque.write(bytesOf('text'))
  assert.is(String(await read(blob, 0, 10)), 'text')
  assert.ok(far.asked.includes('HEAD object'))
  opaque.close()
})

for (const [name, answer, says] of [
  ['gives less', async () => said(206, 'te', [['content-range', 'bytes 0-3/4']]), /gives 2 bytes of 4/],
  ['gives another range', async () => said(206, 'text', [['content-range', 'bytes 1-4/9']]), /gives 4 bytes/],
  ['gives all of it', async () => said(200, 'text'), /refuses to give a range: 200/],
  ['gives more', async () => said(206, 'text and more'), /more than there can be/],
  ['has it no more', async () => said(404, '<Error><Code>NoSuchKey</Code></Error>'), /no blob .* any more/],
  ['keeps it to itself', async () => said(403, '<Error><Code>AccessDenied</Code></Error>'), /403 AccessDenied/],
] as const)
  test(`a read from an endpoint that ${name} is no end of the blob`, async () => {
    const { blob } = await blobs.write(bytesOf('text'))
    far.fault = async () => answer()
    assert.match(await faultOf(read(blob, 0, 4)), new RegExp(`^damaged: .*${says.source}`))
  })

test('a wrong key is refused, and is in no message', async () => {
  const stranger = connect({}, { accessKey: KEYS.accessKey, secretKey: 'not the secret' })
  const message = await faultOf(stranger.write(bytesOf('text')))
  assert.match(message, /SignatureDoesNotMatch/)
  assert.not.match(message, /not the secret/)
  stranger.close()
})

test('what lies there is listed page by page, and only what may be ours', async () => {
  const written: string[] = []
  for (let at = 0; at < 3; at++) written.push((await blobs.write(bytesOf(`${at}`))).blob)
  const plain = { attributes: { headers: {}, metadata: {} }, finish: () => ({ etag: 'e' }) }
  for (const key of ['from/us/other', 'elsewhere', `from/us/sub/${'0'.repeat(32)}`])
    await far.store.put('far', key, bytesOf('x'), plain)
  const found: string[] = []
  for await (const { blob, ageMs } of blobs.stored()) {
    found.push(blob)
    assert.ok(ageMs > -2000 && ageMs < 60_000, String(ageMs))
  }
  assert.equal(found.sort(), written.sort())
  assert.equal([...blobs.arriving].sort(), written.sort())
  for (const blob of written) await blobs.keep(blob)
  assert.equal([...blobs.arriving], [])
})

test('pages follow one another', async () => {
  const [one = '', two = ''] = [(await blobs.write(bytesOf('1'))).blob, (await blobs.write(bytesOf('2'))).blob]
  const page = (blob: string, next: string | null) =>
    said(
      200,
      `<ListBucketResult><IsTruncated>${next !== null}</IsTruncated><Contents><Key>from/us/${blob}</Key><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>${next === null ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`}</ListBucketResult>`,
    )
  let page_ = 0
  far.fault = async (what, go) =>
    what === 'GET list' ? page(page_++ === 0 ? one : two, page_ === 1 ? 'n' : null) : go()
  const found: string[] = []
  for await (const { blob } of blobs.stored()) found.push(blob)
  assert.equal(found, [one, two])
})

test('uploads that nobody goes on with are ended, those of this process are not', async () => {
  const begin = (key: string) => far.store.createUpload('far', key, { headers: {}, metadata: {} })
  await begin(`from/us/${'a'.repeat(32)}`)
  await begin('of-others')
  assert.is(await blobs.endUploads(60_000), 0)
  await sleep(1100)
  assert.is(await blobs.endUploads(0), 1)
  const { uploads } = await far.store.listUploads('far', { prefix: '', limit: 10 })
  assert.equal(
    uploads.map(each => each.key),
    ['of-others'],
  )
  far.fault = async (what, go) => (what === 'GET uploads' ? said(501) : go())
  assert.is(await blobs.endUploads(0), 0)
})

test('a prefix is of one store', async () => {
  await blobs.claim('mine')
  await blobs.claim('mine')
  await blobs.requireClaimed('mine')
  assert.match(await faultOf(blobs.claim('yours')), /^in-use/)
  assert.match(await faultOf(blobs.requireClaimed('yours')), /^damaged/)
  await blobs.disclaim()
  assert.match(await faultOf(blobs.requireClaimed('mine')), /^damaged/)
  await blobs.claim('yours')
})

test('a large blob passes through in few parts’ memory', async () => {
  const size = 40 * PART_BYTES
  async function* long() {
    for (let at = 0; at < size; at += 1 << 20) yield Buffer.alloc(Math.min(1 << 20, size - at))
  }
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  const watch = setInterval(() => (most = Math.max(most, process.memoryUsage().arrayBuffers - before)), 5)
  assert.is((await blobs.write(long())).size, size)
  clearInterval(watch)
  // the far side, in this process, holds pieces of its own
  assert.ok(most < size / 2, `${most} of ${size}`)
})

test.run()
