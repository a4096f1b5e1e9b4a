import { FormatError } from '../format/fault.ts'
import { StoreError } from '../store/object-store.ts'
import type { PackStore } from '../store/pack/pack-store.ts'
import { readObject } from '../store/pack/rows.ts'

export type VerifyProgress = { checked: number; bytes: number; objects: number; elapsedSeconds: number }
export type VerifyResult = VerifyProgress & {
  tags: number
  digests: number
  damaged: { bucket: string; key: string; reason: string }[]
  damagedCount: number
}

const DAMAGED_KEPT = 1000
const PAGE = 500
const PROGRESS_MS = 500

/** @param every - check one of so many objects; 1 for all */
export async function verifyJob(
  store: PackStore,
  buckets: string[],
  every: number,
  onProgress: (progress: VerifyProgress) => void,
): Promise<VerifyResult> {
  const started = performance.now()
  const objects = store.totals().objects
  const result: VerifyResult = {
    checked: 0,
    bytes: 0,
    objects,
    elapsedSeconds: 0,
    tags: 0,
    digests: 0,
    damaged: [],
    damagedCount: 0,
  }
  let seen = 0
  let told = started
  for (const bucket of buckets) {
    for (let after: string | undefined; ; ) {
      const page = await store.list(bucket, { prefix: '', limit: PAGE, ...(after !== undefined && { after }) })
      for (const { key, size } of page.objects) {
        if (seen++ % every !== 0) continue
        await checkOne(store, bucket, key, result)
        result.checked++
        result.bytes += size
        if (performance.now() - told > PROGRESS_MS) {
          told = performance.now()
          onProgress({ ...result, elapsedSeconds: (told - started) / 1000 })
        }
      }
      after = page.last
      if (!page.more) break
    }
  }
  return { ...result, elapsedSeconds: (performance.now() - started) / 1000 }
}

async function checkOne(store: PackStore, bucket: string, key: string, result: VerifyResult): Promise<void> {
  const row = readObject(store.engine.index, bucket, key)
  if (row === null) return
  try {
    const how = await store.engine.reader.check(row.place, { bucket, key })
    if (how === 'tags') result.tags++
    else result.digests++
  } catch (error) {
    if (!(error instanceof StoreError) && !(error instanceof FormatError)) throw error
    result.damagedCount++
    if (result.damaged.length < DAMAGED_KEPT) result.damaged.push({ bucket, key, reason: error.message })
  }
}
