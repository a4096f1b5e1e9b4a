import { randomBytes } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type EpochId, newId, type PackId } from '../../../format/bytes.ts'
import { OBJECT } from '../../../format/envelope.ts'
import { deriveEpochKeys } from '../../../format/epoch-key.ts'
import { FRAME } from '../../../format/frame.ts'
import type { Label } from '../../../store/pack/sealing/messages.ts'
import { Sealer } from '../../../store/pack/sealing/sealer.ts'
import { makeDevice, PLAIN } from './device.ts'

const test = suite('what a sealing thread answers')

/** Every view of bytes in a message, by its path. */
function views(value: unknown, path = ''): [string, Uint8Array][] {
  if (value instanceof Uint8Array) return [[path, value]]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, each]) => views(each, `${path}.${name}`))
}

test('takes no more along than its bytes: what is posted goes with the whole buffer that it lies in', async () => {
  const device = await makeDevice()
  try {
    const [drive] = device.drives
    if (drive === undefined) throw new Error('no drive')
    const { job, account } = device.owner
    const sealer = new Sealer({ job, account, digest: 'fast', readBack: 'none' })
    const pack = newId<PackId>()
    const epoch = { id: newId<EpochId>(), ...deriveEpochKeys(randomBytes(32)), frame: randomBytes(100) }
    const label = (sequence: number): Label => ({
      kind: OBJECT,
      objectId: newId(),
      epoch: epoch.id,
      sequence,
      committedAt: 0,
      metadata: { bucket: 'b', key: `k${sequence}`, modifiedAt: 0, etag: null, headers: PLAIN.headers, user: {} },
    })
    const header = { pack, job, device: device.owner.device, drive: drive.volume.drive, firstSequence: 1, createdAt: 0 }
    const objects = JSON.stringify([{ ...label(1), body: { offset: 0, length: 5 } }])
    const bytes = Buffer.allocUnsafeSlow(5)
    const replies: [string, unknown][] = [
      ['open', await sealer.call('open', { drive, header })],
      ['seal', await sealer.call('seal', { pack, epochs: [epoch], bytes, objects })],
    ]
    await sealer.call('begin', { stream: 1, pack, objectId: newId() })
    await sealer.call('push', { stream: 1, bytes: Buffer.allocUnsafeSlow(70_000) })
    await sealer.call('end', { stream: 1 })
    replies.push(['commit', await sealer.call('commit', { stream: 1, epochs: [], label: label(2) })])
    const frame = { pack, epochs: [], epoch: epoch.id, type: FRAME.leaves, payload: Buffer.from('leaves') }
    replies.push(['append', await sealer.call('append', frame)])
    replies.push(['close', await sealer.call('close', { pack })])
    const found = replies.flatMap(([name, reply]) => views(reply, name))
    const names = found.map(([path]) => path)
    for (const name of [
      'seal.leaves',
      'seal.reached.head',
      'seal.report.epochs.0.1.previous',
      'commit.leaf',
      'append.report.head',
    ])
      assert.ok(names.includes(name), `${name} in ${names.join(' ')}`)
    for (const [path, view] of found) assert.is(view.buffer.byteLength, view.byteLength, path)
  } finally {
    device.remove()
  }
})

test.run()
