import { R } from '../../../access/acl/acl.ts'
import type { KeyRelease, Principal } from '../../../format/release.ts'
import {
  type ByteRange,
  HeldBody,
  type ObjectRead,
  type ObjectRecord,
  type ObjectStore,
  StoreError,
  type Wanted,
  type WantedOf,
  wantedOf,
} from '../../../store/object-store.ts'
import { inOneMoment } from '../../database/shared-file.ts'
import { allows, type BoundCaller, denied, findBucket, judgeRead } from '../acl/rights.ts'
import { asked } from '../release-fault.ts'
import { keyBytes, recordOf } from '../rows.ts'
import type { Shelf } from '../shelf.ts'
import { type Found, findPinned, openObject } from './reading.ts'

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
  for (const replaced = onceReplaced(); ; ) {
    const found = await findPinned(shelf, bucket, keyBytes(key))
    if (found === null) {
      await inOneMoment(shelf.database, async at => judgeRead(at, await findBucket(at, bucket), undefined, caller))
      return null
    }
    const given = await freeing(found, async () => {
      requireRead(found, caller)
      const record = recordOf(found.row)
      const chosen = wantedOf(wanted, record)
      if (chosen !== 'nothing') return read(shelf, release, caller?.proof ?? null, found, record, chosen)
      found.free()
      return { record, body: new HeldBody(Buffer.alloc(0)) }
    })
    if (given !== null) return given
    replaced(found)
  }
}

/**
 * `get` on a proof that goes to the authority once, with the question for the key: it says who signed, and the store judges that, not the
 * guess. Where the guess would not be given the data, or no key is needed, the authority is asked who it is first.
 */
export function getUnjudged(shelf: Shelf, release: KeyRelease, { proof, likely }: Unjudged): ObjectStore['get'] {
  return async (bucket, key, wanted) => {
    for (const replaced = onceReplaced(); ; ) {
      const found = await findPinned(shelf, bucket, keyBytes(key))
      if (found === null || !allows(found.resource, { proof, principal: likely }, R)) {
        found?.free()
        break
      }
      const record = recordOf(found.row)
      const chosen = await freeing(found, async () => wantedOf(wanted, record))
      if (chosen === 'nothing') {
        found.free()
        break
      }
      const given = await read(shelf, release, proof, found, record, chosen)
      if (given !== null) return given
      replaced(found)
    }
    const principal = await asked(release.authenticate(proof))
    return getObject(shelf, release, { proof, principal }, { bucket, key, wanted })
  }
}

/** An object whose file is gone was replaced by another process; one that is still there is harmed. @throws StoreError "damaged" */
function onceReplaced(): (found: Found) => void {
  let before: string | null = null
  return ({ row }) => {
    if (row.object_id === before) throw new StoreError('damaged', `the file of object ${before} is missing`)
    before = row.object_id
  }
}

async function read(
  shelf: Shelf,
  release: KeyRelease,
  proof: Uint8Array | null,
  found: Found,
  record: ObjectRecord,
  chosen: ByteRange | 'all',
): Promise<ObjectRead | null> {
  const range = chosen === 'all' ? null : chosen
  const body = await openObject(shelf, release, proof, found, range, principal =>
    requireRead(found, proof === null || principal === null ? null : { proof, principal }),
  )
  return body === null ? null : { record, body }
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
