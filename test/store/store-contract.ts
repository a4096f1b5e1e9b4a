import { suite } from 'uvu'
import type { ObjectStore } from '../../store/object-store.ts'
import { bucketVerbs, missingBucket } from './contract/buckets.ts'
import type { On } from './contract/calls.ts'
import { concurrentCalls } from './contract/concurrency.ts'
import { listings } from './contract/listings.ts'
import { multipart } from './contract/multipart.ts'
import { brokenBodies, wholeObjects } from './contract/objects.ts'
import { uploadListing } from './contract/uploads.ts'

/** One engine under the contract. `open` gives an empty store with bucket `b`; `close` frees all it made. */
export type StoreSubject = {
  name: string
  open(): Promise<ObjectStore>
  close(store: ObjectStore): Promise<void>
  /** buckets are given from outside: those of this suite's bucket verbs are not asked for */
  fixedBuckets?: true
}

/** The suite every engine must pass; the caller runs it. */
export function storeContract(subject: StoreSubject) {
  const test = suite(`store contract: ${subject.name}`)
  const on: On = (title, run) =>
    test(title, async () => {
      const store = await subject.open()
      try {
        await run(store)
      } finally {
        await subject.close(store)
      }
    })
  if (!subject.fixedBuckets) bucketVerbs(on)
  missingBucket(on)
  wholeObjects(on)
  brokenBodies(on)
  concurrentCalls(on)
  listings(on)
  multipart(on)
  uploadListing(on)
  return test
}
