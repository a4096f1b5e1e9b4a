// timeout: 300s, test 120s
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type KeyRelease, ReleaseError, type StationProof } from '../../../format/release.ts'
import { IntakeError } from '../../../provision/intake/finding.ts'
import type { IntakeOptions } from '../../../provision/intake/intake.ts'
import type { Report } from '../../../provision/intake/report.ts'
import type { Target } from '../../../provision/intake/target.ts'
import { PHASES } from '../../../provision/intake/work.ts'
import { bytesOf, PLAIN, putText } from '../../store/pack/device.ts'
import { openAuthority } from '../authority.ts'
import { type Dock, openDock } from '../dock.ts'
import { type Job, makeJob } from '../job.ts'

const test = suite('intake, killed and run again')
const authority = openAuthority()
let job: Job
let code: string
let whole: ReturnType<typeof essence>
let calls: number

/** What must be the same whether it was killed or not. */
function essence(dock: Dock, report: Report) {
  const { seconds: _, bytesPerSecond: __, receipts, drives: ___, ...rest } = report
  const blobs = readdirSync(join(dock.directory, 'hosted', 'blobs')).flatMap(name =>
    readdirSync(join(dock.directory, 'hosted', 'blobs', name)),
  )
  assert.equal(readdirSync(join(dock.directory, 'hosted', 'incoming')), [])
  assert.equal(readdirSync(join(dock.directory, 'station', 'receipts')), [`${job.order.job}-1.slr`])
  return {
    ...rest,
    blobs: blobs.length,
    receipts: receipts?.split('/').at(-1),
    bytes: readFileSync(receipts ?? '').length,
  }
}

test.before(async () => {
  job = await makeJob(authority, { drives: 2 })
  const store = await job.open()
  for (let at = 0; at < 9; at++) await putText(store, `k${at}`, `number ${at}`)
  const upload = await store.createUpload('b', 'multi', PLAIN)
  await store.putPart(upload.id, 1, bytesOf('of one part'), { finish: () => ({ etag: 'p1' }) })
  await store.completeUpload(upload.id, [{ partNumber: 1, etag: 'p1' }], { finish: () => ({ etag: 'm-1' }) })
  code = (await store.seal()).code
  await store.close()
  const dock = await openDock(authority)
  calls = 0
  const report = await dock.takeIn(job, code, { progress: () => void calls++ })
  whole = essence(dock, report)
  assert.is(report.outcome, 'complete')
  await dock.close()
})
test.after(() => job.remove())

/** Runs once with `first`, which must throw; then again as it is, in what was left. */
async function killedThenWhole(first: (dock: Dock) => Partial<IntakeOptions>, expected: (error: unknown) => boolean) {
  const killed = await openDock(authority)
  const error = await killed.takeIn(job, code, first(killed)).catch((cause: unknown) => cause)
  assert.ok(expected(error), String(error))
  await killed.leave()
  const dock = await openDock(authority, killed.directory)
  try {
    assert.equal(essence(dock, await dock.takeIn(job, code)), whole)
    const mine = dock.hosted.store(authority.callerOf(job.order.account))
    const page = await mine.list('b', { prefix: '', limit: 100 })
    assert.is(page.objects.length, 10)
  } finally {
    await dock.close()
  }
}

test('at every point where it tells how it goes', async () => {
  assert.ok(calls > PHASES.length, `${calls} points`)
  for (let point = 1; point <= calls; point++) {
    let seen = 0
    const kill = new Error(`killed at ${point}`)
    const progress = () => {
      if (++seen === point) throw kill
    }
    await killedThenWhole(
      () => ({ progress }),
      error => error === kill,
    )
  }
})

test('by its signal', async () => {
  const stop = new AbortController()
  const progress = ({ phase }: { phase: string }) => void (phase === 'judge' && stop.abort())
  await killedThenWhole(
    () => ({ progress, signal: stop.signal }),
    error => error instanceof IntakeError && error.fault === 'stopped',
  )
})

const after = ['openBucket', 'adopt', 'register', 'settle'] as const satisfies (keyof Target)[]
for (const name of after)
  for (const when of ['before', 'after'] as const)
    test(`${when} the target did "${name}"`, async () => {
      const kill = new Error('killed')
      await killedThenWhole(
        dock => {
          const real = dock.hosted.registration
          const dying = async (...given: never[]) => {
            if (when === 'after') await (real[name] as (...given: never[]) => Promise<unknown>)(...given)
            throw kill
          }
          return { target: { ...real, [name]: dying } }
        },
        error => error === kill,
      )
    })

const asked = ['metadataKey', 'reseal', 'prove', 'signReceipt'] as const satisfies (keyof KeyRelease)[]
for (const name of asked)
  test(`while the authority's "${name}" is away`, async () => {
    const away = new Error('the connection broke')
    const broken = async (): Promise<never> => {
      throw away
    }
    await killedThenWhole(
      () => ({ release: { ...authority, [name]: broken } }),
      error => error === away,
    )
  })

test('while the job is not taken in any more: no epoch is blamed for it', async () => {
  const ended = new ReleaseError('denied', 'the job is taken-in, not taking-in')
  let over = false
  const job = async (station: StationProof) => {
    if (over) throw ended
    return authority.job(station)
  }
  const metadataKey = async (): Promise<never> => {
    over = true
    throw ended
  }
  await killedThenWhole(
    () => ({ release: { ...authority, job, metadataKey } }),
    error => error === ended,
  )
})

test('a batch that the target took and the station did not mark is taken once', async () => {
  const kill = new Error('killed')
  const killed = await openDock(authority)
  const real = killed.hosted.registration
  const register: Target['register'] = async (...given) => {
    await real.register(...given)
    throw kill
  }
  const error = await killed.takeIn(job, code, { target: { ...real, register } }).catch((cause: unknown) => cause)
  assert.is(error, kill)
  const mine = killed.hosted.store(authority.callerOf(job.order.account))
  await mine.delete('b', 'k0')
  const report = await killed.takeIn(job, code)
  assert.is(report.counts.stored, 10)
  assert.is(await mine.head('b', 'k0'), null)
  await killed.close()
})

test.run()
