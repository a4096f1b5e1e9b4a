import { hasResumables, type ResumableState, type ResumableStore } from '../ability.ts'
import { StoreError } from '../object-store.ts'
import { checkAskedAcl } from './acl-verbs.ts'
import { readAttributes } from './attributes.ts'
import { type Call, emptyResponse, type ObjectCall } from './call.ts'
import { readPutCondition } from './conditions.ts'
import { checkAskedEncryption, encryptionHeaders } from './encryption.ts'
import { S3Error } from './fault.ts'
import { generationHeaders, readGenerations } from './generations.ts'
import { header, type S3Response } from './message.ts'

/** Google's uploads to one address: begun by a request that is signed, and sent on, in any number of pieces, by whoever has the address. */

function resumables({ store }: Call): ResumableStore {
  if (!hasResumables(store)) throw new S3Error('NotImplemented', 'This store takes no resumable uploads.')
  return store
}

/** What the whole would have to be judged by, and is not. */
const DIGESTS = /^(?:content-md5|x-goog-hash|x-amz-checksum-.*)$/i

export async function startResumable(call: ObjectCall): Promise<S3Response> {
  const { request, bucket, key } = call
  const store = resumables(call)
  if (header(request, 'x-goog-resumable')?.toLowerCase() !== 'start')
    throw new S3Error('InvalidArgument', 'x-goog-resumable: want start')
  requireNoDigest(call)
  if (Number(header(request, 'content-length') ?? 0) !== 0)
    throw new S3Error('InvalidArgument', 'The request that begins a resumable upload has no body.')
  checkAskedAcl(call)
  checkAskedEncryption(call)
  const condition = readPutCondition(request)
  const generations = readGenerations(call)
  const id = await store.startResumable(bucket, key, {
    attributes: readAttributes(request),
    ...(condition && { condition }),
    ...(generations && { generations }),
  })
  // behind a proxy that ends TLS it says how it was spoken to
  const scheme = header(request, 'x-forwarded-proto') === 'https' ? 'https' : 'http'
  const address = `${scheme}://${header(request, 'host') ?? ''}${request.rawPath}?upload_id=${id}`
  return emptyResponse(201, [['location', address]])
}

export async function continueResumable(call: ObjectCall): Promise<S3Response> {
  const { request } = call
  const { store, id, state } = await found(call)
  requireNoDigest(call)
  const length = Number(/^\d{1,15}$/.exec(header(request, 'content-length') ?? '')?.[0] ?? Number.NaN)
  if (Number.isNaN(length))
    throw new S3Error('MissingContentLength', 'You must provide the Content-Length HTTP header.')
  const range = readContentRange(header(request, 'content-range'), length)
  const { first, total } = range
  // asked how far it is, and all is there but the object: it was refused, or cut off, before
  if (first === null && (state.done !== null || state.stored !== (state.total ?? total))) return told(state)
  const wanted = { first: first ?? state.stored, length, total: first === null ? state.stored : total }
  return told(await store.appendResumable(id, { ...wanted, body: request.body }))
}

export async function dropResumable(call: ObjectCall): Promise<S3Response> {
  const { store, id } = await found(call)
  await store.dropResumable(id)
  // what Google answers: the client closed it
  return emptyResponse(499)
}

/** The upload of the query, when it is one of this key. */
async function found(call: ObjectCall): Promise<{ store: ResumableStore; id: string; state: ResumableState }> {
  const store = resumables(call)
  const id = call.query.get('upload_id') ?? ''
  const state = await store.resumable(id)
  if (state.bucket !== call.bucket || state.key !== call.key) throw new StoreError('no-upload', 'no such upload')
  return { store, id, state }
}

/**
 * `bytes a-b/total`, `bytes * /total` (how far is it?), total `*` while it is not known; none: the whole.
 * @returns `first` null: nothing is sent
 * @throws S3Error "InvalidArgument"
 */
export function readContentRange(
  text: string | undefined,
  length: number,
): { first: number; total: number } | { first: number | null; total: number | null } {
  if (text === undefined) return { first: 0, total: length }
  const [, from, to, whole] = /^bytes (?:(\d{1,15})-(\d{1,15})|\*)\/(\d{1,15}|\*)$/.exec(text.trim()) ?? []
  if (whole === undefined) throw wrong('want bytes FIRST-LAST/TOTAL or bytes */TOTAL')
  const total = whole === '*' ? null : Number(whole)
  if (from === undefined || to === undefined) {
    if (length !== 0) throw wrong('bytes */TOTAL goes with no body')
    return { first: null, total }
  }
  const [first, last] = [Number(from), Number(to)]
  if (last < first || last - first + 1 !== length) throw wrong('it is another length than Content-Length')
  if (total !== null && last >= total) throw wrong('it ends behind the total')
  return { first, total }
}

function told({ done, stored }: ResumableState): S3Response {
  if (done !== null)
    return emptyResponse(200, [['etag', `"${done.etag}"`], ...generationHeaders(done), ...encryptionHeaders(done)])
  return emptyResponse(308, stored === 0 ? [] : [['range', `bytes=0-${stored - 1}`]])
}

function requireNoDigest({ request }: Call): void {
  const digest = request.headers.find(([name]) => DIGESTS.test(name))
  if (digest)
    throw new S3Error(
      'NotImplemented',
      `${digest[0].toLowerCase()} is not judged for resumable uploads: compare the ETag.`,
    )
}

function wrong(what: string): S3Error {
  return new S3Error('InvalidArgument', `Content-Range: ${what}.`)
}
