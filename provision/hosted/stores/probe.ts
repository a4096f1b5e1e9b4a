import { randomBytes } from 'node:crypto'
import type { PlainBlobs } from '../../../store/blobs.ts'
import { StoreError } from '../../../store/object-store.ts'

const PROBE_BYTES = 1000
const PART = { offset: 100, length: 800 }

/** Writes, reads in part and deletes a blob. @returns ms @throws StoreError - as the store has it; "damaged": it came back as another */
export async function probe(store: PlainBlobs): Promise<number> {
  const began = performance.now()
  const bytes = randomBytes(PROBE_BYTES)
  const { blob } = await store.write(once(bytes))
  try {
    const reader = await store.open(blob)
    const { offset, length } = PART
    const read = await reader?.read(offset, length)
    await reader?.close()
    if (read === undefined || !bytes.subarray(offset, offset + length).equals(read))
      throw new StoreError('damaged', 'what was written came back as something else')
  } finally {
    await store.remove(blob)
  }
  return Math.round(performance.now() - began)
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
