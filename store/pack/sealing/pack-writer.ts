import { rm } from 'node:fs/promises'
import { apart, asBuffer, type EpochId, type PackId } from '../../../format/bytes.ts'
import { encodePackHeader, type PackHeader } from '../../../format/frame.ts'
import { PACK_START, type WalkStart } from '../../../format/pack-walk.ts'
import { StoreError } from '../../object-store.ts'
import { type Drive, packPath, syncPacks } from '../drive.ts'
import { mediumFault } from '../write-fault.ts'
import type { AlignedRooms, WritingRooms } from './aligned-rooms.ts'
import type { PackReport } from './messages.ts'
import { PackFile } from './pack-file.ts'

/** Where the next frame goes, and what it follows. */
export type PackEnd = { offset: number; previous: Buffer; durable: number }
/** Bytes to append as one run; `checksum` is that of the last chained frame in it. `release`: no write touches its buffers any more. */
export type Run<T> = { buffers: Buffer[]; checksum: Buffer; value: T; release: () => void }

/** Written ahead of a commit and not synced: about as much as a disk takes in a tenth of a second. */
const EARLY_SYNC_BYTES = 64 << 20

type Waiting = { run: Run<unknown>; bytes: number; end: PackEnd; resolve: () => void; reject: (error: Error) => void }

/**
 * One open pack, appended to by one writer. Group commit: everything that queued while the last `fdatasync` ran goes out with one
 * more, and is acknowledged when that returns. After any failed write or sync the pack takes nothing any more: what the kernel
 * kept of it is not known (the lesson of PostgreSQL's fsync failures).
 */
export class PackWriter {
  readonly header: PackHeader
  readonly drive: Drive
  /** where its runs are laid */
  readonly rooms: AlignedRooms
  /** epochs that have frames here, and where the first of them begins: recovery reads an unclosed epoch from there */
  readonly epochs = new Map<EpochId, WalkStart>()
  readonly #file: PackFile
  #next: PackEnd
  #durable: { length: number; head: Buffer }
  #queue: Waiting[] = []
  #flushing: Promise<void> | null = null
  #failed: StoreError | null = null
  #doubtful = false
  #closed = false
  #reported = 0
  #turn: Promise<void> = Promise.resolve()
  #unsynced = 0
  #early: Promise<void> = Promise.resolve()

  private constructor(file: PackFile, drive: Drive, header: PackHeader, rooms: AlignedRooms) {
    this.#file = file
    this.rooms = rooms
    this.drive = drive
    this.header = header
    this.#next = { ...PACK_START, durable: PACK_START.offset }
    this.#durable = { length: PACK_START.offset, head: PACK_START.previous }
  }

  /** A new pack, its header and its name durable. @throws StoreError "full" | "damaged" */
  static async create(drive: Drive, header: PackHeader, rooms: WritingRooms): Promise<PackWriter> {
    const path = packPath(drive, header.pack)
    let file: PackFile | null = null
    try {
      file = await PackFile.create(path, rooms)
      await file.write([encodePackHeader(header)], 0)
      await file.datasync()
      await syncPacks(drive)
      return new PackWriter(file, drive, header, rooms.runs)
    } catch (cause) {
      await file?.close().catch(() => undefined)
      // a file without a header is no pack: nothing was acknowledged from it
      if (file !== null) await rm(path, { force: true }).catch(() => undefined)
      throw writeFault(cause, path)
    }
  }

  get id(): PackId {
    return this.header.pack
  }

