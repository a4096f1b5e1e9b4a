// timeout: 300s, test 60s

import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { newId } from '../../../format/bytes.ts'
import { peekCheckpoint, signCheckpoint } from '../../../format/checkpoint.ts'
import { encodeFrame, encodePackHeader, FRAME, openFrame } from '../../../format/frame.ts'
import { makeKeyRecord, peekKeyRecord } from '../../../format/key-record.ts'
import { encodeEpochFrame, parseEpochFrame } from '../../../format/pack-walk.ts'
import { keyId, sealTo } from '../../../format/wrap-suite.ts'
import type { FindingCode } from '../../../provision/intake/finding.ts'
import { CODES, isFatal } from '../../../provision/intake/finding.ts'
import type { IntakeOptions } from '../../../provision/intake/intake.ts'
import { bytesOf, PLAIN, putText, readAll } from '../../store/pack/device.ts'
import { openAuthority } from '../authority.ts'
import { type Dock, openDock } from '../dock.ts'
import { type Job, makeJob, spkiOf } from '../job.ts'
import { append, commitOf, cut, firstFrame, flip, forge, framesOf, overwrite, packsOf } from './harm.ts'

const test = suite('intake of tampered drives')

/** What one whole drive holds: seal 1 in the first pack, two more objects under seal 2 in the second. */
const contents = new Map<string, string>([
  ...Array.from({ length: 8 }, (_, at): [string, string] => [`k${at}`, `number ${at}`]),
  ['k1', 'overwritten'],
  ['multi', 'of one part'],
  ['late0', 'after the first seal'],
  ['late1', 'the last'],
])
const ALL = contents.size

type Made = {
  authority: ReturnType<typeof openAuthority>
  job: Job
  code: string
  older: { drives: string[]; remove(): void }
  olderCode: string
  seal: Buffer
}
let made: Made

test.before(async () => {
  const authority = openAuthority()
  const job = await makeJob(authority)
  const store = await job.open()
  for (let at = 0; at < 8; at++) await putText(store, `k${at}`, `number ${at}`)
  await putText(store, 'k1', 'overwritten')
  await putText(store, 'gone', 'taken back')
  await store.delete('b', 'gone')
  const upload = await store.createUpload('b', 'multi', PLAIN)
  await store.putPart(upload.id, 1, bytesOf('of one part'), { finish: () => ({ etag: 'p1' }) })
  await store.putPart(upload.id, 2, bytesOf('of no object'), { finish: () => ({ etag: 'p2' }) })
  await store.completeUpload(upload.id, [{ partNumber: 1, etag: 'p1' }], { finish: () => ({ etag: 'm-1' }) })
  const first = await store.seal()
  const older = job.copy()
  await store.reopen()
  await putText(store, 'late0', 'after the first seal')
  await putText(store, 'late1', 'the last')
  const last = await store.seal()
  await store.close()
  const seal = readFileSync(join(job.device.drives[0]?.path ?? '', 'seal.json'))
  made = { authority, job, code: last.code, older, olderCode: first.code, seal }
})
test.after(() => {
  made.older.remove()
  made.job.remove()
})

type Row = {
  harm: string
  do?: (drive: string) => unknown
  codes: FindingCode[]
  /** names that do not go in; the rest must, and read as it was. 'all': nothing does */
  lost?: string[] | 'all'
  /** further things that are said of the same harm */
  also?: FindingCode[]
  with?: (drive: string) => Partial<IntakeOptions>
  freshness?: IntakeOptions['freshness']
  prepare?: (dock: Dock) => unknown
}
const checkpoints = (drive: string) =>
  readdirSync(join(drive, 'checkpoints'))
    .sort()
    .map(name => join(drive, 'checkpoints', name))
const [firstPack, lastPack] = [
  (drive: string) => packsOf(drive)[0] ?? '',
  (drive: string) => packsOf(drive).at(-1) ?? '',
]
const answering = (change: (answer: Awaited<ReturnType<Made['authority']['job']>>) => object) => () => ({
  release: {
    ...made.authority,
    job: async (station: Job['station']) => {
      const answer = await made.authority.job(station)
      return { ...answer, ...change(answer) }
    },
  },
})
const second = (drive: string) => {
  const copy = `${drive}-again`
  mkdirSync(copy)
  for (const name of readdirSync(drive, { recursive: true, withFileTypes: true })) {
    const from = join(name.parentPath, name.name)
    const to = from.replace(drive, copy)
    mkdirSync(name.isDirectory() ? to : join(to, '..'), { recursive: true })
    if (!name.isDirectory()) copyFileSync(from, to)
  }
  return copy
}

