import { once } from 'node:events'
import { type IncomingHttpHeaders, type IncomingMessage, Agent as PlainAgent, request as requestPlain } from 'node:http'
import { request as requestTls, Agent as TlsAgent } from 'node:https'
import { setTimeout as wait } from 'node:timers/promises'
import { percentEncode, sha256Hex } from '../../access/canonical.ts'
import { signRequest } from '../../access/sign.ts'
import { StoreError } from '../object-store.ts'
import { parseRemoteFault } from './documents.ts'
import { type RemoteOptions, USUAL_PATIENCE } from './remote-settings.ts'

export type RemoteRequest = {
  method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'
  /** behind the prefix; absent: the bucket */
  key?: string
  query?: readonly (readonly [string, string])[]
  headers?: Record<string, string>
  body?: { pieces: readonly Uint8Array[]; size: number; sha256: string }
  /** of an answer's body, in bytes */
  most: number
}
export type RemoteAnswer = {
  status: number
  headers: IncomingHttpHeaders
  body: Buffer
  /** of an answer that is a fault */
  code: string
  /** attempts that went before */
  tried: number
}

export type Endpoint = {
  /**
   * Asks till there is an answer that is no fault of the moment. Everything asked must be fit to be asked twice.
   * @throws StoreError "away" - none came; "damaged" - an answer longer than can be
   */
  ask(request: RemoteRequest): Promise<RemoteAnswer>
  /** What an answer that nothing can be done with is called. */
  refused(what: string, answer: RemoteAnswer): StoreError
  close(): void
}

const PASSING = new Set([408, 425, 429, 500, 502, 503, 504])
const PASSING_CODES = new Set(['RequestTimeout', 'SlowDown', 'InternalError', 'ServiceUnavailable'])
const NOTHING = sha256Hex('')
const FAULT_MOST = 64 << 10

export function openEndpoint(options: RemoteOptions): Endpoint {
  const { name, settings, credentials, clock, patience = USUAL_PATIENCE } = options
  const url = new URL(settings.url)
  const tls = url.protocol === 'https:'
  const agent = new (tls ? TlsAgent : PlainAgent)({ keepAlive: true, maxSockets: 64 })
  const closing = new AbortController()
  const start = tls ? requestTls : requestPlain

  async function attempt(asked: RemoteRequest): Promise<Omit<RemoteAnswer, 'tried'>> {
    const { method, key, query = [], headers = {}, body } = asked
    const text = key === undefined ? settings.bucket : `${settings.bucket}/${settings.prefix}${key}`
    const rawPath = `/${percentEncode(Buffer.from(text, 'utf8'), { path: true })}`
    const rawQuery = query.map(pair => pair.map(each => percentEncode(Buffer.from(each, 'utf8'))).join('=')).join('&')
    const sent = {
      host: url.host,
      ...((method === 'PUT' || method === 'POST') && { 'content-length': String(body?.size ?? 0) }),
      ...headers,
    }
    const head = { method, rawPath, rawQuery, headers: Object.entries(sent) }
    const { region } = settings
    const signed = signRequest(head, credentials, { region, time: clock(), payload: body?.sha256 ?? NOTHING })
    const bytes = (body?.size ?? 0) + asked.most
    // an upload is put together before it is answered
    const slowness = method === 'POST' ? 6 : 1
    const longest = slowness * patience.tryMs + Math.ceil((bytes / patience.leastBytesPerSecond) * 1000)
    const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(longest)])
    const outgoing = start({
      agent,
      signal,
      timeout: slowness * patience.idleMs,
      protocol: url.protocol,
      hostname: url.hostname.replace(/^\[|\]$/g, ''),
      ...(url.port !== '' && { port: url.port }),
      method,
      path: rawQuery === '' ? rawPath : `${rawPath}?${rawQuery}`,
      headers: Object.fromEntries(signed.headers),
    })
    outgoing.on('timeout', () => outgoing.destroy(new Error(`nothing came for ${slowness * patience.idleMs} ms`)))
    // `once` tells a fault before the answer; one after it (the rest of a refused body) is none
    outgoing.on('error', () => undefined)
    const answered = once(outgoing, 'response')
    let early = false
    answered.then(
      () => {
        early = true
      },
      () => undefined,
    )
    for (const piece of body?.pieces ?? []) {
      // answered before it had all: refused, most likely
      if (early) break
      // a slow endpoint is waited for; one that is gone ends the waiting
      if (!outgoing.write(piece)) await Promise.race([once(outgoing, 'drain'), answered])
    }
    // what was answered early has its connection cut, below
    if (!early) outgoing.end()
    const [incoming] = (await answered) as [IncomingMessage]
    const status = incoming.statusCode ?? 0
    const good = status >= 200 && status < 300
    const held = await readAnswer(incoming, good ? asked.most : FAULT_MOST)
    if (!outgoing.writableEnded) outgoing.destroy()
    if (held === null && good) {
      throw new StoreError('damaged', `data store ${name} answers ${method} with more than there can be`)
    }
    // the end of an upload may be answered with 200 and a fault
    const code = held === null || (good && method !== 'POST') ? '' : parseRemoteFault(held)
    return { status, headers: incoming.headers, body: held ?? Buffer.alloc(0), code }
  }

  return {
    async ask(asked) {
      for (let tried = 0; ; tried++) {
        let why: string
        try {
          const answer = await attempt(asked)
          if (!PASSING.has(answer.status) && !PASSING_CODES.has(answer.code)) return { ...answer, tried }
          why = `it answers ${answer.status} ${answer.code}`
        } catch (error) {
          // ours, and not the network's
          if (error instanceof StoreError || error instanceof RangeError || error instanceof TypeError) throw error
          why = error instanceof Error ? error.message : String(error)
        }
        if (tried + 1 >= patience.attempts || closing.signal.aborted)
          throw new StoreError('away', `data store ${name} is away (${asked.method}, ${tried + 1} attempts): ${why}`)
        // full jitter: those that failed together do not come back together
        await wait(Math.random() * Math.min(patience.longestWaitMs, patience.firstWaitMs * 2 ** tried), null, {
          signal: closing.signal,
        }).catch(() => undefined)
      }
    },
    refused: (what, { status, code }) =>
      new StoreError('damaged', `data store ${name} refuses to ${what}: ${status} ${code}`.trimEnd()),
    close() {
      closing.abort()
      agent.destroy()
    },
  }
}

/** @returns null: longer than `most`; what is left is not read, and the connection goes with it */
async function readAnswer(incoming: IncomingMessage, most: number): Promise<Buffer | null> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming) {
    size += chunk.length
    if (size > most) {
      incoming.destroy()
      return null
    }
    chunks.push(chunk)
  }
  const [only] = chunks
  return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks)
}
