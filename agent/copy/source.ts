import { createHash } from 'node:crypto'
import { lstat, opendir, readlink, stat } from 'node:fs/promises'
import { basename } from 'node:path'

/** One thing under the source directory. */
export type SourceEntry = {
  path: Buffer
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

/**
 * Walks a directory tree without holding more than one directory's handle a level. A single file is its own tree.
 * What vanishes while it is walked is told to `lost`, not thrown.
 */
export async function* walkSource(
  root: string,
  prefix: string,
  lost: (path: string, reason: string) => void,
): AsyncGenerator<SourceEntry> {
  const info = await stat(root)
  if (!info.isDirectory()) {
    const entry = await entryOf(
      Buffer.from(root),
      prefix === '' || prefix.endsWith('/') ? Buffer.from(prefix + basename(root)) : Buffer.from(prefix),
    )
    if (entry !== null) yield entry
    return
  }
  yield* walkDirectory(
    Buffer.from(root),
    Buffer.from(prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`),
    lost,
  )
}

async function* walkDirectory(
  path: Buffer,
  keyBytes: Buffer,
  lost: (path: string, reason: string) => void,
): AsyncGenerator<SourceEntry> {
  let directory: Awaited<ReturnType<typeof opendir>>
  try {
    // @types/node has no buffer encoding for opendir's names; latin1 keeps every byte
    directory = await opendir(path, { encoding: 'latin1', bufferSize: 256 })
  } catch (error) {
    lost(path.toString('utf8'), codeOf(error))
    return
  }
  for await (const dirent of directory) {
    const name = Buffer.from(dirent.name, 'latin1')
    const child = Buffer.concat([path, Buffer.from('/'), name])
    const key = Buffer.concat([keyBytes, name])
    if (dirent.isDirectory()) {
      yield* walkDirectory(child, Buffer.concat([key, Buffer.from('/')]), lost)
      continue
    }
    try {
      const entry = await entryOf(child, key)
      if (entry !== null) yield entry
    } catch (error) {
      lost(child.toString('utf8'), codeOf(error))
    }
  }
}

async function entryOf(path: Buffer, keyBytes: Buffer): Promise<SourceEntry | null> {
  const info = await lstat(path)
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
  const name = keyName(keyBytes)
  return {
    path,
    ...name,
    kind,
    size: kind === 'file' ? info.size : 0,
    modifiedAt: Math.trunc(info.mtimeMs),
    mode: info.mode & 0o7777,
    ...(kind === 'link' && { target: textOf(await readlink(path, { encoding: 'buffer' })) }),
  }
}

/** Bytes that are no UTF-8 become %XX; what is too long is cut and told apart by its hash. The true name goes along. */
export function keyName(bytes: Buffer): { key: string; originalName?: string } {
  const text = textOf(bytes)
  const exact = Buffer.from(text, 'utf8').equals(bytes)
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