async function forgedRecord(drive: string): Promise<void> {
  const stranger = spkiOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey)
  const { path, offset, end } = await firstFrame(drive, FRAME.epoch)
  const { payload, previous } = openFrame(readFileSync(path).subarray(offset, end))
  const { keyRecord, wrappedMetadataKey, epoch } = parseEpochFrame(payload)
  const recipient = { suite: 0x0010 as const, keyId: keyId(stranger) }
  const record = await makeKeyRecord(
    randomBytes(32),
    peekKeyRecord(keyRecord),
    [{ ...recipient, seal: async (secret, context) => sealTo({ suite: 0x0010, spki: stranger }, secret, context) }],
    made.job.identity,
  )
  assert.is(record.length, keyRecord.length)
  overwrite(path, offset, encodeFrame(FRAME.epoch, previous, encodeEpochFrame(record, wrappedMetadataKey)).frame)
  writeFileSync(join(drive, 'keys', epoch), record)
}

const rows: Row[] = [
  { harm: 'nothing', codes: [] },
  {
    harm: 'one bit of a core header',
    do: async d => {
      const c = await commitOf(d, 3)
      flip(c.path, c.body + 40)
    },
    codes: ['body-damaged'],
    lost: ['k2'],
  },
  {
    harm: 'one bit of a body',
    do: async d => {
      const c = await commitOf(d, 3)
      flip(c.path, c.body + c.bodyLength - 20)
    },
    codes: ['body-damaged'],
    lost: ['k2'],
  },
  {
    harm: 'one bit of a length word inside a body',
    do: async d => {
      const c = await commitOf(d, 3)
      flip(c.path, c.body + 102)
    },
    codes: ['body-damaged', 'frame-damaged'],
    lost: ['k2'],
  },
  {
    harm: 'one bit of the frame head of a body: the body is found again',
    do: async d => {
      const c = await commitOf(d, 3)
      flip(c.path, c.bodyHead)
    },
    codes: ['frame-damaged'],
  },
  {
    harm: 'one bit of an envelope',
    do: async d => {
      const c = await commitOf(d, 3)
      flip(c.path, c.frame + 80 + 32 + 120)
    },
    codes: ['frame-damaged', 'object-missing'],
    lost: ['k2'],
  },
  {
    harm: 'an envelope changed and its frame made to fit',
    do: async d =>
      forge(await commitOf(d, 3), payload => {
        payload[32 + 120] = (payload[32 + 120] ?? 0) ^ 1
      }),
    codes: ['envelope-changed', 'frame-damaged'],
    lost: ['k2'],
  },
  {
    harm: 'one bit of a commit’s frame head',
    do: async d => {
      const c = await commitOf(d, 3)
      flip(c.path, c.frame)
    },
    codes: ['frame-damaged', 'object-missing'],
    lost: ['k2'],
  },
  {
    harm: 'one bit of a commit’s checksum',
    do: async d => {
      const c = await commitOf(d, 3)
      flip(c.path, c.frame + 50)
    },
    codes: ['frame-damaged', 'object-missing'],
    lost: ['k2'],
  },
  {
    harm: 'a commit’s body offset made to point at its neighbour',
    do: async d => {
      const other = await commitOf(d, 4)
      const c = await commitOf(d, 5)
      forge(c, payload => payload.writeBigUInt64BE(BigInt(other.bodyHead), 16))
    },
    codes: ['body-damaged', 'frame-damaged'],
    lost: ['k4'],
  },
  {
    harm: 'two bodies exchanged',
    do: async d => {
      const [a, b] = [await commitOf(d, 3), await commitOf(d, 4)]
      const bytes = readFileSync(a.path)
      overwrite(a.path, a.body, bytes.subarray(b.body, b.body + b.bodyLength))
      overwrite(b.path, b.body, bytes.subarray(a.body, a.body + a.bodyLength))
    },
    codes: ['body-damaged'],
    lost: ['k2', 'k3'],
  },
  {
    harm: 'the body of a part',
    do: async d => {
      const c = await commitOf(d, 12)
      flip(c.path, c.body + 130)
    },
    codes: ['body-damaged', 'part-missing'],
    lost: ['multi'],
  },
  {
    harm: 'the commit of a composite',
    do: async d => {
      const c = await commitOf(d, 14)
      flip(c.path, c.frame + 90)
    },
    codes: ['frame-damaged', 'object-missing'],
    lost: ['multi'],
  },
  {
    harm: 'an older version only',
    do: async d => {
      const c = await commitOf(d, 2)
      flip(c.path, c.body + 120)
    },
    codes: [],
  },
  {
    harm: 'one bit of an epoch frame: its copy beside the packs serves',
    do: async d => {
      const f = await firstFrame(d, FRAME.epoch)
      flip(f.path, f.offset + 200)
    },
    codes: ['frame-damaged'],
  },
  {
    harm: 'an epoch frame and its copy',
    do: async d => {
      const f = await firstFrame(d, FRAME.epoch)
      flip(f.path, f.offset + 200)
      rmSync(join(d, 'keys'), { recursive: true })
    },
    codes: ['frame-damaged', 'key-record-refused'],
    lost: ['k0', 'k2', 'k3'],
  },
  {
    harm: 'a key record whose signature does not fit',
    do: async d => {
      for (const name of readdirSync(join(d, 'keys'))) flip(join(d, 'keys', name), 100)
    },
    codes: ['key-record-refused'],
  },
  {
    harm: 'a key record signed again for a stranger’s key',
    do: forgedRecord,
    codes: ['frame-damaged', 'key-record-refused'],
    lost: ['k0', 'k2', 'k3'],
  },
  {
    harm: 'one bit of a leaves frame: the manifest has them too',
    do: async d => {
      const f = await firstFrame(d, FRAME.leaves)
      flip(f.path, f.offset + 200)
    },
    codes: ['frame-damaged'],
  },
  {
    harm: 'a leaves frame, and no manifest',
    do: async d => {
      const f = await firstFrame(d, FRAME.leaves)
      flip(f.path, f.offset + 200)
      rmSync(join(d, 'manifest'), { recursive: true })
    },
    codes: ['frame-damaged', 'leaf-missing'],
    lost: ['k0', 'k2', 'k3'],
  },
  {
    harm: 'the manifest alone',
    do: d => {
      for (const name of readdirSync(join(d, 'manifest'))) flip(join(d, 'manifest', name), 5000)
    },
    codes: [],
  },
  {
    harm: 'one bit of a checkpoint',
    do: d => flip(checkpoints(d)[1] ?? '', 200),
    codes: ['chain-broken'],
    also: ['checkpoint-damaged'],
    lost: 'all',
  },
  {
    harm: 'one bit of the last checkpoint',
    do: d => flip(checkpoints(d).at(-1) ?? '', 200),
    codes: ['chain-broken'],
    also: ['checkpoint-damaged'],
    lost: 'all',
  },
  {
    harm: 'a checkpoint in the middle is missing',
    do: d => rmSync(checkpoints(d)[1] ?? ''),
    codes: ['checkpoint-missing'],
    lost: 'all',
  },
  {
    harm: 'two checkpoints exchanged',
    do: d => {
      const [a = '', b = ''] = checkpoints(d)
      const bytes = readFileSync(a)
      copyFileSync(b, a)
      writeFileSync(b, bytes)
    },
    codes: ['chain-broken'],
    lost: 'all',
  },
  { harm: 'the seal is missing', do: d => rmSync(checkpoints(d).at(-1) ?? ''), codes: ['not-sealed'], lost: 'all' },
  {
    harm: 'all checkpoints are missing',
    do: d => {
      for (const path of checkpoints(d)) rmSync(path)
    },
    codes: ['not-sealed'],
    lost: 'all',
  },
  {
    harm: 'an older sealed state was put back',
    with: () => ({ drives: made.older.drives }),
    codes: ['not-fresh'],
    lost: 'all',
  },
  { harm: 'nothing shows the newest seal', freshness: null, codes: ['not-fresh'], lost: 'all' },
  {
    harm: 'the code of another seal',
    with: () => ({ freshness: { kind: 'seal-code', code: made.olderCode } }),
    codes: ['not-fresh'],
    lost: 'all',
  },
  {
    harm: 'a code that is none',
    freshness: { kind: 'seal-code', code: 'not a code' },
    codes: ['not-fresh'],
    lost: 'all',
  },
  {
    harm: 'nothing: the customer’s seal file',
    with: () => ({ freshness: { kind: 'seal-file', text: made.seal } }),
    codes: [],
  },
  {
    harm: 'the seal file of another seal',
    with: () => ({
      freshness: { kind: 'seal-file', text: readFileSync(join(made.older.drives[0] ?? '', 'seal.json')) },
    }),
    codes: ['not-fresh'],
    lost: 'all',
  },
  { harm: 'nothing: the operator overrides', freshness: { kind: 'overridden', by: 'operator' }, codes: [] },
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
  {
    harm: 'the grant is changed',
    do: d => flip(join(d, 'grant'), Math.floor(readFileSync(join(d, 'grant')).length / 2)),
    codes: ['grant-mismatch'],
  },
  { harm: 'the grant is missing', do: d => rmSync(join(d, 'grant')), codes: ['grant-mismatch'] },
  {
    harm: 'volume.json is junk',
    do: d => writeFileSync(join(d, 'volume.json'), 'junk'),
    codes: ['volume-damaged', 'drive-missing'],
  },
  {
    harm: 'volume.json names another job',
    do: d =>
      writeFileSync(
        join(d, 'volume.json'),
        readFileSync(join(d, 'volume.json'), 'utf8').replace(made.job.order.job, newId()),
      ),
    codes: ['drive-of-another', 'wrong-job'],
    lost: 'all',
  },
  {
    harm: 'the seal file on the drive: it does not count',
    do: d => writeFileSync(join(d, 'seal.json'), 'junk'),
    codes: [],
  },
  {
    harm: 'a second copy of the drive has a damaged checkpoint',
    with: d => {
      const again = second(d)
      flip(checkpoints(again)[1] ?? '', 200)
      return { drives: [again, d] }
    },
    codes: ['checkpoint-damaged', 'pack-duplicate'],
  },
  {
    harm: 'the device’s key signed two checkpoints of one number',
    with: d => {
      const again = second(d)
      writeFileSync(checkpoints(again)[1] ?? '', forked)
      return { drives: [d, again] }
    },
    do: async d => {
      forked = await signCheckpoint(
        { ...peekCheckpoint(readFileSync(checkpoints(d)[1] ?? '')), createdAt: 7 },
        made.job.identity,
      )
    },
    codes: ['chain-forked'],
    lost: 'all',
  },
  {
    harm: 'the authority knows no such device',
    with: answering(() => ({ devices: [] })),
    codes: ['wrong-device'],
    also: ['grant-mismatch'],
    lost: 'all',
  },
  {
    harm: 'the authority issued another grant',
    with: answering(answer => ({ devices: answer.devices.map(each => ({ ...each, grantHash: randomBytes(32) })) })),
    codes: ['grant-unknown', 'grant-mismatch'],
    lost: 'all',
  },
  {
    harm: 'the order bears another signature',
    with: answering(() => ({ orderSpki: made.job.device.owner.identity })),
    codes: ['order-refused'],
    lost: 'all',
  },
  {
    harm: 'the bucket is somebody else’s',
    prepare: dock => dock.hosted.store(dock.authority.callerOf('other')).createBucket('b'),
    codes: ['bucket-foreign'],
    lost: [...contents.keys()],
  },
  {
    harm: 'the authority refuses one key',
    with: () => ({
      release: {
        ...made.authority,
        prove: async (station, objects) =>
          (await made.authority.prove(station, objects)).map((outcome, at) =>
            objects[at]?.place.key === 'k5' ? { outcome: 'refused' as const, reason: 'not today' } : outcome,
          ),
      },
    }),
    codes: ['key-refused'],
    lost: ['k5'],
  },
]
let forked: Buffer = Buffer.alloc(0)

