import { askOfForm, flagsOfHeaders } from '../../access/acl/headers.ts'
import { parseFormPolicy } from '../../access/form-policy.ts'
import { hasAcl } from '../ability.ts'
import type { ObjectRecord } from '../object-store.ts'
import { checksumHeaders, readAttributes } from './attributes.ts'
import { emptyResponse, type FaceSettings, xmlResponse } from './call.ts'
import { checkFormEncryption, encryptionHeaders } from './encryption.ts'
import { S3Error } from './fault.ts'
import { type Form, openForm } from './form.ts'
import type { Admission, Gate } from './gate.ts'
import { generationHeaders } from './generations.ts'
import { header, type S3Request, type S3Response, toWire } from './message.ts'
import { openFormPayload } from './payload.ts'
import { checkedKey, type Target } from './target.ts'
import { element } from './xml-out.ts'

/** An object that comes in a form of a page, in whose fields stands who allows it. */

export function isForm(request: S3Request, { bucket, key, query }: Target): boolean {
  const type = header(request, 'content-type') ?? ''
  return request.method === 'POST' && bucket !== null && key === null && query.size === 0 && FORM_DATA.test(type)
}

const FORM_DATA = /^multipart\/form-data\b/i
/** Said in a header it would be signed by nobody. */
const MEANINGFUL = /^(?:authorization|x-(?:amz|goog|storage)-.*)$/i

/** @throws S3Error | AccessError - before any byte of the file is taken, but for its length */
export async function postForm(
  request: S3Request,
  bucket: string,
  gate: Gate,
  settings: FaceSettings,
): Promise<S3Response> {
  if (gate.admitForm === undefined) throw new S3Error('NotImplemented', 'POST is not implemented here.')
  const stray = request.headers.find(([name]) => MEANINGFUL.test(name))
  if (stray) throw new S3Error('InvalidRequest', `A form says it in its fields: ${stray[0].toLowerCase()} is a header.`)
  const form = await openForm(header(request, 'content-type') ?? '', request.body)
  try {
    const fields = new Map([...form.fields, ['key', keyOf(form)]])
    const carrier = carrierOf(fields, form.file)
    const attributes = readAttributes(carrier)
    const redirect = redirectOf(fields)
    const admission = await gate.admitForm(bucket, fields)
    checkFormAcl(fields, admission)
    checkFormEncryption(carrier, admission.store)
    const key = fields.get('key') ?? ''
    const payload = await openFormPayload(carrier, settings.etags)
    const { finish } = payload
    const body = withinLengths(payload.body, fields.get('policy'))
    const record = await admission.store.put(bucket, key, body, { attributes, finish })
    return answer(fields, record, redirect)
  } finally {
    form.leave()
  }
}

function keyOf({ fields, filename }: Form): string {
  const template = fields.get('key')
  const key = template === undefined ? null : checkedKey(template.replace(/\$\{filename\}/g, () => filename))
  if (key === null) throw new S3Error('InvalidArgument', 'Bucket POST must contain a field named key.')
  return key
}

/** The fields as the headers that they stand for. */
function carrierOf(fields: Form['fields'], body: AsyncIterable<Uint8Array>): S3Request {
  const headers: [string, string][] = []
  for (const [name, value] of fields) {
    if (name === 'tagging' || name === 'x-amz-security-token' || name.startsWith('x-goog-if-'))
      throw new S3Error('NotImplemented', `${name} is not implemented here.`)
    if (!/^(?:content-|cache-control$|expires$|x-)/.test(name)) continue
    if (/\p{Cc}/u.test(value)) throw new S3Error('InvalidArgument', `${name} cannot hold control characters.`)
    headers.push([name, toWire(value)])
  }
  return { method: 'POST', rawPath: '/', rawQuery: '', headers, body }
}

/** @throws AccessError - of the form that it has; S3Error "NotImplemented" */
function checkFormAcl(fields: Form['fields'], { store }: Admission): void {
  const ask = askOfForm(fields)
  flagsOfHeaders([...fields])
  if (ask.kind !== 'none' && !hasAcl(store)) throw new S3Error('NotImplemented', 'This store keeps no ACLs.')
}

/** @throws S3Error "EntityTooLarge" | "EntityTooSmall" */
async function* withinLengths(body: AsyncIterable<Uint8Array>, policy: string | undefined): AsyncGenerator<Uint8Array> {
  const lengths = policy === undefined ? null : parseFormPolicy(policy).lengths
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (lengths && size > lengths.most)
      throw new S3Error('EntityTooLarge', 'Your proposed upload exceeds the maximum allowed object size.')
    yield chunk
  }
  if (lengths && size < lengths.least)
    throw new S3Error('EntityTooSmall', 'Your proposed upload is smaller than the minimum allowed object size.')
}

/**
 * Where the browser goes afterwards. Only where a policy speaks of it: otherwise anybody's page could have our name lead anywhere.
 * @throws S3Error "InvalidArgument" | "AccessDenied"
 */
function redirectOf(fields: Form['fields']): URL | null {
  const text = fields.get('success_action_redirect') ?? fields.get('redirect')
  if (text === undefined || text === '') return null
  if (!fields.has('policy')) throw new S3Error('AccessDenied', 'A redirect is for forms with a policy.')
  const url = URL.parse(text)
  const absolute = /^https?:\/\/[^/\\]/i.test(text) && !/[\p{Cc}\s\\]/u.test(text)
  if (url === null || !absolute || url.username !== '' || url.password !== '')
    throw new S3Error('InvalidArgument', 'success_action_redirect: want an absolute http or https URL.')
  return url
}

function answer(fields: Form['fields'], record: ObjectRecord, redirect: URL | null): S3Response {
  const { bucket, key, etag } = record
  const location = `/${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`
  const headers: [string, string][] = [
    ['etag', `"${etag}"`],
    ...checksumHeaders(record.checksum),
    ...generationHeaders(record),
    ...encryptionHeaders(record),
  ]
  if (redirect !== null) {
    const told = `bucket=${encodeURIComponent(bucket)}&key=${encodeURIComponent(key)}&etag=%22${etag}%22`
    redirect.search = redirect.search === '' ? told : `${redirect.search}&${told}`
    return emptyResponse(303, [...headers, ['location', redirect.href]])
  }
  headers.push(['location', location])
  const status = fields.get('success_action_status')
  if (status === '200') return emptyResponse(200, headers)
  if (status !== '201') return emptyResponse(204, headers)
  const response = element('PostResponse', [
    element('Location', location),
    element('Bucket', bucket),
    element('Key', key),
    element('ETag', `"${etag}"`),
  ])
  return { ...xmlResponse(response, headers), status: 201 }
}
