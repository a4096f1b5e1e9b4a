import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type CpuProfile, subjectOfFrame, subjectsOf, topFrames } from '../../bench/frames.ts'

const test = suite('frames')

const frames: ReadonlyArray<readonly [string, string, string | null]> = [
  ['(garbage collector)', '', 'gc'],
  ['(program)', '', 'native, no frame'],
  ['update', 'node:internal/crypto/hash', 'hashing'],
  ['update', 'node:internal/crypto/cipher', 'crypto'],
  ['sealSegment', 'file:///x/format/floe.ts', 'crypto'],
  ['digestOf', 'file:///x/format/digest.ts', 'hashing'],
  ['encodeCbor', 'file:///x/format/cbor.ts', 'format'],
  ['write', 'file:///x/store/sqlite-index.ts', 'index'],
  ['append', 'file:///x/store/pack/pack-writer.ts', 'disk'],
  ['writeBuffers', 'node:internal/fs/promises', 'disk'],
  ['onread', 'node:internal/stream_base_commons', 'http'],
  ['face', 'file:///x/store/s3/face.ts', 'http'],
  ['commit', 'file:///x/store/pack/engine.ts', 'ours, other'],
  ['writeBuffer', '', null],
  ['nextTick', 'node:internal/process/task_queues', null],
]
for (const [name, url, wanted] of frames)
  test(`${name} ${url} counts as ${wanted ?? "its caller's"}`, () => assert.is(subjectOfFrame(name, url), wanted))

const node = (id: number, functionName: string, url: string, children: number[] = []): CpuProfile['nodes'][number] => ({
  id,
  callFrame: { functionName, url, lineNumber: 0 },
  children,
})
const profile: CpuProfile = {
  nodes: [
    node(1, '(root)', '', [2, 3, 5]),
    node(2, '(idle)', ''),
    node(3, 'sealSegment', 'file:///x/format/floe.ts', [4]),
    node(4, 'update', ''),
    node(5, '(garbage collector)', ''),
  ],
  samples: [2, 3, 4, 4, 5],
  timeDeltas: [5000, 1000, 1000, 1000, -3],
}

test('a native call counts for its caller, rest is not busy, and time does not run backwards', () => {
  const { busyMs, wallMs, subjects } = subjectsOf(profile)
  assert.is(wallMs, 8)
  assert.is(busyMs, 3)
  assert.equal(subjects, [
    ['crypto', 3],
    ['gc', 0],
  ])
})

test('frames come by their own time, the idle one left out', () => {
  assert.equal(topFrames(profile, 2), [
    { frame: 'update ', ms: 2 },
    { frame: 'sealSegment x/format/floe.ts:1', ms: 1 },
  ])
})

test.run()
