/** `seal-time`: from the last byte of 25,000 objects to the signed seal. */
import { join } from 'node:path'
import { corpus } from '../corpus.ts'
import { askDevice, BUCKET, openDevice } from '../device.ts'
import { judge, type Row, rounded } from '../measure.ts'
import { type Run, settled } from '../rounds.ts'

const OBJECTS = 25_000
/** A device is sealed once: every round has one of its own. */
const MOST_ROUNDS = 3

export async function measureSealTime(run: Run): Promise<Row[]> {
  const files = corpus(run.place, 'small')
  run.place.needRoom(files.bytes * 4, 'seal-time')
  const ours: number[] = []
  for (let round = 1; round <= Math.min(run.rounds, MOST_ROUNDS); round++) {
    const device = await openDevice()
    try {
      const { prepared } = device
      await settled(run)
      await askDevice(prepared, 'copy', files.path, `s3://${BUCKET}/a`)
      for (let at = 0; at < (OBJECTS - files.files) / 1000; at++)
        await askDevice(prepared, 'copy', join(files.path, `d${String(at).padStart(3, '0')}`), `s3://${BUCKET}/b${at}`)
      const from = performance.now()
      const { objects } = await askDevice<{ objects: number }>(prepared, 'seal')
      const seconds = (performance.now() - from) / 1000
      if (objects !== OBJECTS) throw new Error(`${objects} of ${OBJECTS} objects were sealed`)
      ours.push(seconds)
      run.say(`seal-time round ${round}: ${rounded(seconds)} s`)
    } finally {
      await device.close()
    }
  }
  const target = { text: '<= 2 s', atMost: 2 }
  return [judge('seal-time', 's', target, { ours, peers: {} }, { detail: { objects: OBJECTS } })]
}
