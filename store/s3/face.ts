import { randomBytes } from 'node:crypto'
import { hasGenerations } from '../ability.ts'
import { getAcl, listReferrers, putAcl } from './acl-verbs.ts'
import {
  bucketLocation,
  bucketVersioning,
  createBucket,
  deleteBucket,
  deleteObject,
  deleteObjects,
  headBucket,
  listBuckets,
} from './bucket-verbs.ts'
import type { BucketCall, Call, FaceSettings, ObjectCall } from './call.ts'
import { answerOf, errorXml, internalError, S3Error } from './fault.ts'
import { isForm, postForm } from './form-verb.ts'
import type { Gate, Purpose } from './gate.ts'
import { namesVersion } from './generations.ts'
import { listObjects, listObjectsV2 } from './listing-verbs.ts'
import { header, type S3Request, type S3Response } from './message.ts'
import { abortUpload, completeUpload, createUpload, uploadPart, uploadPartCopy } from './multipart-verbs.ts'
import { copyObject, getObject, headObject, putObject } from './object-verbs.ts'
import { continueResumable, dropResumable, startResumable } from './resumable-verbs.ts'
import { parseTarget, type Query, type Target } from './target.ts'
import { listParts, listUploads } from './upload-listing-verbs.ts'

export type Face = (request: S3Request) => Promise<S3Response>
export type FaceOptions = {
  gate: Gate
  settings: FaceSettings
  /** errors that are nobody's fault outside, with the id the caller was given */
  onError(error: unknown, requestId: string): void
}

/** Request ids: which start of this process, which request since. */
const FIRST = randomBytes(4).toString('hex').toUpperCase()
let count = 0

/** S3 as a function from request to response: admits, routes, answers. Never rejects. */
export function s3Face({ gate, settings, onError }: FaceOptions): Face {
  const admitted = async (request: S3Request, target: Target): Promise<S3Response> => {
    const admission = await gate.admit(request, purposeOf(request, target))
    return route({ request, query: target.query, admission, store: admission.store, settings }, target)
  }
  return async request => {
    const requestId = `${FIRST}${(++count).toString(16).toUpperCase().padStart(8, '0')}`
    const headers: [string, string][] = [['x-amz-request-id', requestId]]
    try {
      const target = parseTarget(request, settings.hostSuffix)
      const response =
        target.bucket !== null && isForm(request, target)
          ? await postForm(request, target.bucket, gate, settings)
          : await admitted(request, target)
      const { body } = response
      const reported =
        body === null || body instanceof Uint8Array ? body : reporting(body, error => onError(error, requestId))
      return { ...response, headers: [...headers, ...response.headers], body: reported }
    } catch (error) {
      const answer = answerOf(error) ?? internalError
      if (answer.status === 500) onError(error, requestId)
      headers.push(...answer.headers)
      if (request.method === 'HEAD' || answer.status === 304) return { status: answer.status, headers, body: null }
      const body = Buffer.from(errorXml(answer, request.rawPath, requestId), 'utf8')
      return { status: answer.status, headers: [...headers, ['content-type', 'application/xml']], body }
    }
  }
}

/** The same body; what breaks in the middle of it is told, as no answer can say it any more. */
function reporting(body: AsyncIterable<Uint8Array>, report: (error: unknown) => void): AsyncIterable<Uint8Array> {
  const source = body[Symbol.asyncIterator]()
  const iterator: AsyncIterator<Uint8Array> = {
    async next() {
      try {
        return await source.next()
      } catch (error) {
        report(error)
        throw error
      }
    },
    async return() {
      await source.return?.()
      return { done: true, value: undefined }
    },
  }
  return { [Symbol.asyncIterator]: () => iterator }
}

/** Query fields that are no subresource: parameters of verbs below, and what SDKs add. */
const parameters = new Set([
  ...['prefix', 'delimiter', 'marker', 'max-keys', 'encoding-type', 'list-type', 'start-after', 'continuation-token'],
  ...['fetch-owner', 'key-marker', 'upload-id-marker', 'max-uploads', 'max-parts', 'part-number-marker', 'partNumber'],
  ...['max-buckets', 'bucket-region', 'generation', 'versionId'],
  // what is added to the address that a form leads to, which may be a bucket's own
  ...['bucket', 'key', 'etag'],
])

