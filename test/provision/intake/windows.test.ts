// timeout: 300s, test 180s
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Target } from '../../../provision/intake/target.ts'
import { putText } from '../../store/pack/device.ts'
import { openAuthority } from '../authority.ts'
import { openDock } from '../dock.ts'
import { type Job, makeJob } from '../job.ts'

const test = suite('intake of more than one window')
const OBJECTS = 4100
const authority = openAuthority()
let job: Job
let code: string

test.before(async () => {
  job = await makeJob(authority, { objects: 1500 })
  const store = await job.open()
  for (let from = 0; from < OBJECTS; from += 100)
    await Promise.all(
      Array.from({ length: Math.min(100, OBJECTS - from) }, (_, at) =>
        putText(store, `k${from + at}`, `v${from + at}`),
      ),
    )
  // one name in an early window is taken back in the last
  await store.delete('b', 'k0')
  code = (await store.seal()).code
  await store.close()
})
test.after(() => job.remove())

for (const when of ['before', 'after'] as const)
  for (const call of [1, 2, 3])
    test(`killed ${when} the target took batch ${call}: nothing is lost, and nothing is taken twice`, async () => {
      const kill = new Error('killed')
      const killed = await openDock(authority)
      const real = killed.hosted.registration
      let calls = 0
      const register: Target['register'] = async (...given) => {
        const last = ++calls === call
        if (!last || when === 'after') await real.register(...given)
        if (last) throw kill
      }
      const error = await killed.takeIn(job, code, { target: { ...real, register } }).catch((cause: unknown) => cause)
      assert.is(error, kill)
      // what is there is its owner's: it does not come back
      const taken = when === 'after' || call > 1
      const caller = authority.callerOf(job.order.account)
      if (taken) assert.is(await killed.hosted.store(caller).delete('b', 'k7'), true)
      await killed.leave()
      const dock = await openDock(authority, killed.directory)
      try {
        const report = await dock.takeIn(job, code)
        assert.is(report.outcome, 'complete')
        assert.equal([report.counts.stored, report.counts.takenBack, report.counts.held], [OBJECTS - 1, 1, 0])
        const mine = dock.hosted.store(caller)
        assert.is(await mine.head('b', 'k0'), null)
        assert.is((await mine.head('b', 'k7')) === null, taken)
        for (const at of [1, 1999, 2000, 2001, 3999, 4000, OBJECTS - 1])
          assert.is((await mine.head('b', `k${at}`))?.size, `v${at}`.length, `k${at}`)
      } finally {
        await dock.close()
      }
    })

test.run()
