// timeout: 300s, test 60s

import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeFrame, FRAME, openFrame } from '../../../format/frame.ts'
import { makeKeyRecord, peekKeyRecord } from '../../../format/key-record.ts'
import { encodeEpochFrame, parseEpochFrame } from '../../../format/pack-walk.ts'
import { keyId, sealTo } from '../../../format/wrap-suite.ts'
import { spkiOf } from '../job.ts'
import { commitOf, firstFrame, flip, forge, overwrite } from './harm.ts'
import { type Made, makeSealed, type Row, removeSealed, run, titleOf } from './tampered.ts'

const test = suite('intake of drives whose objects were tampered with')
let made: Made

test.before(async () => {
  made = await makeSealed()
})
test.after(() => removeSealed(made))

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
]

for (const row of rows) test(titleOf(row), () => run(row, made))

test.run()
