import { StoreError } from '../store/object-store.ts'
import type { PackStore } from '../store/pack/pack-store.ts'

/** Null while the index does not answer: a status is given all the same. */
export function totalsOf(store: PackStore): { objects: number; bytes: number } | null {
  try {
    return store.totals()
  } catch (error) {
    if (error instanceof StoreError) return null
    throw error
  }
}
