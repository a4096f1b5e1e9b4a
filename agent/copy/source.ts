import { isAscii } from 'node:buffer'
import { createHash } from 'node:crypto'
import { type Dir, lstatSync, opendirSync, readlinkSync, statSync } from 'node:fs'
import { basename } from 'node:path'

/** One thing under the source directory. */
export type SourceEntry = {
  /** its bytes, a character each (latin1): names need not be UTF-8 */
  path: string
  /** key under the prefix */
  key: string
  kind: 'file' | 'link' | 'socket' | 'fifo' | 'device'
  size: number
  /** ms since 1970 */
  modifiedAt: number
  mode: number
  /** target of a link */
  target?: string
  /** set when the key is not the name: its bytes in hex */
  originalName?: string
}

const KEY_BYTES = 1024
const SHORTENED_BYTES = 960
const decoder = new TextDecoder('utf-8', { fatal: true })

/** For people: what is no UTF-8 in it shows as such. */
export function pathText(path: string): string {
  return Buffer.from(path, 'latin1').toString('utf8')
}

/**
 * Walks a directory tree without holding more than one directory's handle a level. A single file is its own tree.
 * What vanishes while it is walked is told to `lost`, not thrown. Synchronous, for a thread of its own (walk-main.ts).
 */
export function* walkSource(
  root: string,
  prefix: string,
  lost: (path: string, reason: string) => void,
): Generator<SourceEntry> {
  const bytes = Buffer.from(root)
  const folder = prefix === '' || prefix.endsWith('/')
  if (!statSync(root).isDirectory()) {
    const entry = entryOf(bytes, Buffer.from(folder ? prefix + basename(root) : prefix))
    if (entry !== null) yield entry
    return
  }
  yield* walkDirectory(bytes, Buffer.from(folder ? prefix : `${prefix}/`), lost)
}

function* walkDirectory(
  path: Buffer,
  keyBytes: Buffer,
  lost: (path: string, reason: string) => void,
): Generator<SourceEntry> {
  let directory: Dir
  try {
    // @types/node has no buffer encoding for opendir's names; latin1 keeps every byte
    directory = opendirSync(path, { encoding: 'latin1', bufferSize: 256 })
  } catch (error) {
    lost(path.toString('utf8'), codeOf(error))
    return
  }
  try {
    for (let dirent = directory.readSync(); dirent !== null; dirent = directory.readSync()) {
      const name = Buffer.from(dirent.name, 'latin1')
      const child = Buffer.concat([path, SLASH, name])
      const key = Buffer.concat([keyBytes, name])
      if (dirent.isDirectory()) {
        yield* walkDirectory(child, Buffer.concat([key, SLASH]), lost)
        continue
      }
      try {
        const entry = entryOf(child, key)
        if (entry !== null) yield entry
      } catch (error) {
        lost(child.toString('utf8'), codeOf(error))
      }
    }
  } finally {
    directory.closeSync()
  }
}

const SLASH = Buffer.from('/')

function entryOf(path: Buffer, keyBytes: Buffer): SourceEntry | null {
  const info = lstatSync(path)
  if (info.isDirectory()) return null
  const kind = info.isFile()
    ? 'file'
    : info.isSymbolicLink()
      ? 'link'
      : info.isSocket()
        ? 'socket'
        : info.isFIFO()
          ? 'fifo'
          : 'device'
  return {
    path: path.toString('latin1'),
    ...keyName(keyBytes),
    kind,
    size: kind === 'file' ? info.size : 0,
    modifiedAt: Math.trunc(info.mtimeMs),
    mode: info.mode & 0o7777,
    ...(kind === 'link' && { target: textOf(readlinkSync(path, { encoding: 'buffer' })) }),
  }
}

/** The same entry as it is now; null: it is gone, or something else. */
export function lookAgain(entry: SourceEntry): SourceEntry | null {
  try {
    const info = lstatSync(Buffer.from(entry.path, 'latin1'))
    if (!info.isFile()) return null
    return { ...entry, size: info.size, modifiedAt: Math.trunc(info.mtimeMs), mode: info.mode & 0o7777 }
  } catch {
    return null
  }
}

/** Bytes that are no UTF-8 become %XX; what is too long is cut and told apart by its hash. The true name goes along. */
export function keyName(bytes: Buffer): { key: string; originalName?: string } {
  const text = textOf(bytes)
  const exact = isAscii(bytes) || Buffer.from(text, 'utf8').equals(bytes)
  if (exact && bytes.length <= KEY_BYTES) return { key: text }
  if (Buffer.byteLength(text) <= KEY_BYTES) return { key: text, originalName: bytes.toString('hex') }
  const digest = createHash('sha256').update(bytes).digest('hex').slice(0, 32)
  let cut = text
  while (Buffer.byteLength(cut) > SHORTENED_BYTES)
    cut = [...cut].slice(0, -Math.max(1, Math.ceil((Buffer.byteLength(cut) - SHORTENED_BYTES) / 4))).join('')
  return { key: `${cut}~${digest}`, originalName: bytes.toString('hex') }
}

function textOf(bytes: Buffer): string {
  try {
    return decoder.decode(bytes)
  } catch {
    // latin1 view, byte for byte; what is not ASCII is written as %XX
    return bytes
      .toString('latin1')
      .replace(/[^ -~]/g, char => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
  }
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error
    ? String(error.code)
    : error instanceof Error
      ? error.message
      : String(error)
}
