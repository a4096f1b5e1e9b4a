import { randomBytes } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DEFAULT_EPOCH_LIMITS } from '../../../format/administration.ts'
import { type DeviceId, type JobId, newId } from '../../../format/bytes.ts'
import { verifyKeyRecord } from '../../../format/key-record.ts'
import { keyId } from '../../../format/wrap-suite.ts'
import { openMemoryToken } from '../../../hsm/memory-token.ts'
import { type ExportDevice, exportEpochsOf } from '../../../provision/keystore/exports/export-epochs.ts'
import type { ExportJob } from '../../../provision/keystore/jobs/jobs.ts'
import { TOKEN_KEYS } from '../../../provision/keystore/keys/token-keys.ts'

const test = suite('epochs of exports')
const token = openMemoryToken({ label: 'provider' })
const clock = { now: 1 }
const epochs = exportEpochsOf({ token, clock: () => clock.now })
const id = newId<JobId>()
const order = { job: id, account: 'a', buckets: ['b-1'], endsAt: 9, orderedAt: 1 }
const common = { kind: 'export', id, order, signedOrder: Buffer.alloc(0), state: 'exporting', createdAt: 1 } as const
const job: ExportJob = { ...common, limits: DEFAULT_EPOCH_LIMITS }
let signer: Buffer
let to: ExportDevice
const one = { wraps: 1, bytes: 1 }

test.before(async () => {
  signer = (await token.makeSigningKey(TOKEN_KEYS.grant)).spki
  const { spki } = await token.makeOpeningKey('device', 0x0010)
  to = { device: newId<DeviceId>(), grantHash: randomBytes(32), transport: { suite: 0x0010, spki } }
})
test.after(async () => {
  epochs.close()
  epochs.close()
  await token.close()
})

test('a record is signed by the grant key, for this job, device and grant, with the device as its one recipient', async () => {
  const { epoch, keyRecord } = await epochs.current(job, to)
  const record = verifyKeyRecord(keyRecord, signer)
  assert.equal([record.epoch, record.job, record.device], [epoch, id, to.device])
  assert.equal(record.grantHash, to.grantHash)
  assert.equal(
    record.recipients.map(each => each.keyId),
    [keyId(to.transport.spki)],
  )
  const { objects, bytes } = DEFAULT_EPOCH_LIMITS
  assert.equal([record.maxObjects, record.maxBytes], [objects, bytes])
})

test('an epoch is of one grant: under a newer one nothing is wrapped under it', async () => {
  const { epoch } = await epochs.current(job, to)
  assert.is.not(epochs.enter(job, to, epoch, one), null)
  assert.is(epochs.enter(job, { ...to, grantHash: randomBytes(32) }, epoch, one), null)
  assert.is(epochs.enter(job, to, epoch, one), null, 'nor is it gone back to')
})

test('who asks while one is begun gets the same', async () => {
  epochs.forget(id)
  const before = token.operations
  const [first, second] = await Promise.all([epochs.current(job, to), epochs.current(job, to)])
  assert.is(first.epoch, second.epoch)
  assert.is(token.operations - before, 2)
})

test('one that is forgotten while it is begun is never used', async () => {
  epochs.forget(id)
  const begun = epochs.current(job, to)
  epochs.forget(id)
  const { epoch } = await begun
  assert.is(epochs.enter(job, to, epoch, one), null)
  assert.is.not((await epochs.current(job, to)).epoch, epoch)
})

test('one that cannot be begun is begun by who asks next', async () => {
  epochs.forget(id)
  const honest = token.sign.bind(token)
  token.sign = async () => {
    throw new Error('away')
  }
  const failed = await epochs.current(job, to).then(
    () => 'nothing',
    (error: Error) => error.message,
  )
  assert.is(failed, 'away')
  token.sign = honest
  assert.ok((await epochs.current(job, to)).keyRecord.length > 0)
})

test('every limit is kept to the last wrap', async () => {
  for (const [limits, fits] of [
    [{ objects: 3 }, 3],
    [{ bytes: 3 }, 3],
    [{ objects: 1 }, 1],
  ] as const) {
    epochs.forget(id)
    const tight = { ...job, limits: { ...DEFAULT_EPOCH_LIMITS, ...limits } }
    const { epoch } = await epochs.current(tight, to)
    for (let at = 0; at < fits; at++) assert.is.not(epochs.enter(tight, to, epoch, one), null)
    assert.is(epochs.enter(tight, to, epoch, one), null)
  }
})

test.run()
