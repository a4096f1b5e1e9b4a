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
import { requireExpectedOwners } from './expected-owner.ts'
import { listExports, orderExport, withdrawExport } from './export-verbs.ts'
import { answerOf, errorXml, internalError, isForTheLog, S3Error } from './fault.ts'
import { isForm, postForm } from './form-verb.ts'
import type { Admission, Gate, Purpose } from './gate.ts'
import { namesVersion } from './generations.ts'
import { listObjects, listObjectsV2, listVersions } from './listing-verbs.ts'
import { header, type S3Request, type S3Response } from './message.ts'
import { abortUpload, completeUpload, createUpload, uploadPart, uploadPartCopy } from './multipart-verbs.ts'
import { copyObject, getObject, headObject, putObject } from './object-verbs.ts'
import { continueResumable, dropResumable, startResumable } from './resumable-verbs.ts'
import { parseTarget, type Query, type Target } from './target.ts'
import { begun, counted, reporting } from './told-body.ts'
import { listParts, listUploads } from './upload-listing-verbs.ts'
import type { Admitted, Watch, Watched } from './watch.ts'

export type Face = (request: S3Request) => Promise<S3Response>
export type FaceOptions = {
  gate: Gate
  settings: FaceSettings
  watch?: Watch
  /** errors that are nobody's fault outside, with the id the caller was given */
  onError(error: unknown, requestId: string): void
}

/** Request ids: which start of this process, which request since. */
const FIRST = randomBytes(4).toString('hex').toUpperCase()
let count = 0

/** S3 as a function from request to response: admits, routes, answers. Never rejects. */
export function s3Face({ gate, settings, onError, watch }: FaceOptions): Face {
  const answered = async (request: S3Request, target: Target, watched: Watched | undefined): Promise<S3Response> => {
    const { bucket } = target
    const entrance = watched === undefined ? gate : watchedGate(gate, watched, request, target)
    if (bucket !== null && isForm(request, target)) return postForm(request, bucket, entrance, settings)
    const admission = await entrance.admit(request, purposeOf(request, target))
    return route({ request, query: target.query, admission, store: admission.store, settings }, target)
  }
  return async arrived => {
    const requestId = `${FIRST}${(++count).toString(16).toUpperCase().padStart(8, '0')}`
    const headers: [string, string][] = [['x-amz-request-id', requestId]]
    const tally = { bytesIn: 0 }
    const request = watch === undefined ? arrived : { ...arrived, body: counted(arrived.body, tally) }
    let watched: Watched | undefined
    try {
      watched = watch?.({ requestId, method: request.method, remote: request.remote ?? null })
      const target = parseTarget(request, settings.hostSuffix)
      const response = await answered(request, target, watched)
      const { status, body } = response
      const end = (bytesOut: number): void => watched?.end({ status, code: null, ...tally, bytesOut })
      const answer = { ...response, headers: [...headers, ...response.headers] }
      if (body === null || body instanceof Uint8Array) {
        end(body?.length ?? 0)
        return answer
      }
      // while nothing is out, what goes wrong is still an answer
      return { ...answer, body: reporting(await begun(body), end, error => onError(error, requestId)) }
    } catch (error) {
      const answer = answerOf(error) ?? internalError
      const { status, code } = answer
      if (isForTheLog(error, answer)) onError(error, requestId)
      headers.push(...answer.headers)
      const silent = request.method === 'HEAD' || status === 304
      const body = silent ? null : Buffer.from(errorXml(answer, request.rawPath, requestId), 'utf8')
      watched?.end({ status, code, ...tally, bytesOut: body?.length ?? 0 })
      return { status, headers: body === null ? headers : [...headers, ['content-type', 'application/xml']], body }
    }
  }
}

/** The same gate; who was let in is told, and may still be refused. */
function watchedGate(gate: Gate, watched: Watched, request: S3Request, target: Target): Gate {
  const told = async (admission: Admission): Promise<Admission> => {
    await watched.admit(admittedOf(request, target, admission))
    return admission
  }
  const { admitForm } = gate
  return {
    admit: async (head, purpose) => told(await gate.admit(head, purpose)),
    ...(admitForm && { admitForm: async (bucket, fields) => told(await admitForm(bucket, fields)) }),
  }
}

function admittedOf(request: S3Request, target: Target, { principal }: Admission): Admitted {
  const { bucket, key, query } = target
  const [name] = subresources(query)
  const length = header(request, 'x-amz-decoded-content-length') ?? header(request, 'content-length')
  return {
    verb: name === undefined ? request.method : `${request.method} ?${name}`,
    bucket,
    key,
    principal,
    length: length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : null,
  }
}

/** Query fields that are no subresource: parameters of verbs below, and what SDKs add. */
const parameters = new Set([
  ...['prefix', 'delimiter', 'marker', 'max-keys', 'encoding-type', 'list-type', 'start-after', 'continuation-token'],
  ...['fetch-owner', 'key-marker', 'upload-id-marker', 'max-uploads', 'max-parts', 'part-number-marker', 'partNumber'],
  ...['max-buckets', 'bucket-region', 'generation', 'versionId', 'version-id-marker'],
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

async function route(call: Call, target: Target): Promise<S3Response> {
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
  await requireExpectedOwners(call, bucket)
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
    case 'GET ?versions':
      return listVersions(call)
    case 'GET ?uploads':
      return listUploads(call)
    case 'POST ?delete':
      return deleteObjects(call)
    case 'POST ?export':
      return orderExport(call)
    case 'DELETE ?export':
      return withdrawExport(call)
    case 'GET ?export':
      return listExports(call)
  }
  throw unknownVerb(request.method, ['GET', 'HEAD', 'PUT', 'DELETE', 'POST'], name)
}

function routeObject(verb: string, name: string, call: ObjectCall): Promise<S3Response> {
  const { request } = call
  const copies = ['x-amz-copy-source', 'x-goog-copy-source'].some(name => header(request, name) !== undefined)
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
