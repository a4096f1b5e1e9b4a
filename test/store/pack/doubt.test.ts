import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { newId, type PackId } from '../../../format/bytes.ts'
import { StoreError } from '../../../store/object-store.ts'
import { makeWritingRooms } from '../../../store/pack/sealing/aligned-rooms.ts'
import { PackWriter } from '../../../store/pack/sealing/pack-writer.ts'
import { makeDevice } from './device.ts'

const test = suite('a pack that failed')

test('it is in doubt when what failed could not be taken back', async () => {
  const device = await makeDevice()
  try {
    const [drive] = device.drives
    if (drive === undefined) throw new Error('no drive')
    const header = {
      pack: newId<PackId>(),
      job: device.owner.job,
      device: device.owner.device,
      drive: drive.volume.drive,
      firstSequence: 1,
      createdAt: 0,
    }
    const writer = await PackWriter.create(drive, header, makeWritingRooms())
    assert.is(writer.doubtful, false)
    // a closed descriptor: neither the write nor the truncation goes
    await writer.close()
    const failed = await writer
      .append(() => ({ buffers: [Buffer.of(1)], checksum: Buffer.alloc(32), value: 0, release: () => undefined }))
      .then(
        () => null,
        (error: unknown) => error,
      )
    assert.instance(failed, StoreError)
    assert.is(writer.doubtful, true)
  } finally {
    device.remove()
  }
})

test.run()
