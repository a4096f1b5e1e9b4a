import { R } from '../../access/acl/acl.ts'
import type { KeyRelease, Principal } from '../../format/release.ts'
import {
  type ByteRange,
  HeldBody,
  type ObjectRead,
  type ObjectRecord,
  type ObjectStore,
  type Wanted,
  type WantedOf,
  wantedOf,
} from '../../store/object-store.ts'
import { type Found, findPinned, openObject } from './reading.ts'
import { asked } from './release-fault.ts'
import { allows, type BoundCaller, denied, findBucket, judgeRead } from './rights.ts'
import { keyBytes, recordOf } from './rows.ts'
import type { Shelf } from './shelf.ts'

type Look = { bucket: string; key: string; wanted: Wanted | WantedOf | undefined }
/** A proof that nobody has judged yet, and whose it was when its access key was seen last: a guess that opens nothing. */
export type Unjudged = { proof: Uint8Array; likely: Principal }

/** For a caller whom the authority has named. Data that the store gives to nobody else, it does not even ask the key of. */
export async function getObject(
  shelf: Shelf,
  release: KeyRelease,
  caller: BoundCaller,
  { bucket, key, wanted }: Look,
): Promise<ObjectRead | null> {
  const found = await findPinned(shelf, bucket, keyBytes(key))
  if (found === null) {
    await judgeRead(shelf.database, await findBucket(shelf.database, bucket), undefined, caller)
    return null
  }
  return freeing(found, async () => {
    requireRead(found, caller)
    const record = recordOf(found.row)
    const chosen = wantedOf(wanted, record)
    if (chosen !== 'nothing') return read(shelf, release, caller?.proof ?? null, found, record, chosen)
    found.free()
    return { record, body: new HeldBody(Buffer.alloc(0)) }
  })
}

/**
 * `get` on a proof that goes to the authority once, with the question for the key: it says who signed, and the store judges that, not the
 * guess. Where the guess would not be given the data, or no key is needed, the authority is asked who it is first.
 */
export function getUnjudged(shelf: Shelf, release: KeyRelease, { proof, likely }: Unjudged): ObjectStore['get'] {
  return async (bucket, key, wanted) => {
    const found = await findPinned(shelf, bucket, keyBytes(key))
    if (found !== null && allows(found.resource, { proof, principal: likely }, R)) {
      const record = recordOf(found.row)
      const chosen = await freeing(found, async () => wantedOf(wanted, record))
      if (chosen !== 'nothing') return read(shelf, release, proof, found, record, chosen)
    }
    found?.free()
    const principal = await asked(release.authenticate(proof))
    return getObject(shelf, release, { proof, principal }, { bucket, key, wanted })
  }
}

async function read(
  shelf: Shelf,
  release: KeyRelease,
  proof: Uint8Array | null,
  found: Found,
  record: ObjectRecord,
  chosen: ByteRange | 'all',
): Promise<ObjectRead> {
  const range = chosen === 'all' ? null : chosen
  const body = await openObject(shelf, release, proof, found, range, principal =>
    requireRead(found, proof === null || principal === null ? null : { proof, principal }),
  )
  return { record, body }
}

function requireRead({ resource }: Found, caller: BoundCaller): void {
  if (!allows(resource, caller, R)) throw denied()
}

/** Lets the blobs go when the work throws. */
async function freeing<T>(found: Found, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    found.free()
    throw error
  }
}
