import { newId, type PackId } from '../../format/bytes.ts'
import type { PackHead } from '../../format/checkpoint.ts'
import type { WalkStart } from '../../format/pack-walk.ts'
import { StoreError } from '../object-store.ts'
import { Pace } from '../pace.ts'
import { RangeFile } from '../range-file.ts'
import { type Drive, packPath } from './drive.ts'
import type { PackOwner } from './epoch-source.ts'
import { OpenPack } from './open-pack.ts'
import { Lane } from './sealing/lane.ts'

/** A pack that is not written any more, or one of an earlier start. */
export type ClosedPack = {
  pack: PackId
  drive: Drive
  length: number
  head: Buffer
  /** where each epoch of this start begins in it */
  epochs: ReadonlyMap<string, WalkStart>
}

/** A pack that stays open till `done`. */
export type HeldPack = { pack: OpenPack; done: () => Promise<void> }

/** Packs grow to about this; an object that is larger makes its pack longer. */
const PACK_TARGET_BYTES = 1 << 30
/** A drive with less than this takes no objects: room for leaves, checkpoint and manifest is kept, so that a full drive can be sealed. */
const RESERVE_BYTES = 8 << 20
/** With more than this left, room is looked for again only after some time: no drive takes as much in it. */
const PLENTY_BYTES = 1 << 30
const PLENTY_MS = 250
const READERS_KEPT = 16

/**
 * All packs of the drives. Every lane has one for what arrives whole, and one for each stream under way.
 */
export class PackSet {
  readonly drives: Drive[]
  readonly lanes: readonly Lane[]
  readonly #owner: PackOwner
  readonly #now: () => number
  readonly #options: { ticks: () => number; freeBytes: (drive: Drive) => Promise<number> }
  readonly #nextSequence: () => number
  readonly #closed: Map<PackId, ClosedPack>
  readonly #open = new Map<PackId, OpenPack>()
  readonly #readers = new Map<PackId, Promise<RangeFile>>()
  /** those of them that are open */
  readonly #opened = new Map<PackId, RangeFile>()
  readonly #paces = new Map<Drive, Pace>()
  readonly #rooms = new Map<Drive, { free: number; at: number }>()
  readonly #shared = new Map<Lane, Promise<OpenPack>>()
  #idle: OpenPack[] = []
  #doubtful = false

