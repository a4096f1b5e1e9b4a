import { openMemoryStore } from '../../store/memory-store.ts'
import { storeContract } from './store-contract.ts'

const test = storeContract({
  name: 'memory',
  async open() {
    const store = await openMemoryStore({ clock: () => new Date() })
    await store.createBucket('b')
    return store
  },
  close: store => store.close(),
})

test.run()