function subresources(query: Query): string[] {
  return [...query.keys()].filter(name => !parameters.has(name) && !/^(x-|response-)/i.test(name))
}

function purposeOf(request: S3Request, { key, query }: Target): Purpose {
  return request.method === 'GET' && key !== null && subresources(query).length === 0 ? 'read-object' : 'other'
}

/** Verbs that may say which generation of an object they mean. */
const ofVersions = new Set(['GET', 'HEAD', 'DELETE', 'GET ?acl', 'PUT ?acl'])

/** The subresource asked for; '' for none. @throws S3Error "NotImplemented" - one that is not known here, or two */
function subresource(query: Query): string {
  const named = subresources(query)
  const [first = ''] = named
  if (named.length > 1) throw notImplemented(named.join(', '))
  return first
}

function route(call: Call, target: Target): Promise<S3Response> {
  const { request, query } = call
  const name = subresource(query)
  const { bucket, key } = target
  const verb = `${request.method}${name ? ` ?${name}` : ''}`
  if (namesVersion(query) && (key === null || !ofVersions.has(verb) || !hasGenerations(call.store)))
    throw notImplemented('a version of it')
  if (bucket === null) {
    if (verb === 'GET') return listBuckets(call)
    throw unknownVerb(request.method, ['GET'], name)
  }
  return key === null ? routeBucket(verb, name, { ...call, bucket }) : routeObject(verb, name, { ...call, bucket, key })
}

function routeBucket(verb: string, name: string, call: BucketCall): Promise<S3Response> {
  const { request, query } = call
  switch (verb) {
    case 'GET':
      return query.get('list-type') === '2' ? listObjectsV2(call) : listObjects(call)
    case 'HEAD':
      return headBucket(call)
    case 'PUT':
      return createBucket(call)
    case 'DELETE':
      return deleteBucket(call)
    case 'GET ?location':
      return bucketLocation(call)
    case 'GET ?versioning':
      return bucketVersioning(call)
    case 'GET ?acl':
      return getAcl({ ...call, key: null })
    case 'PUT ?acl':
      return putAcl({ ...call, key: null })
    case 'GET ?defaultObjectAcl':
      return getAcl({ ...call, key: null }, 'default-object')
    case 'PUT ?defaultObjectAcl':
      return putAcl({ ...call, key: null }, 'default-object')
    case 'GET ?uploads':
      return listUploads(call)
    case 'POST ?delete':
      return deleteObjects(call)
  }
  throw unknownVerb(request.method, ['GET', 'HEAD', 'PUT', 'DELETE', 'POST'], name)
}

function routeObject(verb: string, name: string, call: ObjectCall): Promise<S3Response> {
  const { request } = call
  const copies = header(request, 'x-amz-copy-source') !== undefined
  switch (verb) {
    case 'GET':
      return getObject(call)
    case 'HEAD':
      return headObject(call)
    case 'PUT':
      return copies ? copyObject(call) : putObject(call)
    case 'DELETE':
      return deleteObject(call)
    case 'GET ?acl':
      return getAcl(call)
    case 'PUT ?acl':
      return putAcl(call)
    case 'GET ?referrers':
      return listReferrers(call)
    case 'POST ?uploads':
      return createUpload(call)
    case 'POST':
      if (header(request, 'x-goog-resumable') === undefined) break
      return startResumable(call)
    case 'PUT ?upload_id':
      return continueResumable(call)
    case 'DELETE ?upload_id':
      return dropResumable(call)
    case 'PUT ?uploadId':
      return copies ? uploadPartCopy(call) : uploadPart(call)
    case 'POST ?uploadId':
      return completeUpload(call)
    case 'DELETE ?uploadId':
      return abortUpload(call)
    case 'GET ?uploadId':
      return listParts(call)
  }
  throw unknownVerb(request.method, ['GET', 'HEAD', 'PUT', 'DELETE', 'POST'], name)
}

function unknownVerb(method: string, known: string[], name: string): S3Error {
  if (name !== '' || known.includes(method)) return notImplemented(name || method)
  return new S3Error('MethodNotAllowed', 'The specified method is not allowed against this resource.', {
    headers: [['allow', known.join(', ')]],
  })
}

function notImplemented(what: string): S3Error {
  return new S3Error('NotImplemented', `${what} is not implemented here.`)
}
