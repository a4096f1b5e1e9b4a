import type { BlobReader, Blobs } from './blobs.ts'
import { type ByteRange, StoreError } from './object-store.ts'
import type { Extent } from './record.ts'

const pieceBytes = 256 * 1024

/**
 * The bytes `range` of the extents laid end to end, opened one after the other as the reader comes to them.
 * @param release - called once, when the reading is over or left
 */
export function extentBody(
  blobs: Blobs,
  extents: readonly Extent[],
  range: ByteRange | null,
  release: () => void,
): AsyncIterable<Uint8Array> {
  const wanted = range ? slices(extents, range) : []
  let reader: BlobReader | null = null
  let next = 0
  let offset = 0
  let left = 0
  let over = false

  const advance = async (): Promise<boolean> => {
    await reader?.close()
    reader = null
    const slice = wanted[next++]
    if (!slice) return false
    reader = await blobs.open(slice.blob)
    if (!reader) throw new StoreError('damaged', `blob ${slice.blob} is missing`)
    offset = slice.offset
    left = slice.length
    return true
  }
  const end = async (): Promise<void> => {
    if (over) return
    over = true
    release()
    await reader?.close()
  }
  const iterator: AsyncIterator<Uint8Array> = {
    async next() {
      try {
        if (over) return { done: true, value: undefined }
        while (left === 0) {
          if (await advance()) continue
          await end()
          return { done: true, value: undefined }
        }
        const piece = (await reader?.read(offset, Math.min(left, pieceBytes))) ?? Buffer.alloc(0)
        if (piece.length === 0) throw new StoreError('damaged', 'a blob is shorter than its record says')
        offset += piece.length
        left -= piece.length
        return { done: false, value: piece }
      } catch (error) {
        await end()
        throw error
      }
    },
    async return() {
      await end()
      return { done: true, value: undefined }
    },
  }
  return { [Symbol.asyncIterator]: () => iterator }
}

function slices(extents: readonly Extent[], range: ByteRange): { blob: string; offset: number; length: number }[] {
  const found: { blob: string; offset: number; length: number }[] = []
  let start = 0
  for (const { blob, size } of extents) {
    const first = Math.max(range.first - start, 0)
    const last = Math.min(range.last - start, size - 1)
    if (first <= last) found.push({ blob, offset: first, length: last - first + 1 })
    start += size
    if (start > range.last) break
  }
  return found
}
