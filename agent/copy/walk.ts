import { Worker } from 'node:worker_threads'
import { AgentError } from '../fault.ts'
import type { SourceEntry } from './source.ts'
import type { CountReport, WalkMessage, WalkOrder, WalkReport } from './walk-messages.ts'

/** Batches asked for ahead of those that are worked on. */
const AHEAD = 4

export type WalkEvents = {
  lost: (path: string, reason: string) => void
  /** what the source holds, as far as it is known by now */
  found: (found: CountReport['found']) => void
}

/**
 * The entries of a source in batches, found by a thread of its own.
 * @throws AgentError "absent" - there is no such source, or it cannot be read
 */
export async function* walkApart(order: WalkOrder, events: WalkEvents): AsyncGenerator<SourceEntry[]> {
  const worker = new Worker(new URL('./walk-main.ts', import.meta.url), {
    name: 'walk',
    workerData: order,
    resourceLimits: { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 64 },
  })
  const batches: WalkReport[] = []
  let fault: Error | null = null
  let wake: () => void = () => undefined
  worker.on('message', (message: WalkMessage) => {
    if ('found' in message) return events.found(message.found)
    if ('failed' in message)
      fault ??= new AgentError('absent', `${order.source} cannot be read (${message.failed}): does it exist?`)
    else batches.push(message)
    wake()
  })
  worker.on('error', error => {
    fault ??= error
    wake()
  })
  try {
    for (let at = 0; at < AHEAD; at++) worker.postMessage(null)
    for (;;) {
      while (batches.length === 0 && fault === null)
        await new Promise<void>(resolve => {
          wake = resolve
        })
      const batch = batches.shift()
      if (batch === undefined) throw fault
      worker.postMessage(null)
      for (const { path, reason } of batch.lost) events.lost(path, reason)
      yield batch.entries
      if (batch.over) return
    }
  } finally {
    await worker.terminate()
  }
}
