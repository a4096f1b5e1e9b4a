import { once } from 'node:events'
import {
  createServer as createHttp,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http'
import { createServer as createHttps } from 'node:https'
import type { AddressInfo } from 'node:net'
import { leaveBody } from '../object-store.ts'
import { doneWith } from '../own-body.ts'
import type { Face } from './face.ts'
import type { S3Request, S3Response } from './message.ts'
import { requestBody } from './request-body.ts'

export type ListenOptions = {
  face: Face
  host: string
  /** 0: any free one */
  port: number
  /** PEM; absent: plain HTTP */
  tls?: { cert: string | Buffer; key: string | Buffer }
  /** a body that brings, or a reader that takes, nothing for this long is cut; default 60 */
  idleSeconds?: number
  /** a body slower than this over 60 seconds is cut, time spent on our side not counted; default 1024 */
  leastBytesPerSecond?: number
}

export type Listener = {
  port: number
  url: string
  /** Takes no new request, lets those under way end, cuts them after `graceSeconds` (default 10). May be called twice. */
  close(options?: { graceSeconds: number }): Promise<void>
}

const server: ServerOptions = {
  // node's own limit of 300 s would cut long uploads; idle and minimum rate are watched below instead
  requestTimeout: 0,
  headersTimeout: 60_000,
  keepAliveTimeout: 65_000,
  maxHeaderSize: 32 * 1024,
}
/** What is left of a refused upload is read this far, so that the client sees the answer and not a reset. */
const drainBytes = 1024 * 1024
const drainMilliseconds = 2000

export async function listen(options: ListenOptions): Promise<Listener> {
  const http = options.tls ? createHttps({ ...server, ...options.tls }) : createHttp(server)
  const onRequest = (request: IncomingMessage, response: ServerResponse, continues: boolean) => {
    serve(options, request, response, continues).catch(() => response.end(() => request.destroy()))
  }
  http.on('request', (request, response) => onRequest(request, response, false))
  // 100 Continue is sent when the handler first asks for the body: a refused upload is refused before its bytes
  http.on('checkContinue', (request, response) => onRequest(request, response, true))
  http.listen(options.port, options.host)
  await once(http, 'listening')
  const { port } = http.address() as AddressInfo
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  let closing: Promise<void> | undefined
  return {
    port,
    url: `${options.tls ? 'https' : 'http'}://${host}:${port}`,
    close(close) {
      closing ??= shut(http, close?.graceSeconds ?? 10)
      return closing
    },
  }
}

async function shut(http: Server, graceSeconds: number): Promise<void> {
  const closed = once(http, 'close')
  http.close()
  http.closeIdleConnections()
  const timer = setTimeout(() => http.closeAllConnections(), graceSeconds * 1000)
  // connections whose last answer went out after the close fall idle one by one
  const sweep = setInterval(() => http.closeIdleConnections(), 50)
  await closed
  clearTimeout(timer)
  clearInterval(sweep)
}

async function serve(options: ListenOptions, request: IncomingMessage, response: ServerResponse, continues: boolean) {
  const url = request.url ?? '/'
  const cut = url.indexOf('?')
  const limits = {
    idleMs: (options.idleSeconds ?? 60) * 1000,
    leastBytesPerSecond: options.leastBytesPerSecond ?? 1024,
  }
  const headers: [string, string][] = []
  for (let at = 0; at + 1 < request.rawHeaders.length; at += 2) {
    headers.push([request.rawHeaders[at] ?? '', request.rawHeaders[at + 1] ?? ''])
  }
  const message: S3Request = {
    method: request.method ?? 'GET',
    rawPath: cut < 0 ? url : url.slice(0, cut),
    rawQuery: cut < 0 ? '' : url.slice(cut + 1),
    headers,
    body: requestBody(request, limits, continues ? () => response.writeContinue() : () => undefined),
    ...(request.socket.remoteAddress && { remote: request.socket.remoteAddress }),
  }
  const answer = await options.face(message)
  await send(options, request, response, answer)
}

async function send(options: ListenOptions, request: IncomingMessage, response: ServerResponse, answer: S3Response) {
  // what the client still sends belongs to no later request
  if (!request.complete) response.shouldKeepAlive = false
  try {
    response.writeHead(answer.status, wireHeaders(request, answer))
  } catch (error) {
    // a header value no wire can carry: the body is left unread, the caller gets a bare 500
    if (answer.body !== null && !(answer.body instanceof Uint8Array)) await leaveBody(answer.body)
    response.writeHead(500).end()
    throw error
  }
  const { body } = answer
  try {
    if (body === null || body instanceof Uint8Array) {
      response.end(body ?? undefined, answer.sent)
      // most answers leave at once; what a slow client holds up is watched as a stream's pieces are
      if (request.socket.writableLength > 0) await taken(options, response, 'finish')
    } else {
      for await (const chunk of body) {
        if (response.write(chunk)) continue
        await taken(options, response, 'drain')
        // all that was written is with the kernel now
        doneWith(body, chunk)
      }
      response.end()
    }
  } catch (error) {
    // the head is out: only a broken connection still says that the body is not whole
    response.destroy()
    throw error
  }
  if (!request.complete) await drain(request)
}

function wireHeaders(request: IncomingMessage, { status, headers, body }: S3Response): string[] {
  const flat = headers.flat()
  if (body instanceof Uint8Array) flat.push('content-length', String(body.length))
  else if (body === null && status !== 204 && status !== 304 && request.method !== 'HEAD')
    flat.push('content-length', '0')
  return flat
}

/** Resolves when the client has taken what was written; rejects when it takes nothing for too long, or is gone. */
function taken(options: ListenOptions, response: ServerResponse, sign: 'drain' | 'finish'): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const stalled = () => reject(new Error('the client takes nothing'))
  const gone = (cause?: unknown) => reject(new Error('the client is gone', { cause }))
  const timer = setTimeout(stalled, (options.idleSeconds ?? 60) * 1000)
  response.once(sign, resolve).once('close', gone).once('error', gone)
  if (response.writableFinished) resolve()
  else if (response.destroyed) gone()
  return promise.finally(() => {
    clearTimeout(timer)
    response.off(sign, resolve).off('close', gone).off('error', gone)
  })
}

async function drain(request: IncomingMessage): Promise<void> {
  let left = drainBytes
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) request.destroy()
  })
  request.resume()
  const timer = setTimeout(() => request.destroy(), drainMilliseconds)
  request.once('close', () => clearTimeout(timer))
}