for (const row of rows) {
  test(`${row.harm}: ${row.codes.join(', ') || 'nothing is said'}${row.lost === 'all' ? '; nothing goes in' : ''}`, async () => {
    const { job, code } = made
    const dock = await openDock(made.authority)
    const copy = job.copy()
    const [drive = ''] = copy.drives
    try {
      await row.prepare?.(dock)
      await row.do?.(drive)
      const freshness = row.freshness === undefined ? { kind: 'seal-code' as const, code } : row.freshness
      const report = await dock.takeIn(job, null, { drives: copy.drives, freshness, ...row.with?.(drive) })
      const found = new Set(report.findings.map(each => each.code))
      for (const wanted of row.codes) assert.ok(found.has(wanted), `${wanted} among ${[...found]}`)
      const allowed = new Set([...row.codes, ...(row.also ?? [])])
      assert.equal(
        [...found].filter(each => !allowed.has(each)),
        [],
        'nothing else is said',
      )
      const lost = row.lost === 'all' ? [...contents.keys()] : (row.lost ?? [])
      assert.is(report.counts.stored, ALL - lost.length)
      assert.is(report.outcome, row.lost === 'all' ? 'held' : row.codes.length > 0 ? 'with-findings' : 'complete')
      assert.is(report.receipts === null, row.lost === 'all')
      const mine = dock.hosted.store(dock.authority.callerOf(job.order.account))
      for (const [key, text] of row.lost === 'all' || row.prepare ? [] : contents) {
        const read = await mine.get('b', key)
        assert.is(read && (await readAll(read.body)).toString('utf8'), lost.includes(key) ? null : text, key)
      }
    } finally {
      copy.remove()
      await dock.close()
    }
  })
}

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

test('a fatal code stops, any other does not', () => {
  assert.equal(CODES.filter(isFatal).length, 9)
})

test.run()
