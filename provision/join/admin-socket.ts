import { hash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chmod, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { z } from 'zod'
import { AdministrationError, type AdministrationFault } from '../../format/administration.ts'
import { StoreError } from '../../store/object-store.ts'
import { CSV_HEADER, csvLine, type UsageQuery } from '../hosted/usage/report.ts'
import { AdminError, readPage, routerOf } from './admin-router.ts'
import { type AdminDesk, adminRoutes, openApi } from './admin-routes.ts'
import { storeRoute } from './store-routes.ts'

/** `admin.sock` of a running provider (0600), and the same over TCP on loopback for who has a token. Refusals are problem+json (RFC 9457). */
export function adminSocketPath(state: string): string {
  return join(state, 'admin.sock')
}

const BODY_LIMIT = 1 << 16
const text = z.string().max(256)
const time = z.coerce.number().int().min(0)
const usageQuery = z.strictObject({
  from: time,
  to: time,
  account: text.optional(),
  bucket: text.optional(),
  user: text.optional(),
  format: z.enum(['csv', 'json']).default('json'),
})
const STATUS: Record<AdministrationFault, number> = {
  exists: 409,
  'not-found': 404,
  state: 409,
  refused: 422,
  malformed: 400,
  tampered: 500,
  unavailable: 503,
  internal: 500,
}

/** Answers to POSTs that bear a key, so that who repeats one has the same answer. In memory: some are secrets. */
const REPEATED_MAX = 1000
const REPEATED_MS = 3_600_000
type Repeated = { digest: string; until: number; answer: Promise<unknown> }

type Place = { path: string } | { host: string; port: number; isToken: (token: string) => Promise<boolean> }

/** @param place - a socket of the operator's own, or an address where each request must bring a token */
export async function serveAdmin(place: Place, desk: AdminDesk): Promise<{ address: string; close(): Promise<void> }> {
  const routes = adminRoutes()
  const find = routerOf(routes)
  const described = openApi(routes)
  const repeated = new Map<string, Repeated>()

  const onlyOnce = (name: string, body: unknown, work: () => Promise<unknown>): Promise<unknown> => {
    const digest = hash('sha256', JSON.stringify(body ?? null))
    const there = repeated.get(name)
    if (there !== undefined && there.until > Date.now()) {
      if (there.digest === digest) return there.answer
      throw new AdminError(422, 'this idempotency key came with another request')
    }
    const answer = work()
    repeated.set(name, { digest, until: Date.now() + REPEATED_MS, answer })
    // what failed may be tried again
    answer.catch(() => repeated.delete(name))
    const [oldest] = repeated.keys()
    if (repeated.size > REPEATED_MAX && oldest !== undefined) repeated.delete(oldest)
    return answer
  }

  const answer = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    if ('isToken' in place) {
      const token = /^Bearer (\S{1,256})$/.exec(incoming.headers.authorization ?? '')?.[1]
      if (token === undefined || !(await place.isToken(token))) throw new AdminError(401, 'a token is wanted here')
    }
    const url = new URL(incoming.url ?? '/', 'http://admin')
    const line = `${incoming.method} ${url.pathname}`
    if (line === 'GET /openapi.json') return json(outgoing, 200, described)
    if (line === 'GET /v1/usage') return usageLines(desk, url, outgoing)
    // of the operator's own socket alone: a store is added with a file that is read here
    const ofStores = 'path' in place ? storeRoute(line) : null
    if (ofStores !== null) return json(outgoing, 200, await ofStores(desk.dataStores, await bodyOf(incoming)))
    const { route, parameters } = find(incoming.method ?? '', url.pathname)
    const body = route.body === null ? undefined : await bodyOf(incoming)
    const perform = () => route.perform(desk, parameters, body)
    if (route.kind === 'list') return json(outgoing, 200, readPage(await perform(), url.searchParams))
    const key = route.method === 'POST' ? incoming.headers['idempotency-key'] : undefined
    json(
      outgoing,
      200,
      await (typeof key === 'string' ? onlyOnce(`${line} ${key.slice(0, 256)}`, body, perform) : perform()),
    )
  }

  const server = createServer((incoming, outgoing) => {
    outgoing.on('error', () => undefined)
    const requestId = randomUUID()
    outgoing.setHeader('x-request-id', requestId)
    answer(incoming, outgoing).catch((error: unknown) => {
      if (outgoing.headersSent) return outgoing.destroy()
      const { status, detail } = problemOf(error)
      if (status === 401) outgoing.setHeader('www-authenticate', 'Bearer')
      // what was not read is not waited for
      if (!incoming.complete) outgoing.setHeader('connection', 'close')
      json(outgoing, status, { type: 'about:blank', status, detail, instance: `urn:uuid:${requestId}` }, 'problem+json')
    })
  })
  if ('path' in place) {
    await rm(place.path, { force: true })
    server.listen(place.path)
  } else server.listen(place.port, place.host)
  await once(server, 'listening')
  if ('path' in place) await chmod(place.path, 0o600)
  const at = server.address()
  return {
    address:
      at !== null && typeof at === 'object'
        ? `http://${at.address.includes(':') ? `[${at.address}]` : at.address}:${at.port}`
        : String(at),
    async close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** The one table of what went wrong. */
function problemOf(error: unknown): { status: number; detail: string } {
  if (error instanceof AdminError) return { status: error.status, detail: error.message }
  if (error instanceof AdministrationError) return { status: STATUS[error.fault], detail: error.message }
  if (error instanceof StoreError)
    return { status: error.fault === 'busy' || error.fault === 'away' ? 503 : 409, detail: error.message }
  if (error instanceof z.ZodError) return { status: 400, detail: z.prettifyError(error) }
  if (error instanceof RangeError || error instanceof SyntaxError) return { status: 400, detail: error.message }
  return { status: 500, detail: 'it failed inside' }
}

async function usageLines({ usage }: AdminDesk, url: URL, outgoing: ServerResponse): Promise<void> {
  const { format, from, to, ...asked } = usageQuery.parse(Object.fromEntries(url.searchParams))
  const by = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined))
  const query: UsageQuery = { from, to, ...by }
  outgoing.writeHead(200, { 'content-type': format === 'csv' ? 'text/csv; header=present' : 'application/jsonl' })
  const say = async (line: string): Promise<void> => {
    if (!outgoing.write(`${line}\n`)) await once(outgoing, 'drain')
  }
  if (format === 'csv') await say(CSV_HEADER)
  for await (const line of usage.lines(query)) await say(format === 'csv' ? csvLine(line) : JSON.stringify(line))
  outgoing.end()
}

function json(outgoing: ServerResponse, status: number, value: unknown, type = 'json'): void {
  outgoing.writeHead(status, { 'content-type': `application/${type}` }).end(JSON.stringify(value))
}

async function bodyOf(incoming: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming) {
    size += chunk.length
    if (size > BODY_LIMIT) throw new AdminError(413, `a request has at most ${BODY_LIMIT} bytes`)
    chunks.push(chunk)
  }
  return size === 0 ? null : JSON.parse(Buffer.concat(chunks).toString('utf8'))
}

/** @returns null: nobody listens there */
export async function askAdmin(
  socket: string,
  method: 'GET' | 'PUT' | 'POST' | 'DELETE',
  path: string,
  value?: object,
): Promise<IncomingMessage | null> {
  const bytes = Buffer.from(value === undefined ? '' : JSON.stringify(value))
  // said outright: of a DELETE it would not be said otherwise
  const asking = request({ socketPath: socket, method, path, headers: { 'content-length': bytes.length } })
  asking.end(bytes)
  try {
    const [found] = (await once(asking, 'response')) as [IncomingMessage]
    return found
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return null
    throw error
  }
}
