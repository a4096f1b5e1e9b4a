import { isAscii } from 'node:buffer'
import type { Checksum, ObjectAttributes, ObjectRecord } from '../object-store.ts'
import { S3Error } from './fault.ts'
import { header, type S3Request, toWire } from './message.ts'
import { checksumHeader } from './payload.ts'
import type { Query } from './target.ts'

const kept = ['cache-control', 'content-disposition', 'content-encoding', 'content-language', 'expires']
const mostMetadataBytes = 2048

/** What asks for something this face does not do: doing it half would be a silent downgrade. */
const refused = /^x-amz-(tagging|website-redirect-location|object-lock-)/

/**
 * What the uploader says of an object. Metadata goes in and out as the bytes that came: UTF-8 as text, RFC 2047 words untouched.
 * @throws S3Error "NotImplemented", "MetadataTooLarge", "InvalidArgument"
 */
export function readAttributes(request: S3Request): ObjectAttributes {
  const attributes: ObjectAttributes = { headers: {}, metadata: {} }
  let size = 0
  for (const [raw, wire] of request.headers) {
    const name = raw.toLowerCase()
    if (refused.test(name)) throw new S3Error('NotImplemented', `${name} is not implemented here.`)
    const key = /^x-(?:amz|goog)-meta-(.*)$/s.exec(name)?.[1]
    if (key !== undefined) {
      const value = fromWire(wire)
      const earlier = Object.hasOwn(attributes.metadata, key) ? `${attributes.metadata[key]},` : ''
      // defined, not assigned: a client may name its metadata __proto__
      Object.defineProperty(attributes.metadata, key, {
        value: earlier + value,
        enumerable: true,
        writable: true,
        configurable: true,
      })
      size += key.length + wire.length
    } else if (kept.includes(name)) {
      const value = fromWire(wire)
      const text = name === 'content-encoding' ? withoutChunked(value) : value
      if (text !== '') attributes.headers[name] = text
    } else if (name === 'content-type') attributes.contentType = fromWire(wire)
  }
  if (size > mostMetadataBytes)
    throw new S3Error('MetadataTooLarge', `Metadata is limited to ${mostMetadataBytes} bytes.`)
  const storageClass = header(request, 'x-amz-storage-class')
  if (storageClass !== undefined && storageClass !== 'STANDARD') {
    throw new S3Error('NotImplemented', 'The only storage class here is STANDARD.')
  }
  return attributes
}

/** Headers of a 200, 206 and 304 about an object. */
export function objectHeaders(record: ObjectRecord, overrides: Query): [string, string][] {
  const { attributes } = record
  const values = new Map(Object.entries(attributes.headers))
  values.set('content-type', attributes.contentType ?? 'binary/octet-stream')
  for (const [name, value] of overrides) values.set(name.slice('response-'.length).toLowerCase(), value)
  const headers: [string, string][] = [
    ['etag', `"${record.etag}"`],
    ['last-modified', record.modifiedAt.toUTCString()],
    ['accept-ranges', 'bytes'],
  ]
  for (const [name, value] of values) headers.push([name, toWire(value)])
  for (const [name, value] of Object.entries(attributes.metadata)) headers.push([`x-amz-meta-${name}`, toWire(value)])
  return headers
}

export function checksumHeaders(checksum: Checksum | undefined): [string, string][] {
  if (!checksum) return []
  return [
    [checksumHeader(checksum.name), checksum.value],
    ['x-amz-checksum-type', checksum.type],
  ]
}

function withoutChunked(value: string): string {
  return value
    .split(',')
    .map(item => item.trim())
    .filter(item => item.toLowerCase() !== 'aws-chunked')
    .join(', ')
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function fromWire(wire: string): string {
  const bytes = Buffer.from(wire.trim(), 'latin1')
  try {
    return isAscii(bytes) ? wire.trim() : decoder.decode(bytes)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    // older clients send ISO 8859-1
    return wire.trim()
  }
}
