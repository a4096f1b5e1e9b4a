import { mkdir, open, readdir, readFile, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { type EpochId, type PackId, parseId } from '../../format/bytes.ts'
import { FormatError } from '../../format/fault.ts'
import {
  checkpointPath,
  DRIVE,
  encodeVolume,
  keyRecordPath,
  manifestPath,
  packPath as packName,
  parseVolume,
  type Volume,
} from '../../format/volume.ts'
import { removeUnfinished, syncDirectory, writeFileDurable } from '../durable.ts'
import { StoreError } from '../object-store.ts'
import { onMedium } from './write-fault.ts'

/** One drive's directory. @see FORMAT.md §11 */
export type Drive = { path: string; volume: Volume }

const FILE_MODE = 0o644
const CHECKPOINT_NAME = /^(\d{8,})$/
const PACK_NAME = /^([0-9a-f]{32})\.pack$/

/**
 * Lays out an empty directory as a drive. `volume.json` is written last: without it the directory is no drive yet.
 * @throws StoreError "forbidden" - the directory is not empty
 */
export async function createDrive(path: string, volume: Volume, grantFile: Uint8Array, label: string): Promise<Drive> {
  await mkdir(path, { recursive: true })
  const there = (await readdir(path)).filter(name => name !== 'lost+found')
  if (there.length > 0)
    throw new StoreError(
      'forbidden',
      `${path} is not empty (${there.slice(0, 3).join(', ')}): give an empty directory, nothing is overwritten`,
    )
  for (const name of [DRIVE.keys, DRIVE.packs, DRIVE.checkpoints, DRIVE.manifest]) await mkdir(join(path, name))
  await writeFileDurable(join(path, DRIVE.label), Buffer.from(label, 'utf8'), FILE_MODE)
  await writeFileDurable(join(path, DRIVE.grant), grantFile, FILE_MODE)
  // commit point: with volume.json the directory is a drive
  await writeFileDurable(join(path, DRIVE.volume), encodeVolume(volume), FILE_MODE)
  return { path, volume }
}

/** @throws StoreError "damaged" - no drive, or an unreadable one */
export async function openDrive(path: string): Promise<Drive> {
  let bytes: Buffer
  try {
    bytes = await readFile(join(path, DRIVE.volume))
  } catch (cause) {
    throw new StoreError('damaged', `${path} is no Sealift drive: it has no readable ${DRIVE.volume}`, { cause })
  }
  try {
    return { path, volume: parseVolume(bytes) }
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw new StoreError('damaged', `${path}: ${cause.message}`, { cause })
  }
}

/** Takes away what a crash left half written beside the packs: it means nothing, and an auditor would take it for a file of ours. */
export async function sweepDrive(drive: Drive): Promise<void> {
  for (const name of ['', DRIVE.keys, DRIVE.checkpoints, DRIVE.manifest])
    await onMedium(join(drive.path, name), () => removeUnfinished(join(drive.path, name)))
}

export function readGrantFile(drive: Drive): Promise<Buffer> {
  return readFile(join(drive.path, DRIVE.grant))
}

export function packPath(drive: Drive, pack: PackId): string {
  return join(drive.path, packName(pack))
}

/** Packs by their names; what a pack is says its header. */
export async function listPacks(drive: Drive): Promise<PackId[]> {
  const names = await readdir(join(drive.path, DRIVE.packs))
  return names.flatMap(name => PACK_NAME.exec(name)?.[1] ?? []).map(id => parseId<PackId>(id, 'pack'))
}

export async function syncPacks(drive: Drive): Promise<void> {
  await syncDirectory(join(drive.path, DRIVE.packs))
}

/** A copy of an epoch's key record, for readers that have only a few packs. */
export function writeKeyRecord(drive: Drive, epoch: EpochId, record: Uint8Array): Promise<void> {
  return writeOn(drive, keyRecordPath(epoch), record)
}

export function writeCheckpoint(drive: Drive, number: number, bytes: Uint8Array): Promise<void> {
  return writeOn(drive, checkpointPath(number), bytes)
}

/** @throws StoreError "full" | "damaged" */
function writeOn(drive: Drive, name: string, content: Uint8Array | AsyncIterable<Uint8Array>): Promise<void> {
  const path = join(drive.path, name)
  return onMedium(path, () => writeFileDurable(path, content, FILE_MODE))
}

export async function listCheckpoints(drive: Drive): Promise<number[]> {
  const names = await readdir(join(drive.path, DRIVE.checkpoints))
  return names
    .flatMap(name => CHECKPOINT_NAME.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
}

export function readCheckpoint(drive: Drive, number: number): Promise<Buffer> {
  return readFile(join(drive.path, checkpointPath(number)))
}

export function manifestFile(drive: Drive, number: number): string {
  return join(drive.path, manifestPath(number))
}

/** In one step: a manifest that was cut short would stand in the way of the next one. @returns its path */
export async function writeManifestFile(
  drive: Drive,
  number: number,
  content: AsyncIterable<Uint8Array>,
): Promise<string> {
  await writeOn(drive, manifestPath(number), content)
  return manifestFile(drive, number)
}

export function writeSealFile(drive: Drive, bytes: Uint8Array): Promise<void> {
  return writeOn(drive, DRIVE.seal, bytes)
}

/** Bytes that may still be written. */
export async function freeBytes(drive: Drive): Promise<number> {
  const { bavail, bsize } = await statfs(drive.path)
  return bavail * bsize
}

export type DriveFile = {
  size: number
  read: (offset: number, length: number) => Promise<Buffer>
  close: () => Promise<void>
}

/** A file for reading at offsets; `read` gives fewer bytes only at its end. */
export async function openForReading(path: string): Promise<DriveFile> {
  const file = await open(path, 'r')
  let size: number
  try {
    size = (await file.stat()).size
  } catch (error) {
    await file.close()
    throw error
  }
  return {
    size,
    async read(offset, length) {
      const bytes = Buffer.allocUnsafe(length)
      let done = 0
      while (done < length) {
        const { bytesRead } = await file.read(bytes, done, length - done, offset + done)
        if (bytesRead === 0) break
        done += bytesRead
      }
      return bytes.subarray(0, done)
    },
    close: () => file.close(),
  }
}

const JUMP_BYTES = 4096

/**
 * The same through a window, so that a walk over small frames costs few system calls. A jump (over a large body's segments) reads little;
 * only what goes on where the window ended reads a whole one.
 */
export function windowed(read: DriveFile['read'], windowBytes = 1 << 20): DriveFile['read'] {
  let start = 0
  let held: Buffer = Buffer.alloc(0)
  return async (offset, length) => {
    if (length >= windowBytes) return read(offset, length)
    const end = start + held.length
    if (offset < start || offset + length > end) {
      const goesOn = offset >= start && offset <= end
      held = await read(offset, goesOn ? windowBytes : Math.max(length, JUMP_BYTES))
      start = offset
    }
    return held.subarray(offset - start, offset - start + length)
  }
}
