import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkReceiptFile } from '../../../format/receipt-file.ts'
import { openForReading } from '../../../store/pack/drive.ts'
import type { PackStore } from '../../../store/pack/pack-store.ts'
import { bytesOf, PLAIN, putText, readAll } from '../../store/pack/device.ts'
import { openDock } from '../dock.ts'
import { makeJob } from '../job.ts'

const test = suite('intake of whole drives')
const md5 = (bytes: string | Buffer): string => createHash('md5').update(bytes).digest('hex')
const big = Buffer.alloc(5 << 20, 'part one ')

async function composite(store: PackStore, key: string): Promise<void> {
  const upload = await store.createUpload('b', key, { ...PLAIN, metadata: { of: 'parts' } })
  await store.putPart(upload.id, 1, bytesOf(big), { finish: () => ({ etag: md5(big) }) })
  await store.putPart(upload.id, 2, bytesOf('the end'), { finish: () => ({ etag: md5('the end') }) })
  await store.putPart(upload.id, 3, bytesOf('not listed'), { finish: () => ({ etag: md5('not listed') }) })
  const parts = [big, 'the end'].map((bytes, at) => ({ partNumber: at + 1, etag: md5(bytes) }))
  await store.completeUpload(upload.id, parts, { finish: () => ({ etag: 'whole-2' }) })
}

test('everything that was sealed is there, reads as it was, and nothing else is', async () => {
  const dock = await openDock()
  const job = await makeJob(dock.authority, { drives: 2 })
  try {
    const store = await job.open()
    for (let at = 0; at < 11; at++) await putText(store, `text/${at}`, `number ${at}`)
    await putText(store, 'text/3', 'three again')
    await putText(store, 'gone', 'not for long')
    await store.delete('b', 'gone')
    await putText(store, 'empty', '')
    const attributes = { contentType: 'image/x', headers: { 'cache-control': 'no-store' }, metadata: { a: 'ü' } }
    await store.put('photos', 'one', bytesOf('a picture'), { attributes, finish: () => ({ etag: md5('a picture') }) })
    await composite(store, 'large')
    const sealed = await store.seal()
    await store.close()
    const report = await dock.takeIn(job, sealed.code)
    assert.equal(report.findings, [])
    assert.is(report.outcome, 'complete')
    const { counts } = report
    assert.is(counts.stored, 14)
    assert.is(counts.stored, sealed.totals.objects)
    assert.is(counts.storedBytes, sealed.totals.bytes)
    assert.is(counts.superseded, 1)
    assert.is(counts.takenBack, 1)
    assert.is(counts.dropped, 1)
    const mine = dock.hosted.store(dock.authority.callerOf(job.order.account))
    const text = async (bucket: string, key: string) => {
      const read = await mine.get(bucket, key)
      return read && (await readAll(read.body)).toString('utf8')
    }
    assert.is(await text('b', 'text/3'), 'three again')
    assert.is(await text('b', 'text/10'), 'number 10')
    assert.is(await text('b', 'empty'), '')
    assert.is(await text('b', 'gone'), null)
    assert.is(await text('photos', 'one'), 'a picture')
    assert.equal((await mine.head('photos', 'one'))?.attributes, attributes)
    const whole = Buffer.concat([big, Buffer.from('the end')])
    const read = await mine.get('b', 'large')
    assert.ok(read && whole.equals(await readAll(read.body)))
    const range = { first: big.length - 3, last: big.length + 2 }
    const piece = await mine.get('b', 'large', range)
    assert.ok(piece && whole.subarray(range.first, range.last + 1).equals(await readAll(piece.body)))
    // a copy shares the bodies and outlives what it was made of
    await mine.copy({ bucket: 'b', key: 'large' }, { bucket: 'b', key: 'copy' }, { sourceEtag: 'whole-2' })
    await mine.delete('b', 'large')
    const copied = await mine.get('b', 'copy')
    assert.ok(copied && whole.equals(await readAll(copied.body)))
    const other = dock.hosted.store(dock.authority.callerOf('somebody else'))
    const refused = await other.get('b', 'empty').catch(error => error)
    assert.is(refused.fault, 'forbidden')
  } finally {
    job.remove()
    await dock.close()
  }
})

test('receipts hold a line an object and verify; a second run reports the same and changes nothing', async () => {
  const dock = await openDock()
  const job = await makeJob(dock.authority)
  try {
    const store = await job.open()
    for (let at = 0; at < 6; at++) await putText(store, `k${at}`, `v${at}`)
    const sealed = await store.seal()
    await store.close()
    const report = await dock.takeIn(job, sealed.code)
    assert.is(report.receipts, join(dock.directory, 'station', 'receipts', `${job.order.job}-1.slr`))
    const file = await openForReading(report.receipts ?? '')
    const lines: string[] = []
    const receipt = await checkReceiptFile(file.read, job.receiptSpki, line => {
      lines.push(`${line.bucket}/${line.key} ${line.outcome} ${line.source?.bytes.length}`)
    })
    await file.close()
    assert.equal(
      lines,
      [0, 1, 2, 3, 4, 5].map(at => `b/k${at} stored 32`),
    )
    assert.is(receipt.level, 'key')
    assert.is(receipt.freshness, 'seal-code')
    const mine = dock.hosted.store(dock.authority.callerOf(job.order.account))
    await mine.delete('b', 'k0')
    const before = readFileSync(report.receipts ?? '')
    dock.authority.calls.length = 0
    assert.equal(await dock.takeIn(job, sealed.code), report)
    assert.equal(dock.authority.calls, [])
    assert.is(await mine.head('b', 'k0'), null)
    assert.ok(before.equals(readFileSync(report.receipts ?? '')))
  } finally {
    job.remove()
    await dock.close()
  }
})

test('deletes: apply takes back what the bucket has; ignore leaves it', async () => {
  for (const deletes of ['apply', 'ignore'] as const) {
    const dock = await openDock()
    const job = await makeJob(dock.authority, { order: { deletes } })
    try {
      const caller = dock.authority.callerOf(job.order.account)
      const mine = dock.hosted.store(caller)
      await mine.createBucket('b')
      for (const key of ['old', 'new'])
        await mine.put('b', key, bytesOf('there before'), { attributes: PLAIN, finish: () => ({ etag: 'e' }) })
      const store = await job.open()
      for (const key of ['old', 'new']) {
        await putText(store, key, 'from the drive')
        await store.delete('b', key)
      }
      await putText(store, 'new', 'again')
      const sealed = await store.seal()
      await store.close()
      const report = await dock.takeIn(job, sealed.code)
      assert.is(report.counts.deleted, deletes === 'apply' ? 1 : 0)
      assert.is((await mine.head('b', 'old')) === null, deletes === 'apply')
      assert.is((await mine.head('b', 'new'))?.size, 'again'.length)
    } finally {
      job.remove()
      await dock.close()
    }
  }
})

test('a public-read order is public in data and key', async () => {
  const dock = await openDock()
  const job = await makeJob(dock.authority, { order: { acl: 'public-read' } })
  try {
    const store = await job.open()
    await putText(store, 'k', 'for all')
    const sealed = await store.seal()
    await store.close()
    await dock.takeIn(job, sealed.code)
    const nobody = dock.hosted.store(null)
    const read = await nobody.get('b', 'k')
    assert.is(read && (await readAll(read.body)).toString('utf8'), 'for all')
  } finally {
    job.remove()
    await dock.close()
  }
})

test.run()
