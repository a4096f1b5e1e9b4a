// timeout: 300s, test 60s

import { randomBytes } from 'node:crypto'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { newId } from '../../../format/bytes.ts'
import { peekCheckpoint, signCheckpoint } from '../../../format/checkpoint.ts'
import { CODES, isFatal } from '../../../provision/intake/finding.ts'
import type { Job } from '../job.ts'
import { flip } from './harm.ts'
import { contents, type Made, makeSealed, type Row, removeSealed, run, titleOf } from './tampered.ts'

const test = suite('intake of drives whose chain was tampered with')
let made: Made

test.before(async () => {
  made = await makeSealed()
})
test.after(() => removeSealed(made))

const checkpoints = (drive: string) =>
  readdirSync(join(drive, 'checkpoints'))
    .sort()
    .map(name => join(drive, 'checkpoints', name))
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

let forked: Buffer = Buffer.alloc(0)

const rows: Row[] = [
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

for (const row of rows) test(titleOf(row), () => run(row, made))

test('a fatal code stops, any other does not', () => {
  assert.equal(CODES.filter(isFatal).length, 9)
})

test.run()
