import { rm, truncate } from 'node:fs/promises'
import type { DeviceId } from '../../format/bytes.ts'
import { type Checkpoint, verifyCheckpoint } from '../../format/checkpoint.ts'
import { FormatError } from '../../format/fault.ts'
import { PACK_START, readPackHeader } from '../../format/pack-walk.ts'
import { messageHash } from '../../format/signed.ts'
import type { Index } from '../index-store.ts'
import { StoreError } from '../object-store.ts'
import type { ChainHead } from './chain.ts'
import { forgetDamaged } from './changes.ts'
import { type Drive, listCheckpoints, listPacks, openForReading, packPath, readCheckpoint, windowed } from './drive.ts'
import type { EpochSource, PackOwner } from './epoch-source.ts'
import { readPack } from './pack-rows.ts'
import type { ClosedPack } from './pack-set.ts'
import { readTail, replay, type Tail } from './recovery.ts'

/** The drives of a job as they are found: their chain, their packs, what a crash left. */
export type DriveSet = {
  drives: Drive[]
  owner: PackOwner
  source: EpochSource
  /** empty or behind: it is brought up to the packs */
  index: Index
  /** newest checkpoint that this device remembers; the drives' chain must extend it */
  head: ChainHead
}

export type Last = { checkpoint: Checkpoint; hash: Buffer }

export function firstOf(drives: Drive[]): Drive {
  const [first] = drives
  if (first === undefined) throw new StoreError('damaged', 'no drive is present: give one with --drive')
  return first
}

/** The chain of checkpoints, from 1, each naming the one before, all signed by this device, extending what it remembers. */
export async function readChain(options: DriveSet): Promise<Last | null> {
  const { owner, head } = options
  let last: Last | null = null
  let remembered = head.number === 0
  const drive = await newestDrive(options.drives)
  for (const number of await listCheckpoints(drive)) {
    const bytes = await readCheckpoint(drive, number)
    let checkpoint: Checkpoint
    try {
      checkpoint = verifyCheckpoint(bytes, owner.identity)
    } catch (cause) {
      if (!(cause instanceof FormatError)) throw cause
      throw new StoreError('damaged', `${drive.path}: checkpoint ${number}: ${cause.message}`, { cause })
    }
    const previous = last?.hash ?? Buffer.alloc(32)
    if (
      checkpoint.number !== (last?.checkpoint.number ?? 0) + 1 ||
      !checkpoint.previous.equals(previous) ||
      checkpoint.job !== owner.job ||
      checkpoint.device !== (owner.device as DeviceId)
    )
      throw new StoreError('damaged', `${drive.path}: checkpoint ${number} does not continue this job's chain`)
    last = { checkpoint, hash: messageHash(bytes) }
    if (number === head.number && last.hash.equals(head.hash)) remembered = true
  }
  if (!remembered)
    throw new StoreError(
      'damaged',
      `${drive.path}: its chain does not hold checkpoint ${head.number}, which this device signed: an older state was put back, or it is another drive`,
    )
  return last
}

async function newestDrive(drives: Drive[]): Promise<Drive> {
  let best = firstOf(drives)
  let most = -1
  for (const drive of drives) {
    const numbers = await listCheckpoints(drive)
    if ((numbers[numbers.length - 1] ?? 0) > most) {
      best = drive
      most = numbers[numbers.length - 1] ?? 0
    }
  }
  return best
}

/** Walks every pack from its signed length to its end, cuts a torn tail off, and brings the index up to it. */
export async function readPacks(
  options: DriveSet,
  last: Last | null,
): Promise<{ closed: ClosedPack[]; tails: (Tail & { pack: string })[]; lost: { bucket: string; key: string }[] }> {
  const { drives, owner, source, index } = options
  const closed: ClosedPack[] = []
  const tails: (Tail & { pack: string })[] = []
  const found: { path: string; closed: ClosedPack; tail: Tail }[] = []
  for (const drive of drives)
    for (const name of await listPacks(drive)) {
      const path = packPath(drive, name)
      const file = await openForReading(path)
      try {
        const read = windowed(file.read)
        const header = await headerOrNull(read, file.size)
        // a crash between creating the file and its header: nothing was ever acknowledged from it
        if (header === null) {
          await rm(path)
          continue
        }
        if (
          header.pack !== name ||
          header.job !== owner.job ||
          header.device !== owner.device ||
          header.drive !== drive.volume.drive
        )
          throw new StoreError('damaged', `${path} is of another job, device or drive`)
        const signed = last?.checkpoint.packs.find(each => each.pack === header.pack)
        if (signed !== undefined && signed.length > file.size)
          throw new StoreError('damaged', `${path} is shorter (${file.size}) than was signed (${signed.length})`)
        const start = signed === undefined ? PACK_START : { offset: signed.length, previous: signed.head }
        const tail = await readTail(read, file.size, start, last?.checkpoint.lastSequence ?? 0)
        tails.push({ ...tail, pack: path })
        found.push({
          path,
          tail,
          closed: { pack: header.pack, drive, length: tail.end, head: tail.head, epochs: new Map() },
        })
      } finally {
        await file.close()
      }
    }
  const lost: { bucket: string; key: string }[] = []
  for (const { path, tail, closed: pack } of found) {
    await truncateTo(path, pack.length)
    closed.push(pack)
    const file = await openForReading(path)
    try {
      const start = readPack(index, pack.pack) ?? PACK_START
      const seen = await replay(
        index,
        source,
        pack.drive.volume.drive,
        pack.pack,
        windowed(file.read),
        start,
        pack.length,
      )
      const damage = [...tail.damage, ...seen]
      if (damage.length > 0) lost.push(...forgetDamaged(index, pack.pack, damage))
    } finally {
      await file.close()
    }
  }
  return { closed, tails, lost }
}

async function headerOrNull(read: (offset: number, length: number) => Promise<Buffer>, size: number) {
  if (size === 0) return null
  try {
    return await readPackHeader(read)
  } catch (cause) {
    if (cause instanceof FormatError && size <= PACK_START.offset) return null
    throw cause
  }
}

async function truncateTo(path: string, length: number): Promise<void> {
  const file = await openForReading(path)
  const { size } = file
  await file.close()
  if (size > length) await truncate(path, length)
}
