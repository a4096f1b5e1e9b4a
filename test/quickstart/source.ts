/** What is in the source directory, and whether what came back is the same. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { walkSource } from '../../agent/copy/source.ts'

export type SourceFile = { path: Buffer; key: string; size: number }
export type Source = { files: SourceFile[]; links: number; others: number; bytes: number }

export async function readSource(root: string, prefix: string): Promise<Source> {
  const source: Source = { files: [], links: 0, others: 0, bytes: 0 }
  const lost = (path: string, reason: string): void => {
    throw new Error(`${path}: ${reason}`)
  }
  for (const entry of walkSource(root, prefix, lost))
    if (entry.kind === 'file') {
      source.files.push({ path: Buffer.from(entry.path, 'latin1'), key: entry.key, size: entry.size })
      source.bytes += entry.size
    } else if (entry.kind === 'link') source.links++
    else source.others++
  return source
}

export async function digestOfFile(path: Buffer): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk)
  return hash.digest('hex')
}
