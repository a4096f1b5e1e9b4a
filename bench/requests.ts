/** Requests of a load: what is ordered, what came of it, and the bytes of one. */
import { type Credentials, signRequest } from '../access/sign.ts'

export type Endpoint = { port: number; bucket: string; credentials: Credentials }
export type LoadOrder = Endpoint & {
  method: 'PUT' | 'GET'
  connections: number
  /** one request each, dealt out to the connections in turn */
  keys: string[]
  /** of each PUT */
  bodyBytes: number
  /** no request is begun after this */
  mostSeconds: number
}
export const UNBOUNDED_SECONDS = 3600
export type LoadResult = {
  seconds: number
  answered: number
  /** status other than 200, 201 or 204, and connections that broke */
  failed: number
  firstFailure: string | null
  /** of bodies received */
  bytes: number
  medianMs: number
  p99Ms: number
}

/**
 * A request's head, signed; the payload is not under the signature but has a CRC-32C of its own: what today's SDKs send by default.
 * @param checksum - of the body, base64; null: it has none
 */
export function requestHead(
  { port, credentials }: Endpoint,
  { method, rawPath, rawQuery }: { method: string; rawPath: string; rawQuery: string },
  bodyBytes: number,
  checksum: string | null,
): Buffer {
  const headers: [string, string][] = [['host', `127.0.0.1:${port}`]]
  if (checksum !== null) headers.push(['x-amz-checksum-crc32c', checksum])
  const signed = signRequest({ method, rawPath, rawQuery, headers }, credentials, {
    region: 'us-east-1',
    time: new Date(),
    payload: 'UNSIGNED-PAYLOAD',
  })
  const length = method === 'PUT' ? `content-length: ${bodyBytes}\r\n` : ''
  const lines = signed.headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  const target = rawQuery === '' ? rawPath : `${rawPath}?${rawQuery}`
  return Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines}${length}\r\n`, 'latin1')
}
