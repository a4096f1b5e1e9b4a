import type { Index } from '../index-store.ts'
import { StoreError } from '../object-store.ts'

/**
 * The same index, which does nothing any more once it has failed to take a change. A later change says how far the index has read its
 * pack: it would pass over the rows that are missing, and no recovery would make them again. And what it lacks is in the packs: to answer from
 * it would be to say that a name is free that is not. Opened anew, it is brought up to the packs.
 */
export function guardIndex(index: Index): Index {
  let failed: StoreError | null = null
  const still = (): void => {
    if (failed !== null) throw failed
  }
  return {
    get(table, key) {
      still()
      return index.get(table, key)
    },
    scan(table, query) {
      still()
      return index.scan(table, query)
    },
    write(changes) {
      still()
      try {
        index.write(changes)
      } catch (cause) {
        const full = cause instanceof StoreError && cause.fault === 'full'
        failed = new StoreError(
          full ? 'full' : 'damaged',
          `the index could not be written: the medium of the state directory ${full ? 'is full; make room' : 'fails; see to it'}, then lock and unlock the device`,
          { cause },
        )
        throw failed
      }
    },
    close: () => index.close(),
  }
}
