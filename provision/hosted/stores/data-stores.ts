import type { BlobReader, PlainBlobs } from '../../../store/blobs.ts'
import { StoreError } from '../../../store/object-store.ts'
import type { RemoteBlobs } from '../../../store/remote/remote-blobs.ts'
import type { Database } from '../../database/hosted-schema.ts'
import type { AdoptingBlobs } from '../blobs.ts'
import { addressIn, addressOf, FILES, INLINE } from './address.ts'
import { heldInline, inlineBlobs, type NewBlob } from './inline.ts'
import { IN_FILES, type Placement } from './placement.ts'

/**
 * Several stores as one: where a blob is written its bucket says, where one lies its id. A blob never changes; one that is to lie elsewhere
 * becomes another.
 */
export type DataStores = Omit<AdoptingBlobs, 'write'> & {
  /** As of any blobs. What comes back with `bytes` is durable when the transaction is that names it. */
  write(body: AsyncIterable<Uint8Array>, where?: Placement): Promise<NewBlob>
  /** Stores elsewhere, by name. */
  remote: Map<string, RemoteBlobs>
  closeAll(): Promise<void>
}

/**
 * @param files - take packs in as well
 * @param openMissing - a store that was added elsewhere meanwhile; null: none
 */
export function dataStores(
  database: Database,
  files: AdoptingBlobs & { closeAll(): Promise<void> },
  remote: Map<string, RemoteBlobs>,
  openMissing: (name: string) => Promise<RemoteBlobs | null>,
): DataStores {
  const inline = inlineBlobs(database)
  const elsewhere = async (store: string): Promise<PlainBlobs> => {
    const found = remote.get(store)
    if (found !== undefined) return found
    const opened = await openMissing(store)
    // of two that missed it the first is kept: it knows what is on its way
    const there = remote.get(store) ?? opened
    if (there === null) throw new StoreError('damaged', `there is no data store ${store}, and a row names it`)
    if (there !== opened) opened?.close()
    remote.set(store, there)
    return there
  }
  const known = new Set([FILES, INLINE])
  return {
    remote,
    async closeAll() {
      for (const store of remote.values()) store.close()
      await files.closeAll()
    },
    adopt: files.adopt,
    pathOf: blob => (addressOf(blob).store === FILES ? files.pathOf(blob) : null),
    async write(body, { store, inlineMax } = IN_FILES) {
      let rest = body
      if (inlineMax > 0) {
        const held = await heldInline(body, inlineMax)
        if ('blob' in held) return held.blob
        rest = held.body
      }
      const { blob, size } = await (store === FILES ? files : await elsewhere(store)).write(rest)
      return { id: addressIn(store, blob), size }
    },
    async keep(blob) {
      const { store, id } = addressOf(blob)
      // in the database it came with the row
      if (store !== INLINE) await (store === FILES ? files : await elsewhere(store)).keep(id)
    },
    // what a crash leaves in the database is nothing, and what it leaves elsewhere is found apart, as that takes its time
    unkept: () => files.unkept(),
    async open(blob): Promise<BlobReader | null> {
      const { store, id } = addressOf(blob)
      if (store === INLINE) return inline.open(blob)
      return (store === FILES ? files : await elsewhere(store)).open(id)
    },
    async remove(blob) {
      const { store, id } = addressOf(blob)
      if (known.has(store)) await (store === INLINE ? inline.remove(blob) : files.remove(id))
      else await (await elsewhere(store)).remove(id)
    },
  }
}
