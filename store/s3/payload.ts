import { createHash, hash } from 'node:crypto'
import { AccessError } from '../../access/fault.ts'
import type { Checksum, ChecksumName, Finished } from '../object-store.ts'
import { ownedAs } from '../own-body.ts'
import { chunkedMode, decodeChunked } from './aws-chunked.ts'
import { checksumBytes, checksumNames, startChecksum } from './checksum.ts'
import { S3Error } from './fault.ts'
import type { Admission } from './gate.ts'
import { header, type S3Request } from './message.ts'

/**
 * `md5`: ETag is the MD5 of the content. `cheap`: when the client sent a checksum of its own no MD5 is taken, and the ETag is 32 hex
 * digits and `-1`, which clients know not to compare with an MD5.
 */
export type EtagPolicy = 'md5' | 'cheap'

/** The content of an upload as the client meant it; `finish` is called after the last byte and throws when a digest differs. */
export type Payload = { body: AsyncIterable<Uint8Array>; length: number; finish(): Finished }

/**
 * @param wanted - checksum to take when the client sends none of its own
 * @throws S3Error "MissingContentLength", "InvalidDigest", "InvalidRequest"
 */
export async function openPayload(
  request: S3Request,
  admission: Admission,
  etags: EtagPolicy,
  wanted?: ChecksumName,
): Promise<Payload> {
  // where the signature leaves the payload open, the header still says how it is framed
  const signed = admission.payload === 'UNSIGNED-PAYLOAD' ? null : admission.payload
  const sentDigest = header(request, 'x-amz-content-sha256') ?? header(request, 'x-goog-content-sha256')
  const declared = signed ?? sentDigest ?? 'UNSIGNED-PAYLOAD'
  const mode = chunkedMode(declared)
  const length = readLength(header(request, mode ? 'x-amz-decoded-content-length' : 'content-length'))
  const payload = await digesting(request, { admission, declared, mode, length, etags }, wanted)
  return { ...payload, length }
}

/** A file in a form: how long it is says its end. */
export function openFormPayload(request: S3Request, etags: EtagPolicy): Promise<Omit<Payload, 'length'>> {
  return digesting(request, { admission: null, declared: 'UNSIGNED-PAYLOAD', mode: null, length: 0, etags })
}

type Framing = {
  admission: Admission | null
  declared: string
  mode: ReturnType<typeof chunkedMode>
  length: number
  etags: EtagPolicy
}

async function digesting(
  request: S3Request,
  { admission, declared, mode, length, etags }: Framing,
  wanted?: ChecksumName,
): Promise<Omit<Payload, 'length'>> {
  const trailers = mode?.trailer ? trailerNames(header(request, 'x-amz-trailer')) : []
  const sent = sentChecksum(request, trailers)
  const md5Sent = readDigest(header(request, 'content-md5'), 'Content-MD5')
  const name = sent?.name ?? wanted
  const checksum = name && (await startChecksum(name))
  const md5 = md5Sent || etags === 'md5' || !sent ? createHash('md5') : null
  const sha256 = /^[0-9a-f]{64}$/.test(declared) ? createHash('sha256') : null
  let expected = sent?.value

  const onTrailer = (trailer: string, value: string): void => {
    if (trailer === sent?.header) expected = readChecksum(sent.name, value)
  }
  const bytes = mode
    ? decodeChunked(request.body, {
        mode,
        length,
        trailers,
        onTrailer,
        ...(admission?.chunks && { chunks: admission.chunks }),
      })
    : request.body
  let received = 0
  async function* body(): AsyncGenerator<Uint8Array> {
    for await (const chunk of bytes) {
      received += chunk.length
      checksum?.update(chunk)
      md5?.update(chunk)
      sha256?.update(chunk)
      yield chunk
    }
  }
  return {
    body: ownedAs(bytes, body()),
    finish() {
      if (sha256 && sha256.digest('hex') !== declared) {
        throw new AccessError('payload-mismatch', 'The bytes do not match x-amz-content-sha256.')
      }
      const digest = md5?.digest()
      if (md5Sent && digest && !md5Sent.equals(digest)) throw badDigest('Content-MD5')
      const value = checksum?.digest()
      if (sent && value && expected !== value.toString('base64')) throw badDigest(sent.header)
      const found: Checksum | undefined = name &&
        value && { name, value: value.toString('base64'), type: 'FULL_OBJECT' }
      const etag = etags === 'md5' || !sent || !found ? (digest?.toString('hex') ?? '') : cheapEtag(found, received)
      return found ? { etag, checksum: found } : { etag }
    },
  }
}

/** 32 hex digits of what the checksum says, and `-1`. */
export function cheapEtag(checksum: Checksum, size: number): string {
  const text = `${checksum.name}:${checksum.value}:${size}`
  return `${hash('sha256', text).slice(0, 32)}-1`
}

type SentChecksum = { name: ChecksumName; header: string; value: string | undefined }

function sentChecksum(request: S3Request, trailers: readonly string[]): SentChecksum | undefined {
  const found: SentChecksum[] = []
  for (const name of checksumNames) {
    const field = checksumHeader(name)
    const value = header(request, field)
    if (value !== undefined) found.push({ name, header: field, value: readChecksum(name, value) })
    else if (trailers.includes(field)) found.push({ name, header: field, value: undefined })
  }
  if (found.length > 1) throw new S3Error('InvalidRequest', 'Expecting a single x-amz-checksum- header.')
  const named = header(request, 'x-amz-sdk-checksum-algorithm')?.toUpperCase()
  if (named !== undefined && found[0]?.name !== named) {
    throw new S3Error(
      'InvalidRequest',
      'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
    )
  }
  return found[0]
}

export function checksumHeader(name: ChecksumName): string {
  return `x-amz-checksum-${name.toLowerCase()}`
}

function readChecksum(name: ChecksumName, value: string): string {
  const bytes = Buffer.from(value, 'base64')
  if (bytes.length !== checksumBytes[name] || bytes.toString('base64') !== value) {
    throw new S3Error('InvalidRequest', `Value for ${checksumHeader(name)} header is invalid.`)
  }
  return value
}

function readDigest(value: string | undefined, name: string): Buffer | null {
  if (value === undefined) return null
  const bytes = Buffer.from(value, 'base64')
  if (bytes.length !== 16 || bytes.toString('base64') !== value) {
    throw new S3Error('InvalidDigest', `The ${name} you specified is not valid.`)
  }
  return bytes
}

function readLength(text: string | undefined): number {
  if (text === undefined) throw new S3Error('MissingContentLength', 'You must provide the Content-Length HTTP header.')
  if (!/^\d{1,15}$/.test(text)) throw new S3Error('InvalidArgument', 'The content length is no number.')
  return Number(text)
}

function trailerNames(text: string | undefined): string[] {
  const names = (text ?? '').split(',').map(name => name.trim().toLowerCase())
  return names.filter(name => name !== '')
}

function badDigest(what: string): S3Error {
  return new S3Error('BadDigest', `The ${what} you specified did not match what was received.`)
}
