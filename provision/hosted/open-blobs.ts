import type { BlobReader, Blobs } from '../../store/blobs.ts'

type Entry = { reader: Promise<BlobReader | null>; users: number; kept: boolean }

/**
 * Blobs, of which those that are read stay open for the next reader: what came by drive lies by the thousand in one pack. A blob never
 * changes, and reads are at offsets, so readers share one descriptor.
 *
 * @param most - descriptors that are kept while nobody reads; those in use come on top
 */
export function openBlobs<Inner extends Blobs>(inner: Inner, most: number): Inner & { closeAll: () => Promise<void> } {
  const entries = new Map<string, Entry>()
  const drop = async (blob: string, entry: Entry): Promise<void> => {
    if (entries.get(blob) === entry) entries.delete(blob)
    entry.kept = false
    if (entry.users === 0) await (await entry.reader)?.close()
  }
  /** The one read longest ago goes first, unless it is read now. */
  const trim = async (): Promise<void> => {
    for (const [blob, entry] of entries) {
      if (entries.size <= most) return
      if (entry.users === 0) await drop(blob, entry)
    }
  }
  /** What could not be opened is tried again by the next. */
  const forget = (blob: string, entry: Entry): void => {
    entry.users--
    if (entries.get(blob) === entry) entries.delete(blob)
  }
  const release = async (entry: Entry, reader: BlobReader): Promise<void> => {
    entry.users--
    if (entry.users === 0 && !entry.kept) await reader.close()
    else await trim()
  }
  return {
    ...inner,
    async open(blob) {
      const entry = entries.get(blob) ?? { reader: inner.open(blob), users: 0, kept: true }
      // behind all others: the next to go is the one used longest ago
      entries.delete(blob)
      entries.set(blob, entry)
      entry.users++
      let reader: BlobReader | null
      try {
        reader = await entry.reader
      } catch (error) {
        forget(blob, entry)
        throw error
      }
      if (reader === null) {
        forget(blob, entry)
        return null
      }
      const shared = reader
      let closing: Promise<void> | undefined
      return {
        read: (offset, length) => shared.read(offset, length),
        close() {
          closing ??= release(entry, shared)
          return closing
        },
      }
    },
    async remove(blob) {
      const entry = entries.get(blob)
      if (entry !== undefined) await drop(blob, entry)
      await inner.remove(blob)
    },
    async closeAll() {
      for (const [blob, entry] of entries) await drop(blob, entry)
    },
  }
}
