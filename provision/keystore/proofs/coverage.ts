import { percentDecode, queryPairs, utf8Text } from '../../../access/canonical.ts'
import type { ObjectPlace } from '../../../format/release.ts'
import type { RequestProof } from '../../../format/request-proof.ts'
import { readTicket } from './upload-tickets.ts'

/** What a request is about, read from what was signed, or of a caller who signs nothing from what the store says. All pure. */
export type RequestTarget = {
  method: string
  bucket: string
  /** empty: the bucket itself */
  key: string
  query: ReadonlyMap<string, string>
  copySource: { bucket: string; key: string } | null
}

/** Not what a request has for its method: a form covers the one object that it brings. */
const FORM = 'form'
/** A ticket covers the object of its upload, and the parts. */
const UPLOAD = 'upload'

/** @param hostSuffix - `bucket.<suffix>` hosts name the bucket; null: path style only. @returns null - names no bucket */
export function requestTarget(proof: RequestProof, hostSuffix: string | null): RequestTarget | null {
  if (proof.kind === 'policy') {
    const key = new Map(proof.fields).get('key') ?? ''
    return { method: FORM, bucket: proof.bucket, key, query: new Map(), copySource: null }
  }
  if (proof.kind === 'upload') {
    const { bucket, key, upload } = readTicket(proof.ticket)
    return { method: UPLOAD, bucket, key, query: new Map([['uploadId', upload]]), copySource: null }
  }
  const path = pathText(proof.rawPath)
  const pairs = queryPairs(proof.rawQuery)
  if (path === null || pairs === null || !path.startsWith('/')) return null
  const query = new Map<string, string>()
  for (const [rawName, rawValue] of pairs) {
    const [name, value] = [utf8Text(rawName), utf8Text(rawValue)]
    // twice the same name: whoever serves it might read the other one
    if (name === null || value === null || query.has(name)) return null
    query.set(name, value)
  }
  const host = (requestHeader(proof, 'host') ?? '').toLowerCase().replace(/:\d+$/, '')
  const virtual = hostSuffix !== null && host.endsWith(`.${hostSuffix}`) ? host.slice(0, -hostSuffix.length - 1) : null
  const place = virtual === null ? split(path.slice(1)) : { bucket: virtual, key: path.slice(1) }
  if (place === null) return null
  const [amz, goog] = [requestHeader(proof, 'x-amz-copy-source'), requestHeader(proof, 'x-goog-copy-source')]
  // two sources: whoever serves it might read the other one
  if (amz !== undefined && goog !== undefined) return null
  const source = amz ?? goog
  return {
    method: proof.method,
    ...place,
    query,
    copySource: source === undefined ? null : copySourceOf(source),
  }
}

const ADDED_BY_CLIENTS = /^(?:X-Amz-.*|X-Goog-.*|x-id)$/
const VERSION = /^(?:versionId|generation)$/
const OF_A_READ = /^(?:versionId|generation|partNumber|response-[a-z-]+)$/

/** Reading the object at `place`: a GET or HEAD of it and of no subresource, or a copy that names it as its source. */
export function coversRead(target: RequestTarget, place: ObjectPlace): boolean {
  if (target.method === 'GET' || target.method === 'HEAD')
    return samePlace(target, place) && onlyQuery(target, name => OF_A_READ.test(name))
  return target.method === 'PUT' && target.copySource !== null && samePlace(target.copySource, place)
}

/** Writing the object, part or composite at `place`: a PUT or a form of it, a part's PUT, or the completion of an upload. */
export function coversWrite(target: RequestTarget, place: ObjectPlace): boolean {
  if (!samePlace(target, place)) return false
  if (target.method === FORM) return place.part === undefined
  const upload = target.query.get('uploadId')
  if (target.method === UPLOAD) return place.part === undefined || place.part.upload === upload
  if (target.method === 'POST')
    return place.part === undefined && upload !== undefined && onlyQuery(target, name => name === 'uploadId')
  if (target.method !== 'PUT') return false
  if (upload === undefined) return onlyQuery(target, () => false)
  const number = Number(target.query.get('partNumber'))
  const samePart = place.part?.upload === upload && place.part.number === number
  return samePart && onlyQuery(target, name => name === 'uploadId' || name === 'partNumber')
}

/** The creation of a multipart upload of `place`. */
export function coversCreation(target: RequestTarget, place: ObjectPlace): boolean {
  return target.method === 'POST' && samePlace(target, place) && target.query.has('uploads')
}

/** The beginning of an upload that is sent under one address, of `place`. */
export function coversBeginning(proof: RequestProof, target: RequestTarget, place: ObjectPlace): boolean {
  const begins = requestHeader(proof, 'x-goog-resumable')?.toLowerCase() === 'start'
  return target.method === 'POST' && begins && samePlace(target, place) && onlyQuery(target, () => false)
}

/** A change of the object's ACL. */
export function coversAcl(target: RequestTarget, place: ObjectPlace): boolean {
  return (
    target.method === 'PUT' &&
    samePlace(target, place) &&
    target.query.has('acl') &&
    onlyQuery(target, name => name === 'acl' || VERSION.test(name))
  )
}

/** The deletion of the object at `place`. */
export function coversDelete(target: RequestTarget, place: ObjectPlace): boolean {
  return target.method === 'DELETE' && samePlace(target, place) && onlyQuery(target, name => VERSION.test(name))
}

/** A request about the bucket itself. @param sub - the one subresource that it names; null: none */
export function coversBucket(target: RequestTarget, method: string, bucket: string, sub: string | null): boolean {
  return (
    target.method === method &&
    target.bucket === bucket &&
    target.key === '' &&
    (sub === null || target.query.has(sub)) &&
    onlyQuery(target, name => name === sub)
  )
}

/** Objects of the same name; a bucket is none. */
export function samePlace(a: { bucket: string; key: string }, b: { bucket: string; key: string }): boolean {
  return a.key !== '' && a.bucket === b.bucket && a.key === b.key
}

export function requestHeader(proof: RequestProof, name: string): string | undefined {
  return 'headers' in proof ? proof.headers.find(([found]) => found === name)?.[1].trim() : undefined
}

function onlyQuery(target: RequestTarget, may: (name: string) => boolean): boolean {
  return [...target.query.keys()].every(name => ADDED_BY_CLIENTS.test(name) || may(name))
}

function copySourceOf(header: string): RequestTarget['copySource'] {
  const [name = ''] = header.split('?versionId=')
  const path = pathText(name)
  return path === null ? null : split(path.replace(/^\//, ''))
}

function split(path: string): { bucket: string; key: string } | null {
  const cut = path.indexOf('/')
  if (cut < 0) return path === '' ? null : { bucket: path, key: '' }
  return cut < 1 ? null : { bucket: path.slice(0, cut), key: path.slice(cut + 1) }
}

function pathText(raw: string): string | null {
  const bytes = percentDecode(raw)
  return bytes && utf8Text(bytes)
}
