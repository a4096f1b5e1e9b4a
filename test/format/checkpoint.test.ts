import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type DeviceId, type DriveId, type JobId, newId, type PackId } from '../../format/bytes.ts'
import { type Checkpoint, peekCheckpoint, signCheckpoint, verifyCheckpoint } from '../../format/checkpoint.ts'
import { CheckpointChain } from '../../format/checkpoint-chain.ts'
import { CustodyChain, type CustodyEvent, signCustodyEvent } from '../../format/custody.ts'
import { emptyRoot, Frontier, leafHash } from '../../format/merkle.ts'
import { MESSAGE_LIMIT, messageHash } from '../../format/signed.ts'
import { faultOf, faultOfAsync } from './faults.ts'
import { newSigner } from './signer.ts'

const checkpoint = suite('checkpoint')
const device = newSigner()
const pack: PackId = newId()
const drive: DriveId = newId()
const base: Checkpoint = {
  job: newId<JobId>(),
  device: newId<DeviceId>(),
  grantHash: Buffer.alloc(32),
  number: 1,
  previous: Buffer.alloc(32),
  state: 'epoch',
  createdAt: 1,
  epoch: newId(),
  treeSize: 0,
  root: emptyRoot(),
  peaks: [],
  lastSequence: 5,
  objects: 0,
  bytes: 0,
  drives: [drive],
  packs: [{ pack, drive, length: 200, head: Buffer.alloc(32, 1) }],
}
const sign = (change: Partial<Checkpoint>) => signCheckpoint({ ...base, ...change }, device.sign)
const first = await sign({})

checkpoint('what is signed is what is read', () => {
  assert.equal(verifyCheckpoint(first, device.spki), base)
  assert.equal(peekCheckpoint(first), base)
})

checkpoint('a chain goes on from epoch to seal to reopening', async () => {
  const chain = new CheckpointChain(device.spki)
  let previous: Buffer = Buffer.alloc(32)
  for (const [at, state] of (
    ['epoch', 'closed-by-recovery', 'sealed', 'reopened', 'epoch', 'sealed'] as const
  ).entries()) {
    const signed = await sign({ number: at + 1, previous, state })
    assert.is(chain.take(signed).number, at + 1)
    previous = messageHash(signed)
    assert.equal(chain.head, previous)
  }
  assert.is(chain.last?.state, 'sealed')
  assert.equal(chain.of, { job: base.job, device: base.device })
})

const tree = Frontier.empty()
tree.append(leafHash(Buffer.of(1)))
const follows: [title: string, change: Partial<Checkpoint>, fault: string][] = [
  ['a good second', {}, 'nothing'],
  ['one that has grown', { treeSize: 1, root: tree.root(), peaks: tree.peaks, lastSequence: 6 }, 'nothing'],
  ['a number left out', { number: 3 }, 'tampered'],
  ['the same number again', { number: 1 }, 'tampered'],
  ['another hash before it', { previous: Buffer.alloc(32, 1) }, 'tampered'],
  ['another job', { job: newId() }, 'mismatch'],
  ['another device', { device: newId() }, 'mismatch'],
  ['a sequence that falls', { lastSequence: 4 }, 'malformed'],
  ['peaks that do not give the root', { treeSize: 1, root: emptyRoot(), peaks: tree.peaks }, 'malformed'],
  ['peaks of another size', { treeSize: 3, root: tree.root(), peaks: tree.peaks }, 'malformed'],
  ['a pack that is gone', { packs: [] }, 'malformed'],
  ['a pack that is shorter', { packs: [{ pack, drive, length: 199, head: Buffer.alloc(32) }] }, 'malformed'],
  ['reopened without a seal', { state: 'reopened' }, 'malformed'],
]
for (const [title, change, fault] of follows)
  checkpoint(`${title}: ${fault === 'nothing' ? 'taken' : fault}`, async () => {
    const chain = new CheckpointChain(device.spki)
    chain.take(first)
    const second = await sign({ number: 2, previous: messageHash(first), ...change })
    assert.is(
      faultOf(() => chain.take(second)),
      fault,
    )
  })

checkpoint('after a seal only a reopening is taken, and a tree never shrinks', async () => {
  const sealed = await sign({ state: 'sealed', treeSize: 1, root: tree.root(), peaks: tree.peaks })
  for (const [state, size, fault] of [
    ['epoch', 1, 'malformed'],
    ['sealed', 1, 'malformed'],
    ['reopened', 1, 'nothing'],
    ['reopened', 0, 'malformed'],
  ] as const) {
    const chain = new CheckpointChain(device.spki)
    chain.take(sealed)
    const grown = size === 1 ? { treeSize: 1, root: tree.root(), peaks: tree.peaks } : {}
    const next = await sign({ number: 2, previous: messageHash(sealed), state, ...grown })
    assert.is(
      faultOf(() => chain.take(next)),
      fault,
      `${state} ${size}`,
    )
  }
})

checkpoint('the first has number 1 and names nothing before it; another signer is refused', async () => {
  const second = await sign({ number: 2 })
  const named = await sign({ previous: Buffer.alloc(32, 1) })
  for (const wrong of [second, named])
    assert.is(
      faultOf(() => new CheckpointChain(device.spki).take(wrong)),
      'tampered',
    )
  assert.is(
    faultOf(() => new CheckpointChain(newSigner().spki).take(first)),
    'tampered',
  )
})

checkpoint('so many packs as fit are taken; more are refused by the writer, before any reader sees them', async () => {
  const packs = (count: number) =>
    Array.from({ length: count }, () => ({ pack, drive, length: 2 ** 50, head: Buffer.alloc(32) }))
  const full = await sign({ packs: packs(40_000), drives: Array.from({ length: 4096 }, () => drive) })
  assert.ok(full.length <= MESSAGE_LIMIT)
  assert.is(verifyCheckpoint(full, device.spki).packs.length, 40_000)
  const more = await sign({ packs: packs(40_001) })
  assert.is(
    faultOf(() => verifyCheckpoint(more, device.spki)),
    'limit',
  )
  assert.is(await faultOfAsync(() => sign({ packs: packs(60_000) })), 'limit')
})

const event: CustodyEvent = {
  device: base.device,
  job: base.job,
  number: 1,
  previous: Buffer.alloc(32),
  at: 1,
  event: 'unlocked',
  detail: {},
}
checkpoint('a custody chain takes what follows and nothing else', async () => {
  const one = await signCustodyEvent(event, device.sign)
  const previous = messageHash(one)
  for (const [change, fault] of [
    [{}, 'nothing'],
    [{ number: 3 }, 'tampered'],
    [{ previous: Buffer.alloc(32) }, 'tampered'],
    [{ job: newId<JobId>() }, 'mismatch'],
    [{ device: newId<DeviceId>() }, 'mismatch'],
  ] as const) {
    const chain = new CustodyChain(device.spki)
    chain.take(one)
    const two = await signCustodyEvent({ ...event, number: 2, previous, ...change }, device.sign)
    assert.is(
      faultOf(() => chain.take(two)),
      fault,
    )
  }
})

checkpoint.run()
