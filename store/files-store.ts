import { randomBytes } from 'node:crypto'
import { opendir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Blobs } from './blobs.ts'
import { makeDirectoryDurable, syncDirectory, writeStreamDurable } from './durable.ts'
import type { Index } from './index-store.ts'
import { openIndexedStore } from './indexed-store.ts'
import { lockDirectory } from './lock.ts'
import { type MultipartStore, StoreError } from './object-store.ts'
import { Pace } from './pace.ts'
import { RangeFile } from './range-file.ts'
import { openSqliteIndex } from './sqlite-index.ts'

export type FilesStoreOptions = {
  directory: string
  clock: () => Date
  /** 32 bytes: encrypts the index, that is all names and attributes. Bodies are as the writer gives them. */
  indexKey?: Uint8Array
}

/**
 * Bodies as files under random names, records in an SQLite index:
 *
 *     index.sqlite   incoming/<id>   blobs/<first two digits>/<id>   lock.sqlite
 *
 * Write order of a put: file into `incoming` and synced; name synced; index (the commit point); moved to `blobs`.
 * So after a crash only `incoming` holds files that may be nobody's.
 *
 * @throws StoreError "busy" - another process holds the directory; "damaged" - the index key is another
 */
export async function openFilesStore(options: FilesStoreOptions): Promise<MultipartStore> {
  const { directory, clock, indexKey } = options
  await makeDirectoryDurable(join(directory, 'incoming'), 0o700)
  await makeDirectoryDurable(join(directory, 'blobs'), 0o700)
  const lock = lockDirectory(directory)
  let index: Index | undefined
  const close = async () => {
    index?.close()
    lock.close()
  }
  try {
    index = openSqliteIndex({
      path: join(directory, 'index.sqlite'),
      synchronous: 'FULL',
      ...(indexKey && { key: indexKey }),
    })
    return await openIndexedStore({ index, blobs: fileBlobs(directory), clock, close })
  } catch (error) {
    await close()
    throw error
  }
}

/**
 * Files under `directory`: `incoming/<id>` until kept, then `blobs/<first two digits>/<id>`. Both directories are the caller's to make.
 * @param newId - of hex digits, each another
 */
export function fileBlobs(directory: string, newId = () => randomBytes(16).toString('hex')): Blobs {
  const pace = new Pace()
  const incoming = (blob: string) => join(directory, 'incoming', blob)
  const kept = (blob: string) => join(directory, 'blobs', blob.slice(0, 2), blob)
  return {
    async write(body) {
      const blob = newId()
      try {
        return { blob, size: await writeStreamDurable(incoming(blob), body, 0o600) }
      } catch (error) {
        if (errorCode(error) !== 'ENOSPC' && errorCode(error) !== 'EDQUOT') throw error
        throw new StoreError(
          'full',
          `${directory}: its file system is full; nothing of this was kept. Make room there and try again.`,
          { cause: error },
        )
      }
    },
    async keep(blob) {
      const shelf = dirname(kept(blob))
      try {
        await rename(incoming(blob), kept(blob))
      } catch (error) {
        if (errorCode(error) !== 'ENOENT') throw error
        await makeDirectoryDurable(shelf, 0o700)
        await rename(incoming(blob), kept(blob))
      }
      // fsync(dir) before the index may forget that the blob was arriving: a lost move would look like a leftover
      await syncDirectory(shelf)
    },
    async *unkept() {
      for await (const { name } of await opendir(join(directory, 'incoming'))) yield name
    },
    async open(blob) {
      // kept, incoming, and kept again: it may be moved between the looks
      for (const path of [kept(blob), incoming(blob), kept(blob)]) {
        try {
          return await RangeFile.open(path, pace)
        } catch (error) {
          if (errorCode(error) !== 'ENOENT') throw error
        }
      }
      return null
    },
    async remove(blob) {
      await rm(kept(blob), { force: true })
      await rm(incoming(blob), { force: true })
    },
  }
}

function errorCode(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
