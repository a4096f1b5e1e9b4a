import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openHosted } from '../../../provision/hosted/serve.ts'
import type { ObjectStore } from '../../../store/object-store.ts'
import { storeContract } from '../../store/store-contract.ts'
import { openAuthority } from '../authority.ts'

const opened = new Map<ObjectStore, () => Promise<void>>()

const test = storeContract({
  name: 'hosted store, bound to one caller',
  async open() {
    const directory = mkdtempSync(join(tmpdir(), 'sealift-hosted-'))
    const authority = openAuthority()
    const config = { directory, region: 'r1', clock: () => new Date(), onError: () => undefined }
    const hosted = await openHosted(config, authority)
    const store = hosted.store(authority.callerOf('acme'))
    await store.createBucket('b')
    opened.set(store, async () => {
      await hosted.close()
      await hosted.close()
      rmSync(directory, { recursive: true, force: true })
    })
    return store
  },
  async close(store) {
    await opened.get(store)?.()
    opened.delete(store)
  },
})

test.run()