  /** What is on stable storage: length, and the checksum of the last frame before it; epochs that were not reported before. */
  report(): PackReport {
    const news = [...this.epochs].slice(this.#reported)
    this.#reported = this.epochs.size
    const epochs = news.map(([id, start]): [EpochId, WalkStart] => [
      id,
      { ...start, previous: asBuffer(apart(start.previous)) },
    ])
    const { length, head } = this.#durable
    return { length, head: apart(head), failed: this.#failed !== null, doubtful: this.#doubtful, epochs }
  }

  /** Answers of one pack go out in the order in which their runs went in, however long each still takes. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#turn
    const mine = work()
    const answered = (async () => {
      await before
      return mine
    })()
    this.#turn = answered.then(
      () => undefined,
      () => undefined,
    )
    return answered
  }

  get length(): number {
    return this.#next.offset
  }

  /** Whether what failed may be on the medium all the same: only reading it again tells. */
  get doubtful(): boolean {
    return this.#doubtful
  }

  /**
   * Appends one run and resolves when it is on stable storage.
   *
   * @param build - called at once, with the place where the run will lie
   * @returns what `build` gave as the run's value
   * @throws StoreError "full" | "damaged" - nothing of it counts
   */
  append<T>(build: (end: PackEnd) => Run<T>): Promise<T> {
    if (this.#failed !== null) return Promise.reject(this.#failed)
    const end = this.#next
    const run = build({ ...end, durable: this.#durable.length })
    const bytes = run.buffers.reduce((sum, each) => sum + each.length, 0)
    this.#next = { offset: end.offset + bytes, previous: run.checksum, durable: 0 }
    return new Promise((resolve, reject) => {
      this.#queue.push({ run, bytes, end: this.#next, resolve: () => resolve(run.value), reject })
      this.#flushing ??= this.#flush()
    })
  }

  /** Writes ahead of a commit, unsynced: the caller has the pack for itself until it commits or takes back. */
  async write(buffers: Buffer[]): Promise<void> {
    if (this.#failed !== null) throw this.#failed
    const bytes = buffers.reduce((sum, each) => sum + each.length, 0)
    const at = this.#next.offset
    this.#next = { ...this.#next, offset: at + bytes }
    try {
      await this.#file.write(buffers, at)
    } catch (cause) {
      throw await this.#fail(cause)
    }
    this.#unsynced += bytes
    if (this.#unsynced < EARLY_SYNC_BYTES) return
    this.#unsynced = 0
    // the medium writes while the next bytes are sealed: the commit's own sync then finds little left to do
    const before = this.#early
    this.#early = (async () => {
      await before
      await this.#file.datasync()
    })().catch(async (cause: unknown) => void (await this.#fail(cause)))
  }

  /** Reads back what was written. */
  async read(offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length)
    let done = 0
    while (done < length) {
      const { bytesRead } = await this.#file.read(bytes, done, length - done, offset + done)
      if (bytesRead === 0) break
      done += bytesRead
    }
    return bytes.subarray(0, done)
  }

  /** Takes back what was written since the last commit. */
  async takeBack(): Promise<void> {
    if (this.#failed !== null) return
    try {
      await this.#file.truncate(this.#durable.length)
      this.#next = { offset: this.#durable.length, previous: this.#durable.head, durable: 0 }
    } catch (cause) {
      await this.#fail(cause)
    }
  }

  async #flush(): Promise<void> {
    this.#unsynced = 0
    while (this.#queue.length > 0 && this.#failed === null) {
      const batch = this.#queue
      this.#queue = []
      const first = batch[0]
      const last = batch[batch.length - 1]
      if (first === undefined || last === undefined) break
      try {
        const buffers = batch.flatMap(each => each.run.buffers)
        await this.#file.write(buffers, first.end.offset - first.bytes)
        // a failed write is told to one sync only: none may be under way when this one speaks for all
        await this.#early
        await this.#file.datasync()
        if (this.#failed !== null) throw this.#failed
      } catch (cause) {
        const fault = await this.#fail(cause)
        refuse([...batch, ...this.#queue], fault)
        this.#queue = []
        break
      }
      // commit point: what this fdatasync covered is durable, and only now may anyone be told
      this.#durable = { length: last.end.offset, head: last.end.previous }
      for (const each of batch) {
        each.run.release()
        each.resolve()
      }
    }
    this.#flushing = null
  }

  async #fail(cause: unknown): Promise<StoreError> {
    if (this.#failed !== null) return this.#failed
    const fault = writeFault(cause, packPath(this.drive, this.header.pack))
    this.#failed = fault
    refuse(this.#queue, fault)
    this.#queue = []
    // what was refused must not come back at a recovery, after others were told that it is not there
    try {
      await this.#file.truncate(this.#durable.length)
      await this.#file.sync()
    } catch {
      this.#doubtful = true
    }
    return fault
  }

  /** Waits for what is queued. */
  async settle(): Promise<void> {
    while (this.#flushing !== null) await this.#flushing
    await this.#early
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.settle()
    await this.#file.close()
  }
}

function refuse(runs: Waiting[], fault: StoreError): void {
  for (const { run, reject } of runs) {
    run.release()
    reject(fault)
  }
}

function writeFault(cause: unknown, path: string): StoreError {
  const fault = mediumFault(cause, path)
  if (fault instanceof StoreError) return fault
  return new StoreError('damaged', `${path}: the drive does not take writes; nothing of this was acknowledged`, {
    cause,
  })
}
