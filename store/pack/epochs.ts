import { type EpochId, newId } from '../../format/bytes.ts'
import { deriveEpochKeys, deriveMetadataKey, type EpochKeys, wrapMetadataKey } from '../../format/epoch-key.ts'
import { makeKeyRecord } from '../../format/key-record.ts'
import type { EncodedLeaf } from '../../format/leaf.ts'
import { encodeEpochFrame } from '../../format/pack-walk.ts'
import { StoreError } from '../object-store.ts'
import type { EpochSource, PackOwner } from './epoch-source.ts'

/** An epoch whose key this process holds. */
export type LiveEpoch = {
  id: EpochId
  keys: EpochKeys
  keyRecord: Buffer
  frame: Buffer
  objects: number
  bytes: number
  inFlight: number
  startedAt: number
  /** of committed objects, in no particular order */
  leaves: EncodedLeaf[]
}

/** Least time between two tries to end an epoch whose end met a fault. */
const RETRY_MS = 1000

export type EpochEvents = {
  /** The key record is on every drive when it resolves. */
  begin: (epoch: LiveEpoch) => Promise<void>
  /** No commit of it is under way any more: leaves and checkpoint are due. Called one after another. */
  end: (epoch: LiveEpoch) => Promise<void>
}

/**
 * The device's epochs, one at a time, whoever writes. The next one is prepared while the current one runs, so that no PUT waits for a
 * token once it is half used. An epoch's key is dropped with its last commit.
 */
export class Epochs {
  readonly #source: EpochSource
  readonly #owner: PackOwner
  readonly #events: EpochEvents
  /** monotonic, ms: a jumping clock neither shortens nor lengthens an epoch */
  readonly #ticks: () => number
  readonly #now: () => number
  #current: LiveEpoch | null = null
  #next: Promise<LiveEpoch> | null = null
  #switching: Promise<LiveEpoch> | null = null
  #ending: Promise<void> = Promise.resolve()
  /** whose leaves and checkpoint are still due, in order */
  readonly #due: LiveEpoch[] = []
  /** what the end of the first of them met, and when (ticks) */
  #endFault: { cause: unknown; at: number } | null = null
  #retry: Promise<void> | null = null
  #idle: NodeJS.Timeout | null = null
  #drained: (() => void)[] = []
  #stopped = false

  constructor(source: EpochSource, owner: PackOwner, events: EpochEvents, now: () => number, ticks: () => number) {
    this.#source = source
    this.#owner = owner
    this.#events = events
    this.#now = now
    this.#ticks = ticks
  }

  /** Keys of an epoch that has not ended; null for any other. */
  live(id: EpochId): LiveEpoch | null {
    return this.#current?.id === id ? this.#current : null
  }

  /**
   * The epoch to commit in, counted as in use; the caller commits without waiting for anything in between, then calls `leave`.
   * @throws StoreError "read-only" | "full" | "damaged" - the last two also while an epoch before cannot be closed on the drives
   */
  async enter(bytes: number): Promise<LiveEpoch> {
    for (;;) {
      // no promise is broken yet, all is durable in the packs; but without its leaves nothing more may be acknowledged
      if (this.#endFault !== null && !this.#stopped) await this.#tryAgain(this.#endFault)
      const epoch = this.enterNow(bytes)
      if (epoch !== null) return epoch
      await this.#switch()
    }
  }

  /** The same at once; null: it takes a wait. */
  enterNow(bytes: number): LiveEpoch | null {
    if (this.#stopped) throw new StoreError('read-only', 'locked or sealed: no object is taken')
    if (this.#endFault !== null) return null
    const epoch = this.#current
    if (epoch !== null && !this.#isOver(epoch)) {
      epoch.inFlight++
      epoch.objects++
      epoch.bytes += bytes
      if (this.#next === null && this.#half(epoch)) this.#prepareAhead()
      this.#watchIdle()
      return epoch
    }
    return null
  }

  leave(epoch: LiveEpoch): void {
    epoch.inFlight--
    if (epoch.inFlight === 0) for (const each of this.#drained.splice(0)) each()
  }

  #isOver(epoch: LiveEpoch): boolean {
    const { objects, bytes, seconds } = this.#owner.limits
    return epoch.objects >= objects || epoch.bytes >= bytes || this.#ticks() - epoch.startedAt >= seconds * 1000
  }

  #switch(): Promise<LiveEpoch> {
    this.#switching ??= this.#begin().finally(() => {
      this.#switching = null
    })
    return this.#switching
  }

  async #begin(): Promise<LiveEpoch> {
    this.#next ??= this.#prepare()
    let epoch: LiveEpoch
    try {
      epoch = await this.#next
    } finally {
      this.#next = null
    }
    const ended = this.#current
    epoch.startedAt = this.#ticks()
    this.#current = epoch
    if (ended !== null) this.#end(ended)
    return epoch
  }

