import { constants } from 'node:fs'
import { type FileHandle, lstat, open, readdir } from 'node:fs/promises'
import path from 'node:path'
import { FormatError } from '../format/fault.ts'
import type { ReadAt } from '../format/read-at.ts'
import { VerifyError } from './fault.ts'

/** A regular file, open for reading; no symbolic link is followed. */
export type OpenFile = { read: ReadAt; length: number; close: () => Promise<void> }

/** @throws VerifyError "absent" */
export async function openFile(name: string): Promise<OpenFile> {
  let handle: FileHandle
  try {
    handle = await open(name, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') throw new VerifyError('absent', `${name}: wanted a file, found none`, { cause })
    if (codeOf(cause) === 'ELOOP') throw new VerifyError('absent', `${name}: wanted a file, found a symbolic link`)
    throw cause
  }
  const { size, isFile } = await handle.stat().then(found => ({ size: found.size, isFile: found.isFile() }))
  if (!isFile) {
    await handle.close()
    throw new VerifyError('absent', `${name}: wanted a regular file`)
  }
  const read: ReadAt = async (offset, length) => {
    const out = Buffer.allocUnsafe(Math.max(0, Math.min(length, size - offset)))
    let at = 0
    while (at < out.length) {
      const { bytesRead } = await handle.read(out, at, out.length - at, offset + at)
      if (bytesRead === 0) break
      at += bytesRead
    }
    return out.subarray(0, at)
  }
  return { read, length: size, close: () => handle.close() }
}

/** @throws FormatError "limit" - before anything is read */
export async function readWhole(name: string, limit: number): Promise<Buffer> {
  const file = await openFile(name)
  try {
    if (file.length > limit) throw new FormatError('limit', `${name}: at most ${limit} bytes, found ${file.length}`)
    return await file.read(0, file.length)
  } finally {
    await file.close()
  }
}

/** Paths of the regular files in a folder, by name; empty when there is no such folder. A name with a dot first is of no file of ours (FORMAT.md §11). */
export async function filesIn(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true })
    return entries
      .filter(each => each.isFile() && !each.name.startsWith('.'))
      .map(each => path.join(folder, each.name))
      .sort()
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return []
    throw cause
  }
}

/** @throws VerifyError "absent" */
export async function isFolder(name: string): Promise<boolean> {
  try {
    return (await lstat(name)).isDirectory()
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') throw new VerifyError('absent', `${name}: there is nothing of that name`, { cause })
    throw cause
  }
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
