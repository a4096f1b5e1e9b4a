// timeout: 300s, test 60s
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openHosted } from '../../../../provision/hosted/serve.ts'
import type { Placement } from '../../../../provision/hosted/stores/placement.ts'
import type { ObjectStore } from '../../../../store/object-store.ts'
import { KEYS, openFarSide } from '../../../store/remote/far-side.ts'
import { storeContract } from '../../../store/store-contract.ts'
import { openAuthority } from '../../authority.ts'

const opened = new Map<ObjectStore, () => Promise<void>>()

const contract = (name: string, placement: Placement) =>
  storeContract({
    name: `hosted store, bodies ${name}`,
    async open() {
      const directory = mkdtempSync(join(tmpdir(), 'sealift-hosted-'))
      const far = await openFarSide()
      const authority = openAuthority()
      const config = { directory, region: 'r1', clock: () => new Date(), onError: () => undefined }
      const hosted = await openHosted(config, authority)
      await hosted.dataStores.add('away', far.settings, KEYS)
      const store = hosted.store(authority.callerOf('acme'))
      await store.createBucket('b')
      await hosted.dataStores.place('b', placement)
      opened.set(store, async () => {
        await hosted.close()
        await hosted.close()
        await far.close()
        rmSync(directory, { recursive: true, force: true })
      })
      return store
    },
    async close(store) {
      await opened.get(store)?.()
      opened.delete(store)
    },
  })

contract('in the database', { store: 'files', inlineMax: 1 << 20 }).run()
contract('in the database and elsewhere', { store: 'away', inlineMax: 300 }).run()
const test = contract('elsewhere', { store: 'away', inlineMax: 0 })
test.run()
