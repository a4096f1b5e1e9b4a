import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { constants, copyFile, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Blobs } from '../../store/blobs.ts'
import { makeDirectoryDurable, syncDirectory } from '../../store/durable.ts'
import { fileBlobs } from '../../store/files-store.ts'
import { StoreError } from '../../store/object-store.ts'

/** Blobs that can also take a whole file in, as it is. */
export type AdoptingBlobs = Blobs & {
  /**
   * Copies the file and leaves it where it is: a drive's pack belongs to the drive. Durable when it resolves; to be kept as any other.
   * Where the file system can, the copy shares its blocks with the original until one of them changes.
   */
  adopt(path: string): Promise<{ blob: string; size: number }>
  /** The file of a blob; null: there is none. What is in it never changes. */
  pathOf(blob: string): string | null
}

const NAME_DIGITS = 8

/** The process that wrote it: blobs of older versions bear the name of none. */
export function writerOf(blob: string): string {
  return blob.slice(-NAME_DIGITS)
}

/** @param writer - this process, as 8 hex digits */
export async function openAdoptingBlobs(directory: string, writer: string): Promise<AdoptingBlobs> {
  const newId = (): string => randomBytes(12).toString('hex') + writer
  const incoming = join(directory, 'incoming')
  await makeDirectoryDurable(incoming, 0o700)
  await makeDirectoryDurable(join(directory, 'blobs'), 0o700)
  return {
    ...fileBlobs(directory, newId),
    pathOf(blob) {
      // as `fileBlobs` lays them out, kept and not kept
      const places = [join(directory, 'blobs', blob.slice(0, 2), blob), join(incoming, blob)]
      return places.find(each => existsSync(each)) ?? null
    },
    async adopt(path) {
      const blob = newId()
      const target = join(incoming, blob)
      try {
        // ioctl(FICLONE) or copy_file_range
        await copyFile(path, target, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL)
        const file = await open(target, 'r+')
        let size: number
        try {
          await file.chmod(0o600)
          // fsync: content
          await file.sync()
          size = (await file.stat()).size
        } finally {
          await file.close()
        }
        // fsync(dir): name
        await syncDirectory(incoming)
        return { blob, size }
      } catch (error) {
        await rm(target, { force: true })
        const code = error instanceof Error && 'code' in error ? error.code : undefined
        if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error
        throw new StoreError('full', 'no room left to take the pack in', { cause: error })
      }
    },
  }
}
