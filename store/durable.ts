import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { doneWith } from './own-body.ts'

/** The one room of durable system calls: what a resolved promise here promises, a power cut does not take back. */

const UNFINISHED = /^\..+\.[0-9a-f]{12}$/

/**
 * Replaces the file in one step: after a crash there is the old content or the new, never a part.
 * @param content - what the file is to hold, whole or in pieces; when it throws nothing is replaced
 * @param mode - permission bits of the new file
 */
export async function writeFileDurable(
  path: string,
  content: Uint8Array | AsyncIterable<Uint8Array>,
  mode: number,
): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`)
  try {
    // open, write: beside the target, so that the rename stays within one file system
    const file = await open(temporary, 'wx', mode)
    try {
      for await (const piece of content instanceof Uint8Array ? [content] : content) await writeAll(file, piece)
      // fsync: the content before the name
      await file.sync()
    } finally {
      await file.close()
    }
    // rename: the commit point for whoever reads
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  // fsync(dir): the commit point for a power cut
  await syncDirectory(dirname(path))
}

/** Removes what a crash left of `writeFileDurable` in this directory. Only for who alone writes there; a missing directory has none. */
export async function removeUnfinished(directory: string): Promise<void> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  })
  for (const name of names) if (UNFINISHED.test(name)) await rm(join(directory, name), { force: true })
}

/** Makes the directory's names durable: what was created, renamed or removed in it. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

/** The directory and its missing parents, each name durable in its parent. An existing one keeps its mode. */
export async function makeDirectoryDurable(path: string, mode: number): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode })
  if (first === undefined) return
  // mkdir says which was the first it had to make: sync from the deepest up to the parent of that one
  for (let made = path; ; made = dirname(made)) {
    await syncDirectory(dirname(made))
    if (made === first || dirname(made) === made) return
  }
}

/**
 * Writes a new file from a stream, content and name durable when it resolves; removed again when the stream throws.
 * @returns bytes written
 */
export async function writeStreamDurable(path: string, body: AsyncIterable<Uint8Array>, mode: number): Promise<number> {
  let size = 0
  let file: FileHandle | undefined
  try {
    // open, write
    file = await open(path, 'wx', mode)
    for await (const chunk of body) {
      await writeAll(file, chunk)
      size += chunk.length
      doneWith(body, chunk)
    }
    // fsync: content
    await file.sync()
    await file.close()
  } catch (error) {
    await file?.close().catch(() => undefined)
    if (file) await rm(path, { force: true })
    throw error
  }
  // fsync(dir): name
  await syncDirectory(dirname(path))
  return size
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten
}
