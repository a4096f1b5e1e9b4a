import { FULL, makeAcl } from '../../access/acl/acl.ts'
import { askOfHeaders, flagsOfHeaders, flagsText } from '../../access/acl/headers.ts'
import { type AclTarget, hasAcl, type KeptAcl } from '../ability.ts'
import { googleAclDocument, type ShownAcl, s3AclDocument } from './acl-out.ts'
import { type BucketCall, type Call, emptyResponse, type ObjectCall, readCount, xmlResponse } from './call.ts'
import { S3Error } from './fault.ts'
import {
  generationHeaders,
  judgeGenerations,
  readGenerations,
  readVersion,
  requireNoGeneration,
  requireVersion,
} from './generations.ts'
import { header, type S3Request, type S3Response } from './message.ts'
import { openPayload } from './payload.ts'
import { readSmall } from './xml-in.ts'
import { element } from './xml-out.ts'

type AclCall = BucketCall & { key: string | null }

const DOCUMENT_MAX = 64 << 10
/** What stores without ACLs let pass: their objects are read by whoever may read the store. */
const MEANINGLESS = ['private', 'public-read']

/**
 * Refuses what cannot be, before a body is taken in for it.
 * @throws AccessError - of the headers' form
 * @throws S3Error "NotImplemented"
 */
export function checkAskedAcl({ request, store, admission }: Pick<Call, 'request' | 'store' | 'admission'>): void {
  const ask = askOfHeaders(request.headers)
  flagsOfHeaders(request.headers)
  if (ask.kind === 'none') return
  // what nobody signed anybody could have written into it on the way
  if (admission.principal === null) throw new S3Error('AccessDenied', 'An ACL is asked for by a signed request only.')
  if (hasAcl(store)) return
  if (ask.kind !== 'canned' || !MEANINGLESS.includes(ask.name.toLowerCase()))
    throw new S3Error('NotImplemented', 'This store keeps no ACLs: private and public-read are let pass.')
}

export async function getAcl(call: AclCall, of: AclTarget['of'] = 'acl'): Promise<S3Response> {
  const { store, bucket, key, request } = call
  const kept = hasAcl(store) ? await store.getAcl({ bucket, key, of }) : await ownersAlone(call)
  if (kept === null) throw new S3Error('NoSuchKey', 'The specified key does not exist.')
  if (key !== null) requireVersion(readVersion(call), kept)
  const wanted = readGenerations(call)
  if (key === null) requireNoGeneration(wanted)
  const verdict = judgeGenerations(wanted, kept)
  if (verdict === 'failed') throw new S3Error('PreconditionFailed', 'The ACL has another generation or metageneration.')
  if (verdict === 'not-modified') return emptyResponse(304, generationHeaders(kept))
  const shown: ShownAcl = { on: key === null && of === 'acl' ? 'bucket' : 'object', ...kept }
  const flags = flagsText(kept.acl)
  const headers = generationHeaders(kept)
  if (flags !== null) headers.push(['x-storage-acl-flags', flags])
  if (kept.reference !== null) headers.push(['x-storage-acl-reference', kept.reference])
  if (kept.dangling) headers.push(['x-storage-acl-state', 'dangling'])
  if (of === 'acl' && !speaksGoogle(request)) return xmlResponse(s3AclDocument(shown), headers)
  // a default has no owner: each new object adds its own
  const { document, exact } = googleAclDocument(of === 'acl' ? shown : { ...shown, owner: null })
  if (!exact) headers.push(['x-storage-acl-inexact', 'true'])
  return xmlResponse(document, headers)
}

export async function putAcl(call: AclCall, of: AclTarget['of'] = 'acl'): Promise<S3Response> {
  const { store, bucket, key, request, admission } = call
  checkAskedAcl(call)
  const [version, generations] = [key === null ? undefined : readVersion(call), readGenerations(call)]
  if (key === null) requireNoGeneration(generations)
  const payload = await openPayload(request, admission, 'md5')
  const document = await readSmall(payload.body, DOCUMENT_MAX)
  payload.finish()
  if (!hasAcl(store)) throw new S3Error('NotImplemented', 'This store keeps no ACLs.')
  const options = { ...(version !== undefined && { version }), ...(generations && { generations }) }
  const numbers = await store.setAcl({ bucket, key, of }, document, options)
  if (numbers === null) throw new S3Error('NoSuchKey', 'The specified key does not exist.')
  return emptyResponse(200, generationHeaders(numbers))
}

const REFERRERS_PAGE = 1000

/** What an ACL object governs, a page at a time. */
export async function listReferrers(call: ObjectCall): Promise<S3Response> {
  const { store, bucket, key, query } = call
  if (!hasAcl(store)) throw new S3Error('NotImplemented', 'This store keeps no ACLs.')
  const limit = readCount(query, 'max-keys', REFERRERS_PAGE, REFERRERS_PAGE)
  const { count, names } = await store.referrers({ bucket, key, after: query.get('marker') ?? null, limit })
  const items = names.map(name => element('Referrer', name))
  return xmlResponse(element('Referrers', [element('Count', count), ...items]))
}

/** What a store without ACLs has to show. */
async function ownersAlone({ store, bucket, key, admission }: AclCall): Promise<KeptAcl | null> {
  const there = key === null ? await store.headBucket(bucket) : await store.head(bucket, key)
  if (there === null && key === null) throw new S3Error('NoSuchBucket', 'The specified bucket does not exist')
  if (there === null) return null
  const { id, displayName } = admission.principal ?? { id: 'anonymous', displayName: 'anonymous' }
  const acl = makeAcl([{ scope: { kind: 'user', id }, rights: FULL }])
  return { owner: id, acl, names: new Map([[id, displayName]]), reference: null, dangling: false }
}

/** Which of two documents a client wants to read: that of whose headers it sends. */
function speaksGoogle(request: S3Request): boolean {
  const authorization = header(request, 'authorization') ?? ''
  return (
    authorization.startsWith('GOOG4-') ||
    authorization.startsWith('Bearer ') ||
    request.headers.some(([name]) => /^x-(?:goog|storage)-/i.test(name))
  )
}
