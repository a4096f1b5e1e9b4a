import { randomBytes } from 'node:crypto'
import type { Blobs } from './blobs.ts'
import { openIndexedStore } from './indexed-store.ts'
import { openMemoryIndex } from './memory-index.ts'
import type { MultipartStore } from './object-store.ts'

/** A store that is gone with the process, bodies and all: for tests. */
export async function openMemoryStore(options: { clock: () => Date }): Promise<MultipartStore> {
  const index = openMemoryIndex()
  return openIndexedStore({ index, blobs: memoryBlobs(), clock: options.clock, close: async () => index.close() })
}

function memoryBlobs(): Blobs {
  const bodies = new Map<string, Buffer>()
  return {
    async write(body) {
      const chunks: Buffer[] = []
      // copied: the writer may reuse its buffers
      for await (const chunk of body) chunks.push(Buffer.from(chunk))
      const bytes = Buffer.concat(chunks)
      const blob = randomBytes(16).toString('hex')
      bodies.set(blob, bytes)
      return { blob, size: bytes.length }
    },
    async keep() {},
    async *unkept() {},
    async open(blob) {
      const bytes = bodies.get(blob)
      if (!bytes) return null
      return { read: async (offset, length) => bytes.subarray(offset, offset + length), close: async () => undefined }
    },
    async remove(blob) {
      bodies.delete(blob)
    },
  }
}