  /** Half used: time to have the one after, while this one runs. A fault shows when it is needed and there still. */
  #half(epoch: LiveEpoch): boolean {
    const { objects, bytes, seconds } = this.#owner.limits
    return (
      epoch.objects * 2 >= objects ||
      epoch.bytes * 2 >= bytes ||
      (this.#ticks() - epoch.startedAt) * 2 >= seconds * 1000
    )
  }

  #prepareAhead(): void {
    const next = this.#prepare()
    this.#next = next
    next.catch(() => {
      if (this.#next === next) this.#next = null
    })
  }

  /** A key, its record signed and on every drive: nothing of it is used before. */
  async #prepare(): Promise<LiveEpoch> {
    const epochKey = await this.#source.newKey()
    const id = newId<EpochId>()
    const { limits } = this.#owner
    const keyRecord = await makeKeyRecord(
      epochKey,
      {
        epoch: id,
        job: this.#owner.job,
        device: this.#owner.device,
        grantHash: this.#owner.grantHash,
        createdAt: this.#now(),
        maxObjects: limits.objects,
        maxBytes: limits.bytes,
      },
      this.#source.recipients,
      this.#source.sign,
    )
    const metadataKey = deriveMetadataKey(epochKey)
    const frame = encodeEpochFrame(keyRecord, wrapMetadataKey(this.#source.indexKey, metadataKey, id))
    const keys = deriveEpochKeys(epochKey)
    epochKey.fill(0)
    metadataKey.fill(0)
    const epoch: LiveEpoch = { id, keys, keyRecord, frame, objects: 0, bytes: 0, inFlight: 0, startedAt: 0, leaves: [] }
    await this.#events.begin(epoch)
    return epoch
  }

  #end(epoch: LiveEpoch): void {
    this.#due.push(epoch)
    // whoever commits or drains next meets what it met
    this.#settle().catch(() => undefined)
  }

  /** Ends all that are due, after those that are being ended. @throws what the first of them met; it stays due */
  #settle(): Promise<void> {
    this.#ending = this.#ending.catch(() => undefined).then(() => this.#endDue())
    return this.#ending
  }

  async #endDue(): Promise<void> {
    for (let epoch = this.#due[0]; epoch !== undefined; epoch = this.#due[0]) {
      const ending = epoch
      while (ending.inFlight > 0) await new Promise<void>(resolve => this.#drained.push(resolve))
      try {
        await this.#events.end(ending)
      } catch (cause) {
        this.#endFault = { cause, at: this.#ticks() }
        throw cause
      }
      this.#due.shift()
    }
    this.#endFault = null
  }

  /** With room again, or the drive back, work goes on; not at every object, since each try writes the leaves once more. */
  async #tryAgain({ cause, at }: { cause: unknown; at: number }): Promise<void> {
    if (this.#retry === null && this.#ticks() - at < RETRY_MS) throw cause
    this.#retry ??= this.#settle().finally(() => {
      this.#retry = null
    })
    await this.#retry
  }

  #watchIdle(): void {
    if (this.#idle !== null) {
      this.#idle.refresh()
      return
    }
    this.#idle = setTimeout(() => {
      const epoch = this.#current
      if (epoch === null || epoch.objects === 0 || this.#switching !== null) return
      this.#current = null
      this.#end(epoch)
    }, this.#owner.limits.idleSeconds * 1000)
    this.#idle.unref()
  }

  /** Ends the current epoch and waits for all that are ending. @throws what the last end met */
  async drain(): Promise<void> {
    await this.#switching?.catch(() => undefined)
    const epoch = this.#current
    this.#current = null
    if (epoch !== null) this.#end(epoch)
    await this.#settle()
  }

  /** No further commit; forgets every key. */
  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#idle !== null) clearTimeout(this.#idle)
    await this.drain()
    await this.#next?.catch(() => undefined)
    this.#next = null
  }
}
