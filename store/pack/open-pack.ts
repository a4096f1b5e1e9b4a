import { apart, asBuffer, type EpochId, type PackId } from '../../format/bytes.ts'
import type { PackHeader } from '../../format/frame.ts'
import type { WalkStart } from '../../format/pack-walk.ts'
import type { Drive } from './drive.ts'
import type { LiveEpoch } from './epochs.ts'
import type { Lane } from './sealing/lane.ts'
import type { PackReport, Reached, SealingCalls } from './sealing/messages.ts'

/** A pack that a lane writes, as far as its reports tell. */
export class OpenPack {
  readonly lane: Lane
  readonly drive: Drive
  readonly id: PackId
  /** epochs that have frames here, and where the first of them begins: recovery reads an unclosed epoch from there */
  readonly epochs = new Map<EpochId, WalkStart>()
  /** on stable storage */
  length = 0
  /** checksum of the last frame before `length` */
  head: Buffer = Buffer.alloc(0)
  #failed = false
  /** what failed in it may be on the medium all the same: so until its lane has said otherwise */
  #doubtful = false
  #closing: Promise<void> | null = null
  /** those who have it in hand, to append */
  #holders = 0
  #retiring: (() => void) | null = null

  private constructor(lane: Lane, drive: Drive, id: PackId) {
    this.lane = lane
    this.drive = drive
    this.id = id
  }

  /** A new pack, its header and its name durable. @throws StoreError "full" | "damaged" */
  static async create(lane: Lane, drive: Drive, header: PackHeader): Promise<OpenPack> {
    const pack = new OpenPack(lane, drive, header.pack)
    pack.learn(await lane.call('open', { drive: { path: drive.path, volume: drive.volume }, header }))
    return pack
  }

  get end(): Pick<OpenPack, 'drive' | 'length' | 'head' | 'epochs'> {
    return this
  }

  get failed(): boolean {
    return this.#failed
  }

  get doubtful(): boolean {
    return this.#failed && this.#doubtful
  }

  /** It takes nothing any more; what is durable of it, and whether that is sure, its lane is asked before anybody is told of the fault. */
  async fail(): Promise<void> {
    if (!this.#failed) this.#doubtful = true
    this.#failed = true
    await this.close()
  }

  learn({ length, head, failed, doubtful, epochs }: PackReport): void {
    // answers about one pack can overtake each other; what is durable only grows
    if (length >= this.length) {
      this.length = length
      this.head = asBuffer(head)
    }
    this.#doubtful = doubtful
    this.#failed ||= failed
    for (const [epoch, start] of epochs) this.epochs.set(epoch, { ...start, previous: asBuffer(start.previous) })
  }

  /** Appends one frame; on stable storage when it resolves. @throws StoreError "full" | "damaged" */
  async append(
    type: SealingCalls['append']['request']['type'],
    payload: Buffer,
    epoch: LiveEpoch | null,
  ): Promise<{ offset: number; reached: Reached }> {
    const epochs = this.lane.news(epoch === null ? [] : [epoch])
    try {
      const { offset, reached, report } = await this.lane.call('append', {
        pack: this.id,
        epochs,
        epoch: epoch?.id ?? null,
        type,
        payload: apart(payload),
      })
      this.learn(report)
      return { offset, reached }
    } catch (error) {
      await this.fail()
      throw error
    }
  }

  /** @returns lets it go; null - it is given to nobody any more */
  hold(): (() => void) | null {
    if (this.#retiring !== null || this.#closing !== null) return null
    this.#holders++
    let held = true
    return () => {
      if (!held) return
      held = false
      if (--this.#holders === 0) this.#retiring?.()
    }
  }

  /** Gives it to nobody any more, and closes it when the last one lets go. */
  async retire(): Promise<void> {
    await new Promise<void>(left => {
      const before = this.#retiring
      this.#retiring = () => {
        before?.()
        left()
      }
      // one that failed takes nothing from those who have it, either
      if (this.#holders === 0 || this.#closing !== null) left()
    })
    await this.close()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    try {
      this.learn(await this.lane.call('close', { pack: this.id }))
    } catch (error) {
      if (!this.#failed) throw error
    }
  }
}
