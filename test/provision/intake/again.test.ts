// timeout: 120s, test 60s
import { readdirSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkReceiptFile } from '../../../format/receipt-file.ts'
import { openForReading } from '../../../store/pack/drive.ts'
import { bytesOf, PLAIN, putText, readAll } from '../../store/pack/device.ts'
import { type Dock, openDock } from '../dock.ts'
import { type Job, makeJob } from '../job.ts'
import { commitOf, flip, packsOf } from './harm.ts'

const test = suite('intake again, on better drives')

const PARTS = ['part one '.repeat(600_000), 'part two']

const storeOf = (dock: Dock, job: Job) => dock.hosted.store(dock.authority.callerOf(job.order.account))

async function text(dock: Dock, job: Job, key: string): Promise<string | null> {
  const read = await storeOf(dock, job).get('b', key)
  return read && (await readAll(read.body)).toString('utf8')
}

async function receiptLines(path: string | null, job: Job): Promise<{ level: string; lines: string[] }> {
  const file = await openForReading(path ?? '')
  const lines: string[] = []
  try {
    const { level } = await checkReceiptFile(file.read, job.receiptSpki, line => {
      lines.push(`${line.key} ${line.outcome}`)
    })
    return { level, lines: lines.sort() }
  } finally {
    await file.close()
  }
}

/** Blobs of the public store. */
const blobs = (dock: Dock): number =>
  readdirSync(join(dock.directory, 'hosted', 'blobs')).flatMap(name =>
    readdirSync(join(dock.directory, 'hosted', 'blobs', name)),
  ).length

/** k0 to k5, a composite of two parts, and a name that was taken back. */
async function fill(job: Job): Promise<string> {
  const store = await job.open()
  for (let at = 0; at < 6; at++) await putText(store, `k${at}`, `number ${at}`)
  const upload = await store.createUpload('b', 'multi', PLAIN)
  for (const [at, part] of PARTS.entries())
    await store.putPart(upload.id, at + 1, bytesOf(part), { finish: () => ({ etag: `p${at + 1}` }) })
  const parts = [1, 2].map(partNumber => ({ partNumber, etag: `p${partNumber}` }))
  await store.completeUpload(upload.id, parts, { finish: () => ({ etag: 'm-2' }) })
  await putText(store, 'gone', 'taken back')
  await store.delete('b', 'gone')
  const { code } = await store.seal()
  await store.close()
  return code
}

test('what a damaged copy lost is held by name, and goes in from a good one; what went in is not touched again', async () => {
  const dock = await openDock()
  const job = await makeJob(dock.authority, { order: { deletes: 'apply' } })
  try {
    const caller = dock.authority.callerOf(job.order.account)
    await dock.hosted.store(caller).createBucket('b')
    await storeOf(dock, job).put('b', 'gone', bytesOf('before'), { attributes: PLAIN, finish: () => ({ etag: 'e' }) })
    const code = await fill(job)
    const harmed = job.copy()
    try {
      const [drive = ''] = harmed.drives
      const lost = await commitOf(drive, 3) // k2: commits count from 1
      flip(lost.path, lost.body + lost.bodyLength - 1)
      const first = await dock.takeIn(job, code, { drives: harmed.drives })
      assert.is(first.outcome, 'with-findings')
      assert.equal(
        first.held.map(each => each.name),
        ['b/k2'],
      )
      assert.is(first.counts.stored, 6)
      assert.is(first.counts.deleted, 1)
      assert.is(await text(dock, job, 'k2'), null)
      // the owner goes on working
      await storeOf(dock, job).delete('b', 'k0')
      for (const key of ['k1', 'gone'])
        await storeOf(dock, job).put('b', key, bytesOf('newer'), { attributes: PLAIN, finish: () => ({ etag: 'n' }) })
      // the same copy again: looked at, nothing new
      const same = await dock.takeIn(job, code, { drives: harmed.drives })
      assert.is(same.outcome, 'with-findings')
      assert.equal(same.counts, first.counts)
      const blobsBefore = blobs(dock)
      const second = await dock.takeIn(job, code)
      assert.equal(second.findings, [])
      assert.is(second.outcome, 'complete')
      assert.is(second.counts.stored, 7)
      assert.is(second.counts.dropped, 0)
      assert.is(second.counts.deleted, 1)
      assert.ok(second.receipts?.endsWith(`${job.order.job}-3.slr`))
      const { level, lines } = await receiptLines(second.receipts, job)
      assert.is(level, 'key')
      assert.equal(lines, [0, 1, 2, 3, 4, 5].map(at => `k${at} stored`).concat('multi stored'))
      assert.is(await text(dock, job, 'k0'), null)
      assert.is(await text(dock, job, 'k1'), 'newer')
      assert.is(await text(dock, job, 'gone'), 'newer')
      assert.is(await text(dock, job, 'k2'), 'number 2')
      assert.ok((await text(dock, job, 'multi')) === PARTS.join(''))
      assert.is(blobs(dock), blobsBefore + 1, 'only the pack that brought something stays a second time')
      dock.authority.calls.length = 0
      assert.equal(await dock.takeIn(job, code), second)
      assert.equal(dock.authority.calls, [])
    } finally {
      harmed.remove()
    }
  } finally {
    job.remove()
    await dock.close()
  }
})

test('one drive of two goes in as far as it reaches; both make it complete', async () => {
  const dock = await openDock()
  const job = await makeJob(dock.authority, { drives: 2 })
  try {
    const code = await fill(job)
    const paths = job.device.drives.map(drive => drive.path)
    const [one = '', two = ''] = paths
    // small drives are filled one after the other: what lay behind the first pack is on the second
    for (const [at, pack] of packsOf(one).slice(1).entries()) renameSync(pack, join(two, 'packs', `moved-${at}.pack`))
    assert.ok(packsOf(two).some(pack => statSync(pack).size > 5 << 20))
    const first = await dock.takeIn(job, code, { drives: [one] })
    assert.is(first.outcome, 'with-findings')
    assert.ok(first.findings.some(each => each.code === 'drive-missing'))
    assert.ok(first.counts.held > 0 && first.counts.stored < 7)
    const second = await dock.takeIn(job, code, { drives: [one, two] })
    assert.equal(second.findings, [])
    assert.is(second.outcome, 'complete')
    assert.is(second.counts.stored, 7)
    for (let at = 0; at < 6; at++) assert.is(await text(dock, job, `k${at}`), `number ${at}`)
    assert.ok((await text(dock, job, 'multi')) === PARTS.join(''))
  } finally {
    job.remove()
    await dock.close()
  }
})

test('what went in unproved is not called proved by later receipts', async () => {
  const dock = await openDock()
  const job = await makeJob(dock.authority)
  try {
    const code = await fill(job)
    const harmed = job.copy()
    const [drive = ''] = harmed.drives
    const lost = await commitOf(drive, 3)
    flip(lost.path, lost.body + lost.bodyLength - 1)
    await dock.takeIn(job, code, { drives: harmed.drives, level: 'digest' })
    harmed.remove()
    const report = await dock.takeIn(job, code)
    assert.is(report.outcome, 'complete')
    assert.is((await receiptLines(report.receipts, job)).level, 'digest')
  } finally {
    job.remove()
    await dock.close()
  }
})

test.run()
