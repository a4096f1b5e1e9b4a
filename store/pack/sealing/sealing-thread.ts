import { Worker } from 'node:worker_threads'
import { StoreError } from '../../object-store.ts'
import type { CallMessage, ReplyMessage, SealingCall, SealingCalls, SealingOwner } from './messages.ts'
import { refusedOf } from './refused.ts'
import { Sealer } from './sealer.ts'

/** Whoever seals for a store. */
export interface SealingThread {
  /**
   * @param transfer - buffers that are given away
   * @throws StoreError - as the call's; "damaged" when the thread is gone
   */
  call<K extends SealingCall>(
    name: K,
    request: SealingCalls[K]['request'],
    transfer?: ArrayBuffer[],
  ): Promise<SealingCalls[K]['reply']>
  /** Its packs are closed before. */
  close(): Promise<void>
}

/** Heap of a thread, MiB: its buffers lie outside of it. */
const LIMITS = { maxYoungGenerationSizeMb: 3, maxOldGenerationSizeMb: 48 }

type Waiting = { resolve: (reply: unknown) => void; reject: (error: StoreError) => void }

/** @param onGone - the thread died; what it held is lost to it, what it acknowledged is on the drives */
export function startSealingThread(owner: SealingOwner, onGone: () => void): SealingThread {
  const { account, job, digest, readBack } = owner
  const worker = new Worker(new URL('./main.ts', import.meta.url), {
    name: 'sealing',
    workerData: { account, job, digest, readBack } satisfies SealingOwner,
    resourceLimits: LIMITS,
  })
  // an agent that has nothing else to do ends
  worker.unref()
  const waiting = new Map<number, Waiting>()
  let last = 0
  let gone: StoreError | null = null
  const fail = (cause: unknown): void => {
    if (gone !== null) return
    gone = new StoreError('damaged', 'a sealing thread ended; nothing of what it had at hand was acknowledged', {
      cause,
    })
    for (const each of waiting.values()) each.reject(gone)
    waiting.clear()
    onGone()
  }
  worker.on('error', fail)
  worker.on('exit', code => fail(new Error(`exit ${code}`)))
  worker.on('message', (message: ReplyMessage) => {
    const found = waiting.get(message.id)
    waiting.delete(message.id)
    if ('refused' in message) found?.reject(new StoreError(message.refused.fault, message.refused.message))
    else found?.resolve(message.reply)
    if (waiting.size === 0) worker.unref()
  })
  return {
    call: (name, request, transfer = []) =>
      new Promise((resolve, reject) => {
        if (gone !== null) return reject(gone)
        const id = ++last
        // the only writer of this map's replies is the thread, which answers by the table of calls
        waiting.set(id, { resolve: resolve as Waiting['resolve'], reject })
        worker.ref()
        worker.postMessage({ id, name, request } as CallMessage, transfer)
      }),
    close: async () => {
      gone ??= new StoreError('read-only', 'this drive is closed')
      await worker.terminate()
    },
  }
}

/** The same in this thread: for tools, tests and single-core boards. */
export function sealInProcess(owner: SealingOwner): SealingThread {
  const sealer = new Sealer(owner)
  return {
    async call(name, request) {
      try {
        return await sealer.call(name, request)
      } catch (error) {
        const { fault, message } = refusedOf(error)
        throw new StoreError(fault, message, { cause: error })
      }
    },
    close: async () => undefined,
  }
}
