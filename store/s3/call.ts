import { hasMultipart, type MultipartStore, type ObjectStore } from '../object-store.ts'
import { S3Error } from './fault.ts'
import type { Admission, Principal } from './gate.ts'
import type { S3Request, S3Response } from './message.ts'
import type { EtagPolicy } from './payload.ts'
import type { Query } from './target.ts'
import { element, type Xml, xmlDocument } from './xml-out.ts'

export type FaceSettings = {
  etags: EtagPolicy
  /** shown as the region; callers may sign for any */
  region: string
  /** `bucket.<suffix>` hosts name a bucket */
  hostSuffix?: string
}

/** One admitted request. */
export type Call = {
  request: S3Request
  query: Query
  admission: Admission
  store: ObjectStore
  settings: FaceSettings
}
export type BucketCall = Call & { bucket: string }
export type ObjectCall = BucketCall & { key: string }

export function multipart(call: Call): MultipartStore {
  if (!hasMultipart(call.store)) throw new S3Error('NotImplemented', 'This store takes no multipart uploads.')
  return call.store
}

export function xmlResponse(root: Xml, headers: [string, string][] = []): S3Response {
  return {
    status: 200,
    headers: [['content-type', 'application/xml'], ...headers],
    body: Buffer.from(xmlDocument(root), 'utf8'),
  }
}

export function emptyResponse(status: number, headers: [string, string][] = []): S3Response {
  return { status, headers, body: null }
}

export function ownerElement(principal: Principal | null, name = 'Owner'): Xml {
  const { id, displayName } = principal ?? { id: 'anonymous', displayName: 'anonymous' }
  return element(name, [element('ID', id), element('DisplayName', displayName)])
}

/** @throws S3Error "InvalidArgument" */
export function readCount(query: Query, name: string, otherwise: number, most: number): number {
  const text = query.get(name)
  if (text === undefined || text === '') return otherwise
  if (!/^\d{1,9}$/.test(text)) throw new S3Error('InvalidArgument', `${name} must be a whole number of 0 or more.`)
  return Math.min(Number(text), most)
}
