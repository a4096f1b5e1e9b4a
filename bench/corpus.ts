/** What is copied: files that no compressor makes smaller. */
import { randomFillSync } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readdirSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Place } from './place.ts'

export type CorpusName = 'large' | 'medium' | 'small'
export type Corpus = { path: string; files: number; fileBytes: number; bytes: number }

export const SHAPES: Readonly<Record<CorpusName, { files: number; fileBytes: number }>> = {
  large: { files: 2, fileBytes: 512 << 20 },
  medium: { files: 5_000, fileBytes: 100_000 },
  small: { files: 20_000, fileBytes: 4_096 },
}
const FOLDER_FILES = 1_000
const PIECE_BYTES = 4 << 20

/** Made once a run; the same one for everybody. */
export function corpus(place: Place, name: CorpusName): Corpus {
  return makeCorpus(place, name, SHAPES[name])
}

export function makeCorpus(place: Place, name: string, shape: { files: number; fileBytes: number }): Corpus {
  const { files, fileBytes } = shape
  const path = join(place.root, `corpus-${name}`)
  const made = { path, files, fileBytes, bytes: files * fileBytes }
  if (readdirSync(place.root).includes(`corpus-${name}`)) return made
  const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, fileBytes))
  for (let at = 0; at < files; at++) {
    const folder = join(path, `d${String(Math.floor(at / FOLDER_FILES)).padStart(3, '0')}`)
    if (at % FOLDER_FILES === 0) mkdirSync(folder, { recursive: true })
    const file = openSync(join(folder, `f${String(at).padStart(7, '0')}`), 'wx')
    for (let left = fileBytes; left > 0; left -= piece.length)
      writeSync(file, randomFillSync(piece), 0, Math.min(left, piece.length))
    closeSync(file)
  }
  return made
}

/** Reads everything once, so that every round finds it in memory. */
export function warm(path: string, scratch = Buffer.allocUnsafe(PIECE_BYTES)): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const found = join(path, entry.name)
    if (entry.isDirectory()) warm(found, scratch)
    else {
      const file = openSync(found, 'r')
      while (readSync(file, scratch, 0, scratch.length, null) > 0);
      closeSync(file)
    }
  }
}
