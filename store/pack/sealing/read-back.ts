import { randomInt } from 'node:crypto'
import { checkBody } from '../../../format/body-opening.ts'
import { CORE_HEADER_BYTES } from '../../../format/core-header.ts'
import { BODY_HEAD_BYTES } from '../../../format/frame.ts'
import { StoreError } from '../../object-store.ts'
import type { PackOwner } from '../epoch-source.ts'
import type { Place } from '../rows.ts'
import type { PackWriter } from './pack-writer.ts'

/** What is to be read again, while its key is still at hand. */
export type ReadBack = { place: Place; objectKey: Buffer; plaintextLength: number }

/** One of so many objects is read back where the policy says `sample`. */
const SAMPLE = 64

export function isDue(policy: PackOwner['readBack']): boolean {
  return policy === 'all' || (policy === 'sample' && randomInt(SAMPLE) === 0)
}

/** Reads a just-committed body again and checks every tag. @returns fault "damaged" when the drive gave back something else */
export async function readBackFault(
  writer: PackWriter,
  { place, objectKey, plaintextLength }: ReadBack,
): Promise<StoreError | null> {
  const bodyAt = place.bodyOffset + BODY_HEAD_BYTES
  const read = (offset: number, length: number): Promise<Buffer> => writer.read(bodyAt + offset, length)
  try {
    await checkBody(read, objectKey, await read(0, CORE_HEADER_BYTES), plaintextLength)
    return null
  } catch (cause) {
    return new StoreError(
      'damaged',
      `the drive gave back something else than was written (pack ${place.pack} at ${place.bodyOffset}): do not trust this drive`,
      { cause },
    )
  }
}