  /** @param options - `threads`: that seal; 0: this one does. `ticks`: monotonic, ms */
  constructor(
    drives: Drive[],
    owner: PackOwner,
    closed: ClosedPack[],
    now: () => number,
    nextSequence: () => number,
    options: { threads: number; ticks: () => number; freeBytes: (drive: Drive) => Promise<number> },
  ) {
    const { threads } = options
    this.#options = options
    this.drives = drives
    this.#owner = owner
    this.#now = now
    this.#nextSequence = nextSequence
    this.#closed = new Map(closed.map(each => [each.pack, each]))
    this.lanes = Array.from(
      { length: Math.max(1, threads) },
      () =>
        new Lane(owner, threads > 0, gone => {
          for (const pack of this.#open.values()) if (pack.lane === gone) void pack.fail()
        }),
    )
  }

  /** Whether a pack of this start may hold what was reported as failed. */
  get doubtful(): boolean {
    return this.#doubtful || [...this.#open.values()].some(each => each.doubtful)
  }

  /** Starts the threads, so that the first object does not wait for them. */
  start(): void {
    for (const lane of this.lanes) lane.start()
  }

  /** The lane's pack for objects that arrive whole; a new one when the last is full or failed, or its drive is. @throws StoreError "full" */
  async shared(lane: Lane): Promise<HeldPack> {
    for (;;) {
      let opening = this.#shared.get(lane)
      if (opening === undefined) {
        opening = this.#create(lane)
        this.#shared.set(lane, opening)
      }
      let pack: OpenPack
      try {
        pack = await opening
      } catch (error) {
        if (this.#shared.get(lane) === opening) this.#shared.delete(lane)
        throw error
      }
      const held = !pack.failed && pack.length < PACK_TARGET_BYTES ? holding(pack) : null
      if (held !== null && (await this.#hasRoom(pack.drive))) return held
      await held?.done()
      if (this.#shared.get(lane) === opening) {
        this.#shared.delete(lane)
        await this.#retire(pack)
      }
    }
  }

  /** Some pack that takes a frame now. */
  some(): Promise<HeldPack> {
    const [opened] = this.#shared.keys()
    const lane = opened ?? this.lanes[0]
    if (lane === undefined) throw new StoreError('damaged', 'a store without a lane')
    return this.shared(lane)
  }

  /** A pack for one stream alone, on the lane with the fewest; give it back with `release`. */
  async lease(): Promise<OpenPack> {
    const [lane] = [...this.lanes].sort((a, b) => a.streams - b.streams)
    if (lane === undefined) throw new StoreError('damaged', 'a store without a lane')
    lane.streams++
    try {
      const at = this.#idle.findIndex(each => each.lane === lane && !each.failed)
      const [idle] = at < 0 ? [] : this.#idle.splice(at, 1)
      return idle ?? (await this.#create(lane))
    } catch (error) {
      lane.streams--
      throw error
    }
  }

  async release(pack: OpenPack): Promise<void> {
    pack.lane.streams--
    if (pack.failed || pack.length >= PACK_TARGET_BYTES) await this.#retire(pack)
    else this.#idle.push(pack)
  }

  async #create(lane: Lane, wanted?: Drive): Promise<OpenPack> {
    const drive = wanted ?? (await this.#driveWithRoom())
    const pack = await OpenPack.create(lane, drive, {
      pack: newId(),
      job: this.#owner.job,
      device: this.#owner.device,
      drive: drive.volume.drive,
      firstSequence: this.#nextSequence(),
      createdAt: this.#now(),
    })
    this.#open.set(pack.id, pack)
    return pack
  }

  async #driveWithRoom(): Promise<Drive> {
    for (const drive of this.drives) if (await this.#hasRoom(drive)) return drive
    throw new StoreError(
      'full',
      `every drive is full (${this.drives.map(drive => drive.path).join(', ')}): add a drive or seal`,
    )
  }

  async #hasRoom(drive: Drive): Promise<boolean> {
    const known = this.#rooms.get(drive)
    const at = this.#options.ticks()
    if (known !== undefined && known.free > PLENTY_BYTES && at - known.at < PLENTY_MS) return true
    let free: number
    try {
      free = await this.#options.freeBytes(drive)
    } catch {
      // the write that follows meets it too, and tells what it is
      return true
    }
    this.#rooms.set(drive, { free, at })
    return free > RESERVE_BYTES
  }

  async #retire(pack: OpenPack): Promise<void> {
    await pack.retire()
    if (pack.doubtful) this.#doubtful = true
    this.#open.delete(pack.id)
    const { length, head, epochs, drive } = pack
    this.#closed.set(pack.id, { pack: pack.id, drive, length, head, epochs })
  }

  /**
   * Length and head of every pack: as far as it is on stable storage, and not into what an epoch that is not closed has written. So all
   * that a checkpoint does not cover lies after the lengths that it names, and recovery finds it there.
   *
   * @param closed - whether the epoch's leaves are in the tree
   */
  heads(closed: (epoch: string) => boolean): PackHead[] {
    const heads = [...this.#closed.values(), ...[...this.#open.values()].map(open => ({ ...open.end, pack: open.id }))]
    return heads
      .map(({ pack, drive, epochs, ...end }): PackHead => {
        let { length, head } = end
        for (const [epoch, start] of epochs)
          if (!closed(epoch) && start.offset < length) ({ offset: length, previous: head } = start)
        return { pack, drive: drive.volume.drive, length, head }
      })
      .sort((a, b) => (a.pack < b.pack ? -1 : 1))
  }

  /** A pack on that drive, for leaves: every drive gets a copy. */
  async packOn(drive: Drive): Promise<HeldPack> {
    for (const opening of this.#shared.values()) {
      const pack = await opening.catch(() => null)
      const held = pack !== null && pack.drive === drive && !pack.failed ? holding(pack) : null
      if (held !== null) return held
    }
    const at = this.#idle.findIndex(each => each.drive === drive && !each.failed)
    const [idle] = at < 0 ? [] : this.#idle.splice(at, 1)
    if (idle !== undefined) idle.lane.streams++
    if (idle !== undefined) return { pack: idle, done: () => this.release(idle) }
    // also where objects find no room any more: it is what the rest was kept for
    const [lane] = this.lanes
    if (lane === undefined) throw new StoreError('damaged', 'a store without a lane')
    const pack = await this.#create(lane, drive)
    lane.streams++
    return { pack, done: () => this.release(pack) }
  }

  #driveOf(pack: PackId): Drive {
    const found = this.#closed.get(pack) ?? this.#open.get(pack)
    if (found === undefined) throw new StoreError('damaged', `pack ${pack} is on none of the drives that are present`)
    return found.drive
  }

  /** Reads bytes of a pack. @throws StoreError "damaged" */
  async read(pack: PackId, offset: number, length: number): Promise<Buffer> {
    let opening = this.#readers.get(pack)
    if (opening === undefined) {
      opening = this.#openForReading(pack)
      this.#readers.set(pack, opening)
      const [oldest] = this.#readers.keys()
      if (this.#readers.size > READERS_KEPT && oldest !== undefined) this.#forget(oldest)
    }
    try {
      const file = await opening
      if (this.#readers.get(pack) === opening) this.#opened.set(pack, file)
      return await file.read(offset, length)
    } catch (cause) {
      if (this.#readers.get(pack) === opening) this.#forget(pack)
      // a reader that was just closed to make room: open it again
      if (isCode(cause, 'EBADF')) return this.read(pack, offset, length)
      throw new StoreError('damaged', `pack ${pack} cannot be read at ${offset}`, { cause })
    }
  }

  /** Fills `into` at once. @returns how many bytes; null: they must be waited for, or asked for again with `read` */
  readNow(pack: PackId, offset: number, into: Buffer): number | null {
    try {
      return this.#opened.get(pack)?.readNow(offset, into) ?? null
    } catch {
      // `read` meets it again, and knows what to do
      return null
    }
  }

  #openForReading(pack: PackId): Promise<RangeFile> {
    const drive = this.#driveOf(pack)
    const pace = this.#paces.get(drive) ?? new Pace()
    this.#paces.set(drive, pace)
    return RangeFile.open(packPath(drive, pack), pace)
  }

  #forget(pack: PackId): void {
    const opening = this.#readers.get(pack)
    this.#readers.delete(pack)
    this.#opened.delete(pack)
    void opening?.then(file => file.close()).catch(() => undefined)
  }

  /** Closes every pack and ends the threads. */
  async close(): Promise<void> {
    for (const opening of this.#shared.values()) await opening.catch(() => null)
    this.#shared.clear()
    this.#idle = []
    for (const pack of [...this.#open.values()]) await this.#retire(pack)
    for (const pack of [...this.#readers.keys()]) this.#forget(pack)
    for (const lane of this.lanes) await lane.close()
  }
}

function holding(pack: OpenPack): HeldPack | null {
  const letGo = pack.hold()
  return letGo === null ? null : { pack, done: async () => letGo() }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
