import type { ObjectStore } from '../../../store/object-store.ts'
import { storeContract } from '../store-contract.ts'
import { type Device, makeDevice } from './device.ts'

const devices = new Map<ObjectStore, Device>()

const test = storeContract({
  name: 'packs on a drive',
  fixedBuckets: true,
  async open() {
    const device = await makeDevice()
    const store = await device.open()
    devices.set(store, device)
    return store
  },
  async close(store) {
    await store.close()
    await store.close()
    devices.get(store)?.remove()
    devices.delete(store)
  },
})

test.run()
