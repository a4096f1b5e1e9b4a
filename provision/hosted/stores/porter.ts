import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import type { Shelf } from '../shelf.ts'
import { moveNext } from './moves.ts'
import { buryDead, sweepStore } from './sweep.ts'

/**
 * Works behind the store: blobs are moved one after another, what a store elsewhere did not take back is removed, stores elsewhere are
 * swept. What fails is tried again later.
 */
export type Porter = {
  /** There is something to move. */
  wake(): void
  close(): Promise<void>
}

/** Where another process moves. */
export const IDLE: Porter = { wake: () => undefined, close: async () => undefined }

const SWEEP_EVERY_MS = 12 * 3_600_000
const AGAIN_AFTER_MS = 60_000

export function openPorter(shelf: Shelf, onError: (error: unknown) => void): Porter {
  const closing = new AbortController()
  const { signal } = closing
  const woken = new EventTarget()
  let awake = true
  let sweepAt = 0

  const guarded = async (work: () => Promise<unknown>): Promise<boolean> => {
    try {
      await work()
      return true
    } catch (error) {
      if (!signal.aborted) onError(error)
      return false
    }
  }
  /** @returns whether all went well */
  const round = async (): Promise<boolean> => {
    let well = true
    for (const name of shelf.blobs.remote.keys())
      if (!signal.aborted) well = (await guarded(() => buryDead(shelf, name))) && well
    if (Date.now() >= sweepAt) {
      sweepAt = Date.now() + SWEEP_EVERY_MS
      for (const name of shelf.blobs.remote.keys())
        if (!signal.aborted) well = (await guarded(() => sweepStore(shelf, name))) && well
    }
    for (let after = ''; !signal.aborted; ) {
      const next = await moveNext(shelf, after, signal)
      if (next === null) break
      after = next.blob
      await guarded(async () => {
        well = (await next.move()) && well
      }).then(done => {
        well &&= done
      })
    }
    return well
  }
  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      awake = false
      let well = false
      await guarded(async () => {
        well = await round()
      })
      if (awake || signal.aborted) continue
      const rest = new AbortController()
      const either = { signal: AbortSignal.any([signal, rest.signal]) }
      // another process may have asked for a move
      const pauseMs = well ? Math.min(AGAIN_AFTER_MS, Math.max(0, sweepAt - Date.now())) : AGAIN_AFTER_MS
      const waits = [wait(pauseMs, null, { ...either, ref: false }), once(woken, 'wake', either)]
      for (const each of waits) each.catch(() => undefined)
      await Promise.race(waits).catch(() => undefined)
      rest.abort()
    }
  }
  const running = run()
  return {
    wake() {
      awake = true
      woken.dispatchEvent(new Event('wake'))
    },
    async close() {
      closing.abort()
      await running
    },
  }
}
