import { idBytes, type JobId, type ObjectId, prefixedList } from './bytes.ts'
import { sha384 } from './digest.ts'
import { label } from './kdf.ts'

/**
 * What an object key is bound to. Never stored with the object: whoever opens recomputes it, so a swapped name, bucket, job or account
 * shows as a tag that does not fit. The version is the object id, never an S3 versionId.
 * @see FORMAT.md §4.3
 */
export type ObjectContext = {
  account: string
  /** the job, or null for what was PUT into the hosted store directly */
  job: JobId | null
  bucket: string
  key: string
  objectId: ObjectId
  /** set for a part of a multipart or large object */
  part?: { upload: string; number: number }
  /** canonical release binding at revision 0 (hosted uploads); empty for what came by drive */
  binding?: Uint8Array
}

/** SHA-384 over the length-prefixed fields. */
export function objectContextHash(context: ObjectContext): Buffer {
  const place = prefixedList(label('context'), [
    context.account,
    context.job === null ? '' : idBytes(context.job),
    context.bucket,
    context.key,
    idBytes(context.objectId),
    context.part?.upload ?? '',
  ])
  const number = Buffer.alloc(4)
  number.writeUInt32BE(context.part?.number ?? 0)
  return sha384(Buffer.concat([place, prefixedList(number, [context.binding ?? ''])]))
}
