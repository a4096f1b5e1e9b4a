import { apart, type EpochId } from '../../../format/bytes.ts'
import type { LiveEpoch } from '../epochs.ts'
import type { SealingCall, SealingCalls, SealingEpoch, SealingOwner } from './messages.ts'
import { type SealingThread, sealInProcess, startSealingThread } from './sealing-thread.ts'

/** One sealing thread as the store sees it: started with its first call, and again when it died. */
export class Lane {
  readonly #owner: SealingOwner
  readonly #apart: boolean
  readonly #onGone: (lane: Lane) => void
  #thread: SealingThread | null = null
  readonly #known = new Set<EpochId>()
  /** contents that arrive as streams */
  streams = 0
  /** batches under way */
  batches = 0

  /** @param apart - false: it works in this thread */
  constructor(owner: SealingOwner, apart: boolean, onGone: (lane: Lane) => void) {
    this.#owner = owner
    this.#apart = apart
    this.#onGone = onGone
  }

  call<K extends SealingCall>(
    name: K,
    request: SealingCalls[K]['request'],
    transfer?: ArrayBuffer[],
  ): Promise<SealingCalls[K]['reply']> {
    this.#thread ??= this.#start()
    return this.#thread.call(name, request, transfer)
  }

  /** Starts the thread, so that the first object does not wait for it. */
  start(): void {
    this.#thread ??= this.#start()
  }

  #start(): SealingThread {
    this.#known.clear()
    if (!this.#apart) return sealInProcess(this.#owner)
    const thread = startSealingThread(this.#owner, () => {
      if (this.#thread !== thread) return
      this.#thread = null
      this.#onGone(this)
    })
    return thread
  }

  /** Those epochs that the thread must be told of with the next call. */
  news(epochs: Iterable<LiveEpoch>): SealingEpoch[] {
    const out: SealingEpoch[] = []
    this.start()
    for (const { id, keys, frame } of epochs) {
      if (this.#known.has(id)) continue
      this.#known.add(id)
      out.push({ id, wrapKey: keys.wrapKey, metadataKey: keys.metadataKey, frame: apart(frame) })
    }
    return out
  }

  async forget(epoch: EpochId): Promise<void> {
    if (this.#known.delete(epoch)) await this.#thread?.call('forget', { epoch })
  }

  async close(): Promise<void> {
    const thread = this.#thread
    this.#thread = null
    await thread?.close()
  }
}
