/** A bare signed S3 client: what a test sends is what it wrote. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import { percentEncode } from '../access/canonical.ts'
import { type Credentials, payloadDigest, signRequest } from '../access/sign.ts'

export type Answer = { status: number; headers: IncomingHttpHeaders; body: Buffer }
type SendOptions = {
  body?: Uint8Array
  headers?: Record<string, string>
  query?: string
  anonymous?: true
  /** the signature covers the body */
  signed?: true
}
export type S3Client = {
  send(method: string, path: string, options?: SendOptions): Promise<Answer>
  put(bucket: string, key: string, body: string | Uint8Array, headers?: Record<string, string>): Promise<Answer>
  get(bucket: string, key: string, headers?: Record<string, string>): Promise<Answer>
  /** reads an object without holding it */
  digest(bucket: string, key: string): Promise<{ status: number; digest: string; size: number }>
  /** all keys of a bucket */
  keys(bucket: string): Promise<string[]>
  close(): void
}

/** @param now - what requests are signed with */
export function s3Client(url: string, credentials: Credentials, now: () => Date = () => new Date()): S3Client {
  const { hostname, port } = new URL(url)
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  const host = `${hostname}:${port}`
  const path = (bucket: string, key: string): string =>
    `/${bucket}/${key
      .split('/')
      .map(part => percentEncode(Buffer.from(part, 'utf8')))
      .join('/')}`
  const start = async (method: string, rawPath: string, options: SendOptions): Promise<IncomingMessage> => {
    const rawQuery = options.query ?? ''
    const extra = Object.entries(options.headers ?? {}).map(([name, value]): [string, string] => [
      name.toLowerCase(),
      value,
    ])
    const head = { method, rawPath, rawQuery, headers: [['host', host] as [string, string], ...extra] }
    const payload = options.signed ? payloadDigest(options.body ?? Buffer.alloc(0)) : 'UNSIGNED-PAYLOAD'
    const signed = options.anonymous
      ? head
      : signRequest(head, credentials, { region: 'us-east-1', time: now(), payload })
    const outgoing = request({
      agent,
      hostname,
      port,
      method,
      path: rawQuery === '' ? rawPath : `${rawPath}?${rawQuery}`,
      headers: {
        ...Object.fromEntries(signed.headers),
        ...(options.body && { 'content-length': String(options.body.length) }),
      },
    })
    // `once` below tells a fault before the answer; one after it (the rest of a refused body) is none
    outgoing.on('error', () => undefined)
    outgoing.end(options.body)
    const [incoming] = await once(outgoing, 'response')
    return incoming
  }
  const client: S3Client = {
    async send(method, rawPath, options = {}) {
      const incoming = await start(method, rawPath, options)
      const chunks: Buffer[] = []
      for await (const chunk of incoming) chunks.push(chunk)
      return { status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks) }
    },
    async digest(bucket, key) {
      const incoming = await start('GET', path(bucket, key), {})
      const hash = createHash('sha256')
      let size = 0
      for await (const chunk of incoming) {
        hash.update(chunk)
        size += chunk.length
      }
      return { status: incoming.statusCode ?? 0, digest: hash.digest('hex'), size }
    },
    put: (bucket, key, body, headers = {}) =>
      client.send('PUT', path(bucket, key), { body: Buffer.from(body), headers }),
    get: (bucket, key, headers = {}) => client.send('GET', path(bucket, key), { headers }),
    async keys(bucket) {
      const all: string[] = []
      for (let token: string | undefined; ; ) {
        const query = `list-type=2&encoding-type=url${token === undefined ? '' : `&continuation-token=${percentEncode(Buffer.from(token))}`}`
        const { status, body } = await client.send('GET', `/${bucket}`, { query })
        const text = body.toString('utf8')
        if (status !== 200) throw new Error(`list: ${status} ${text}`)
        for (const [, key] of text.matchAll(/<Key>([^<]*)<\/Key>/g))
          all.push(decodeURIComponent((key ?? '').replace(/\+/g, ' ')))
        token = /<NextContinuationToken>([^<]*)</.exec(text)?.[1]
        if (token === undefined) return all
      }
    },
    close: () => agent.destroy(),
  }
  return client
}
