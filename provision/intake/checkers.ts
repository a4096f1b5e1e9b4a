import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { CheckAsked, CheckMessage, CheckOrder } from './check-messages.ts'
import { checkPack, type PackCopy } from './check-pack.ts'
import type { Work } from './work.ts'

type Tell = (bytes: number, more: number) => void

/** Whoever reads packs: threads where there is much to read, else this one. */
export type Checkers = {
  /** As `checkPack`, when one is free. After one that failed no other is begun. */
  check(copy: PackCopy, tell: Tell): Promise<void>
  close(): Promise<void>
}

const THREADS_MAX = 2
/** Heap of a thread, MiB: windows and rows lie outside of it. */
const LIMITS = { maxYoungGenerationSizeMb: 16, maxOldGenerationSizeMb: 48 }

export function openCheckers(work: Work): Checkers {
  const bytes = work.last.packs.reduce((sum, pack) => sum + pack.length, 0)
  const apart = bytes >= work.apartBytes
  const most = apart ? Math.min(THREADS_MAX, availableParallelism()) : 1
  const threads: Worker[] = []
  const free: Worker[] = []
  const waiting: (() => void)[] = []
  let running = 0
  let failed = false
  const one: Checkers['check'] = async (copy, tell) => {
    if (failed) throw new Error('another pack could not be read')
    if (!apart) return checkPack(work, copy, tell)
    const thread = free.pop() ?? startThread(work)
    if (!threads.includes(thread)) threads.push(thread)
    await checkApart(thread, copy, tell)
    free.push(thread)
  }
  return {
    async check(copy, tell) {
      // whoever leaves hands its place on
      if (running < most) running++
      else await new Promise<void>(resolve => waiting.push(resolve))
      try {
        await one(copy, tell)
      } catch (error) {
        failed = true
        throw error
      } finally {
        const next = waiting.shift()
        if (next === undefined) running--
        else next()
      }
    },
    async close() {
      failed = true
      for (const thread of threads.splice(0)) await thread.terminate()
    },
  }
}

function startThread({ file, run, job, device, identity }: Work): Worker {
  const workerData: CheckOrder = { file, run, job, device, identity }
  return new Worker(new URL('./check-main.ts', import.meta.url), { name: 'check', workerData, resourceLimits: LIMITS })
}

/** @throws whatever reading threw there; or what `tell` throws, and then the thread goes on for nobody */
async function checkApart(thread: Worker, copy: CheckAsked, tell: Tell): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onMessage = (message: CheckMessage): void => {
    if ('checked' in message) resolve()
    else if ('failed' in message) reject(Object.assign(new Error(message.failed.message), message.failed))
    else {
      try {
        tell(message.bytes, message.more)
      } catch (error) {
        reject(error)
      }
    }
  }
  const onExit = (): void => reject(new Error('a thread that checks packs ended'))
  thread.on('message', onMessage).on('error', reject).on('exit', onExit)
  try {
    thread.postMessage(copy)
    await promise
  } finally {
    thread.off('message', onMessage).off('error', reject).off('exit', onExit)
  }
}
