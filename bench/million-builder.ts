/** A drive with a million objects, made through the device's own store in this process: over a port it would take the whole run. */
import { randomBytes } from 'node:crypto'
import { Device } from '../agent/device.ts'
import { type Prepared, prepareDevice } from '../test/agent/prepared.ts'
import { BUCKET } from './device.ts'

export const MILLION = 1_000_000
const FOLDER_OBJECTS = 1_000
const SIDE_BY_SIDE = 256
const BYTES = 64

/** `000/000` to `999/999`: the thousand under one prefix are a page. */
export const millionKey = (at: number): string =>
  `${String(Math.floor(at / FOLDER_OBJECTS)).padStart(3, '0')}/${String(at % FOLDER_OBJECTS).padStart(3, '0')}`

export async function buildMillion(progress: (done: number) => void): Promise<Prepared> {
  const prepared = await prepareDevice({ readBack: 'none' })
  await fillMillion(prepared, progress)
  return prepared
}

/** A million objects onto a device that nobody has open. */
export async function fillMillion(
  prepared: Pick<Prepared, 'state' | 'drive' | 'code'>,
  progress: (done: number) => void,
): Promise<void> {
  const config = { stateDirectory: prepared.state, drivePaths: [prepared.drive], tokenUri: null }
  const device = await Device.open(config)
  try {
    await device.unlock(prepared.code)
    const { store } = device.job
    const body = randomBytes(BYTES)
    let next = 0
    const lane = async (): Promise<void> => {
      while (next < MILLION) {
        const at = next++
        const options = { attributes: { headers: {}, metadata: {} }, finish: () => ({ etag: `${at}-1` }) }
        await store.put(BUCKET, millionKey(at), once(body), options)
        if (at % 100_000 === 0) progress(at)
      }
    }
    await Promise.all(Array.from({ length: SIDE_BY_SIDE }, lane))
  } finally {
    await device.close()
  }
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}
