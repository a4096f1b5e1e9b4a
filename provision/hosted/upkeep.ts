import type { KeyRelease } from '../../format/release.ts'
import { StoreError } from '../../store/object-store.ts'
import { finishStaged } from './acl/acl-objects.ts'
import type { Shelf } from './shelf.ts'

const EVERY_MS = 5000

/** What a crash left between the authority and the tables. */
export async function finish(shelf: Shelf, release: KeyRelease): Promise<void> {
  try {
    await finishStaged(shelf, release)
  } catch (error) {
    // the authority is away: until it is asked again both decide by what they know, and both must say yes
    if (!(error instanceof StoreError && error.fault === 'busy')) throw error
  }
}

/** Looks every few seconds whether another process died, and finishes what it was at. Closing waits for a look that is under way. */
export function upkeepOf(
  shelf: Shelf,
  release: KeyRelease,
  onError: (error: unknown) => void,
): { close(): Promise<void> } {
  const look = async (): Promise<void> => {
    if (await shelf.members.someGone()) await shelf.recover()
    await finish(shelf, release)
    await shelf.letGo()
  }
  let last: Promise<void> | null = null
  const timer = setInterval(() => {
    last ??= look()
      .catch(onError)
      .finally(() => {
        last = null
      })
  }, EVERY_MS)
  timer.unref()
  return {
    async close() {
      clearInterval(timer)
      await last
    },
  }
}
