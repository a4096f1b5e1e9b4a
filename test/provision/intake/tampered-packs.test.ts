// timeout: 300s, test 60s
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { newId } from '../../../format/bytes.ts'
import { encodePackHeader } from '../../../format/frame.ts'
import { bytesOf, PLAIN, putText } from '../../store/pack/device.ts'
import { openAuthority } from '../authority.ts'
import { openDock } from '../dock.ts'
import { makeJob } from '../job.ts'
import { append, commitOf, cut, flip, framesOf, packsOf } from './harm.ts'
import {
  ALL,
  contents,
  firstPack,
  lastPack,
  type Made,
  makeSealed,
  type Row,
  removeSealed,
  run,
  titleOf,
} from './tampered.ts'

const test = suite('intake of drives whose packs were tampered with')
let made: Made

test.before(async () => {
  made = await makeSealed()
})
test.after(() => removeSealed(made))

const rows: Row[] = [
  {
    harm: 'a pack is cut at its end',
    do: d => cut(firstPack(d), readFileSync(firstPack(d)).length - 100),
    codes: ['pack-length', 'pack-head'],
    also: ['frame-damaged'],
  },
  {
    harm: 'a pack is cut in the middle',
    do: async d => {
      const c = await commitOf(d, 12)
      cut(c.path, c.body)
    },
    codes: ['pack-length', 'pack-head', 'object-missing'],
    also: ['frame-damaged'],
    lost: ['multi'],
  },
  { harm: 'bytes behind the end of a pack', do: d => append(lastPack(d), Buffer.from('more')), codes: ['pack-length'] },
  { harm: 'one bit of a pack header', do: d => flip(firstPack(d), 90), codes: ['pack-header-damaged'] },
  {
    harm: 'a pack twice',
    do: d => copyFileSync(firstPack(d), join(d, 'packs', '000009.pack')),
    codes: ['pack-duplicate'],
  },
  {
    harm: 'a pack twice, the first one cut',
    do: d => {
      copyFileSync(firstPack(d), join(d, 'packs', '000009.pack'))
      cut(firstPack(d), 500)
    },
    codes: ['pack-duplicate'],
  },
  {
    harm: 'the newest pack is missing',
    do: d => rmSync(lastPack(d)),
    codes: ['pack-missing', 'object-missing'],
    lost: ['late0', 'late1'],
  },
  {
    harm: 'all packs are missing',
    do: d => {
      for (const path of packsOf(d)) rmSync(path)
    },
    codes: ['pack-missing', 'object-missing'],
    also: ['part-missing'],
    lost: [...contents.keys()],
  },
  {
    harm: 'a pack that was never signed',
    do: d => {
      const of = { ...made.job.station, pack: newId<never>(), drive: newId<never>() }
      writeFileSync(
        join(d, 'packs', '000007.pack'),
        encodePackHeader({
          pack: of.pack,
          job: of.job,
          device: of.device,
          drive: of.drive,
          firstSequence: 1,
          createdAt: 1,
        }),
      )
    },
    codes: ['pack-unknown'],
  },
  {
    harm: 'a pack of another job',
    do: d =>
      writeFileSync(
        join(d, 'packs', '000007.pack'),
        encodePackHeader({
          pack: newId(),
          job: newId(),
          device: newId(),
          drive: newId(),
          firstSequence: 1,
          createdAt: 1,
        }),
      ),
    codes: ['pack-unknown'],
  },
  {
    harm: 'a file that is no pack',
    do: d => writeFileSync(join(d, 'packs', '000007.pack'), 'junk'),
    codes: ['pack-header-damaged', 'pack-unknown'],
  },
]

for (const row of rows) test(titleOf(row), () => run(row, made))
for (const row of rows) test(`read by a thread: ${titleOf(row)}`, () => run(row, made, 0))

test('what is held is listed by its name, as far as a name can be opened', async () => {
  const dock = await openDock(made.authority)
  const copy = made.job.copy()
  try {
    rmSync(lastPack(copy.drives[0] ?? ''))
    const report = await dock.takeIn(made.job, made.code, { drives: copy.drives })
    assert.equal(
      report.held.map(each => each.name),
      ['b/late0', 'b/late1'],
    )
    assert.ok(report.held.every(each => each.reason.startsWith('object-missing')))
    const text = readFileSync(join(dock.directory, 'station', 'reports', `${made.job.order.job}-1.txt`), 'utf8')
    assert.match(text, 'held b/late0: object-missing')
  } finally {
    copy.remove()
    await dock.close()
  }
})

test('a name outside the order is held', async () => {
  const authority = openAuthority()
  const job = await makeJob(authority, { order: { buckets: ['b'] } })
  const dock = await openDock(authority)
  try {
    const store = await job.open()
    await putText(store, 'k', 'v')
    await store.put('photos', 'one', bytesOf('x'), { attributes: PLAIN, finish: () => ({ etag: 'e' }) })
    const { code } = await store.seal()
    await store.close()
    const report = await dock.takeIn(job, code)
    assert.equal(
      report.held.map(each => each.name),
      ['photos/one'],
    )
    assert.equal(
      report.findings.map(each => each.code),
      ['name-outside-order'],
    )
    assert.is(report.counts.stored, 1)
  } finally {
    job.remove()
    await dock.close()
  }
})

test('every frame of a pack, one bit each: it is said, and only what lies there is lost', async () => {
  const pack = firstPack(made.job.device.drives[0]?.path ?? '')
  for (const frame of await framesOf(pack)) {
    const dock = await openDock(made.authority)
    const copy = made.job.copy()
    try {
      flip(firstPack(copy.drives[0] ?? ''), frame.offset + 8)
      const report = await dock.takeIn(made.job, made.code, { drives: copy.drives })
      assert.ok(
        report.findings.some(each => each.code === 'frame-damaged'),
        `frame at ${frame.offset}`,
      )
      assert.ok(report.counts.stored >= ALL - 1, `frame at ${frame.offset}: ${report.counts.stored}`)
    } finally {
      copy.remove()
      await dock.close()
    }
  }
})

test.run()
