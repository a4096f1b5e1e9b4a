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
  /** There will be something to read: threads start while it is copied. */
  expect(packs: number): void
  close(): Promise<void>
}

const THREADS_MAX = 2
/** Heap of a thread, MiB: windows and rows lie outside of it. */
const LIMITS = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 48 }

export function openCheckers(work: Work): Checkers {
  const bytes = work.last.packs.reduce((sum, pack) => sum + pack.length, 0)
  const apart = bytes >= work.apartBytes
  const most = apart ? Math.min(THREADS_MAX, availableParallelism()) : 1
  const threads: Thread[] = []
  const free: Thread[] = []
  const start = (): Thread => {
    const thread = startThread(work)
    threads.push(thread)
    return thread
  }
  const waiting: (() => void)[] = []
  let running = 0
  let failed = false
  const one: Checkers['check'] = async (copy, tell) => {
    if (failed) throw new Error('another pack could not be read')
    if (!apart) return checkPack(work, copy, tell)
    const thread = free.pop() ?? start()
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
    expect(packs) {
      while (apart && threads.length < Math.min(most, packs)) free.push(start())
    },
    async close() {
      failed = true
      for (const { worker } of threads.splice(0)) await worker.terminate()
    },
  }
}

type Thread = { worker: Worker; gone: Promise<Error> }

function startThread({ file, run, job, device, identity }: Work): Thread {
  const workerData: CheckOrder = { file, run, job, device, identity }
  const options = { name: 'check', workerData, resourceLimits: LIMITS }
  const worker = new Worker(new URL('./check-main.ts', import.meta.url), options)
  const gone = new Promise<Error>(resolve => {
    worker.on('error', cause => resolve(new Error('a thread that checks packs ended', { cause })))
    worker.on('exit', code => resolve(new Error(`a thread that checks packs ended with ${code}`)))
  })
  return { worker, gone }
}

/** @throws whatever reading threw there; or what `tell` throws, and then the thread goes on for nobody */
async function checkApart({ worker, gone }: Thread, copy: CheckAsked, tell: Tell): Promise<void> {
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
  worker.on('message', onMessage)
  try {
    worker.postMessage(copy)
    // it may have ended before it was asked
    const lost = await Promise.race([promise, gone])
    if (lost !== undefined) throw lost
  } finally {
    worker.off('message', onMessage)
  }
}
