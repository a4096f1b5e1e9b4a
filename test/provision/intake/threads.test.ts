// timeout: 300s, test 120s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { putText } from '../../store/pack/device.ts'
import { openAuthority } from '../authority.ts'
import { openDock } from '../dock.ts'
import { type Job, makeJob } from '../job.ts'
import { commitOf, flip } from './harm.ts'

const test = suite('intake whose packs are read by threads')
const OBJECTS = 1500
const authority = openAuthority()
const open = (directory?: string) => openDock(authority, directory, 0)
let job: Job
let code: string

test.before(async () => {
  job = await makeJob(authority, { drives: 2, objects: 700 })
  const store = await job.open()
  for (let from = 0; from < OBJECTS; from += 100)
    await Promise.all(Array.from({ length: 100 }, (_, at) => putText(store, `k${from + at}`, `v${from + at}`)))
  code = (await store.seal()).code
  await store.close()
})
test.after(() => job.remove())

test('killed wherever it tells how far the packs were read, and run again: everything goes in once', async () => {
  let told = 0
  const whole = await open()
  const report = await whole.takeIn(job, code, { progress: ({ phase }) => void (phase === 'adopt' && told++) })
  assert.equal([report.outcome, report.counts.stored], ['complete', OBJECTS])
  await whole.close()
  // one to begin with, one a pack, and what the threads said of the larger ones
  assert.ok(told > 3, `${told} times`)
  for (let point = 1; point <= told; point++) {
    const killed = await open()
    const kill = new Error(`killed at ${point}`)
    let seen = 0
    const progress = ({ phase }: { phase: string }): void => {
      if (phase === 'adopt' && ++seen === point) throw kill
    }
    // what two threads tell comes in no fixed order, nor always as often
    const ended = await killed.takeIn(job, code, { progress }).catch((cause: unknown) => cause)
    if (seen >= point) assert.is(ended, kill)
    await killed.leave()
    const dock = await open(killed.directory)
    try {
      const again = await dock.takeIn(job, code)
      assert.equal([again.outcome, again.counts.stored, again.counts.held], ['complete', OBJECTS, 0])
      const mine = dock.hosted.store(authority.callerOf(job.order.account))
      for (const at of [0, 699, 700, OBJECTS - 1])
        assert.is((await mine.head('b', `k${at}`))?.size, `v${at}`.length, `k${at}`)
    } finally {
      await dock.close()
    }
  }
})

test('one changed bit of one body is found, and holds that object alone', async () => {
  const copy = job.copy()
  const dock = await open()
  try {
    const [drive = ''] = copy.drives
    const last = await commitOf(drive, OBJECTS).catch(() => commitOf(copy.drives[1] ?? '', OBJECTS))
    flip(last.path, last.body + last.bodyLength - 1)
    const report = await dock.takeIn(job, code, { drives: copy.drives })
    assert.equal([report.outcome, report.counts.stored, report.counts.held], ['with-findings', OBJECTS - 1, 1])
    assert.ok(report.findings.some(each => each.code === 'body-damaged'))
  } finally {
    await dock.close()
    copy.remove()
  }
})

test('a copy that is gone is a finding', async () => {
  const dock = await open()
  try {
    const target = { ...dock.hosted.registration, pathOf: async () => null }
    const report = await dock.takeIn(job, code, { target })
    assert.ok(report.findings.some(each => each.code === 'pack-missing'))
    assert.is(report.counts.stored, 0)
  } finally {
    await dock.close()
  }
})

test('a file that cannot be read ends the run with what the system said', async () => {
  const dock = await open()
  try {
    const target = { ...dock.hosted.registration, pathOf: async () => '/nonexistent/pack' }
    const error = await dock.takeIn(job, code, { target }).catch((cause: unknown) => cause)
    assert.ok(error instanceof Error && 'syscall' in error && 'code' in error)
    assert.equal([error.syscall, error.code], ['open', 'ENOENT'])
    assert.is((await dock.takeIn(job, code)).outcome, 'complete')
  } finally {
    await dock.close()
  }
})

test.run()
