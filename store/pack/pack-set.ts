import { newId, type PackId } from '../../format/bytes.ts'
import type { PackHead } from '../../format/checkpoint.ts'
import type { WalkStart } from '../../format/pack-walk.ts'
import { StoreError } from '../object-store.ts'
import { type Drive, type DriveFile, freeBytes, openForReading, packPath } from './drive.ts'
import type { PackOwner } from './epoch-source.ts'
import { PackWriter } from './pack-writer.ts'

/** A pack that is not written any more, or one of an earlier start. */
export type ClosedPack = {
  pack: PackId
  drive: Drive
  length: number
  head: Buffer
  /** where each epoch of this start begins in it */
  epochs: ReadonlyMap<string, WalkStart>
}

/** Packs grow to about this; an object that is larger makes its pack longer. */
const PACK_TARGET_BYTES = 1 << 30
/** A drive with less than this is full: room for leaves, checkpoint and manifest is kept. */
const RESERVE_BYTES = 4 << 20
const READERS_KEPT = 16

/**
 * All packs of the drives: one shared writer for what arrives whole, one of its own for each large upload under way.
 */
export class PackSet {
  readonly drives: Drive[]
  readonly #owner: PackOwner
  readonly #now: () => number
  readonly #nextSequence: () => number
  readonly #closed: Map<PackId, ClosedPack>
  readonly #open = new Map<PackId, PackWriter>()
  readonly #readers = new Map<PackId, Promise<DriveFile>>()
  #shared: Promise<PackWriter> | null = null
  #idle: PackWriter[] = []
  #doubtful = false

  constructor(drives: Drive[], owner: PackOwner, closed: ClosedPack[], now: () => number, nextSequence: () => number) {
    this.drives = drives
    this.#owner = owner
    this.#now = now
    this.#nextSequence = nextSequence
    this.#closed = new Map(closed.map(each => [each.pack, each]))
  }

  /** Whether a pack of this start may hold what was reported as failed. */
  get doubtful(): boolean {
    return this.#doubtful || [...this.#open.values()].some(each => each.doubtful)
  }

  /** The writer for objects that arrive whole; a new one when the last is full or failed. */
  async shared(): Promise<PackWriter> {
    for (;;) {
      this.#shared ??= this.#create()
      const opening = this.#shared
      let writer: PackWriter
      try {
        writer = await opening
      } catch (error) {
        if (this.#shared === opening) this.#shared = null
        throw error
      }
      if (!writer.failed && writer.length < PACK_TARGET_BYTES) return writer
      if (this.#shared === opening) {
        this.#shared = null
        await this.#retire(writer)
      }
    }
  }

  /** A writer for one upload alone; give it back with `release`. */
  async lease(): Promise<PackWriter> {
    return this.#idle.pop() ?? (await this.#create())
  }

  async release(writer: PackWriter): Promise<void> {
    if (writer.failed || writer.length >= PACK_TARGET_BYTES) await this.#retire(writer)
    else this.#idle.push(writer)
  }

  async #create(wanted?: Drive): Promise<PackWriter> {
    const drive = wanted ?? (await this.#driveWithRoom())
    const writer = await PackWriter.create(drive, {
      pack: newId(),
      job: this.#owner.job,
      device: this.#owner.device,
      drive: drive.volume.drive,
      firstSequence: this.#nextSequence(),
      createdAt: this.#now(),
    })
    this.#open.set(writer.id, writer)
    return writer
  }

  async #driveWithRoom(): Promise<Drive> {
    for (const drive of this.drives) if ((await freeBytes(drive)) > RESERVE_BYTES) return drive
    throw new StoreError(
      'full',
      `every drive is full (${this.drives.map(drive => drive.path).join(', ')}): add a drive or seal`,
    )
  }

  async #retire(writer: PackWriter): Promise<void> {
    const { length, head } = writer.durable
    if (writer.doubtful) this.#doubtful = true
    this.#open.delete(writer.id)
    this.#closed.set(writer.id, {
      pack: writer.id,
      drive: writer.drive,
      length,
      head,
      epochs: writer.epochs,
    })
    await writer.close()
  }

  /**
   * Length and head of every pack: as far as it is on stable storage, and not into what an epoch that is not closed has written. So all
   * that a checkpoint does not cover lies after the lengths that it names, and recovery finds it there.
   *
   * @param closed - whether the epoch's leaves are in the tree
   */
  heads(closed: (epoch: string) => boolean): PackHead[] {
    const head = (
      pack: PackId,
      drive: Drive,
      end: { length: number; head: Buffer },
      epochs: ReadonlyMap<string, WalkStart>,
    ): PackHead => {
      let { length, head } = end
      for (const [epoch, start] of epochs)
        if (!closed(epoch) && start.offset < length) ({ offset: length, previous: head } = start)
      return { pack, drive: drive.volume.drive, length, head }
    }
    const retired = [...this.#closed.values()].map(each => head(each.pack, each.drive, each, each.epochs))
    const open = [...this.#open.values()].map(each => head(each.id, each.drive, each.durable, each.epochs))
    return [...retired, ...open].sort((a, b) => (a.pack < b.pack ? -1 : 1))
  }

  /** A writer on that drive, for leaves: every drive gets a copy. */
  async writerOn(drive: Drive): Promise<{ writer: PackWriter; done: () => Promise<void> }> {
    const shared = this.#shared === null ? null : await this.#shared.catch(() => null)
    if (shared !== null && shared.drive === drive && !shared.failed)
      return { writer: shared, done: async () => undefined }
    const at = this.#idle.findIndex(each => each.drive === drive && !each.failed)
    const [idle] = at < 0 ? [] : this.#idle.splice(at, 1)
    if (idle !== undefined) return { writer: idle, done: () => this.release(idle) }
    if (drive === this.drives[0]) return { writer: await this.shared(), done: async () => undefined }
    const writer = await this.#create(drive)
    return { writer, done: () => this.release(writer) }
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
      opening = openForReading(packPath(this.#driveOf(pack), pack))
      this.#readers.set(pack, opening)
      const [oldest] = this.#readers.keys()
      if (this.#readers.size > READERS_KEPT && oldest !== undefined) this.#forget(oldest)
    }
    try {
      return await (await opening).read(offset, length)
    } catch (cause) {
      if (this.#readers.get(pack) === opening) this.#forget(pack)
      // a reader that was just closed to make room: open it again
      if (isCode(cause, 'EBADF')) return this.read(pack, offset, length)
      throw new StoreError('damaged', `pack ${pack} cannot be read at ${offset}`, { cause })
    }
  }

  #forget(pack: PackId): void {
    const opening = this.#readers.get(pack)
    this.#readers.delete(pack)
    void opening?.then(file => file.close()).catch(() => undefined)
  }

  async close(): Promise<void> {
    const shared = await this.#shared?.catch(() => null)
    this.#shared = null
    this.#idle = []
    for (const writer of new Set([...this.#open.values(), ...(shared ? [shared] : [])])) await this.#retire(writer)
    for (const pack of [...this.#readers.keys()]) this.#forget(pack)
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
