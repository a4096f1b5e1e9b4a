import { once } from 'node:events'
import { chmod, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { z } from 'zod'
import type { Hosted } from '../hosted/serve.ts'
import { DIMENSIONS, PERIODS, type Quota, SCOPES } from '../hosted/usage/dimension.ts'
import { CSV_HEADER, csvLine, type UsageQuery } from '../hosted/usage/report.ts'
import { storeRoute } from './store-routes.ts'

/**
 * `usage.sock` of a running provider (0600), for its operator. Data stores: `store-routes.ts`. `GET /quotas`, `PUT /quotas`, `DELETE /quotas` with JSON; `GET /usage?from&to&account&bucket&user`
 * with `&format=csv` or lines of JSON. A refusal is `{"message": …}`.
 */
export function usageSocketPath(state: string): string {
  return join(state, 'usage.sock')
}

const BODY_LIMIT = 1 << 16
const name = z.string().max(256)
const quotaKey = z.strictObject({
  scope: z.enum(SCOPES),
  id: name,
  dimension: z.enum(DIMENSIONS),
  period: z.enum(PERIODS),
})
const quota = quotaKey.extend({ amount: z.number().int().min(0) })
const time = z.coerce.number().int().min(0)
const query = z.strictObject({
  from: time,
  to: time,
  account: name.optional(),
  bucket: name.optional(),
  user: name.optional(),
  format: z.enum(['csv', 'json']).default('json'),
})

export async function serveUsage(
  socket: string,
  hosted: Pick<Hosted, 'usage' | 'dataStores'>,
): Promise<{ close(): Promise<void> }> {
  await rm(socket, { force: true })
  const server = createServer((incoming, outgoing) => {
    outgoing.on('error', () => undefined)
    answer(hosted, incoming, outgoing).catch((error: unknown) => {
      const wrong = error instanceof RangeError || error instanceof z.ZodError || error instanceof SyntaxError
      const message = error instanceof z.ZodError ? z.prettifyError(error) : String((error as Error).message)
      if (!outgoing.headersSent) json(outgoing, wrong ? 400 : 500, { message })
      else outgoing.destroy()
    })
  })
  server.listen(socket)
  await once(server, 'listening')
  await chmod(socket, 0o600)
  return {
    async close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

async function answer(
  { usage, dataStores }: Pick<Hosted, 'usage' | 'dataStores'>,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const url = new URL(incoming.url ?? '/', 'http://usage')
  switch (`${incoming.method} ${url.pathname}`) {
    case 'GET /quotas':
      return json(outgoing, 200, { quotas: usage.quotas.list() })
    case 'PUT /quotas': {
      const asked: Quota = quota.parse(await body(incoming))
      await usage.quotas.set(asked)
      return json(outgoing, 200, asked)
    }
    case 'DELETE /quotas':
      return json(outgoing, 200, { removed: await usage.quotas.remove(quotaKey.parse(await body(incoming))) })
    case 'GET /usage': {
      const { format, ...asked } = query.parse(Object.fromEntries(url.searchParams))
      return lines(usage, asked, format, outgoing)
    }
  }
  const route = storeRoute(`${incoming.method} ${url.pathname}`)
  if (route !== null) return json(outgoing, 200, await route(dataStores, await body(incoming)))
  json(outgoing, 404, { message: `there is no ${incoming.method} ${url.pathname} here` })
}

async function lines(
  usage: Hosted['usage'],
  asked: { [Name in keyof UsageQuery]: UsageQuery[Name] | undefined },
  format: 'csv' | 'json',
  outgoing: ServerResponse,
): Promise<void> {
  const { from = 0, to = 0, account, bucket, user } = asked
  const by = {
    ...(account !== undefined && { account }),
    ...(bucket !== undefined && { bucket }),
    ...(user !== undefined && { user }),
  }
  outgoing.writeHead(200, { 'content-type': format === 'csv' ? 'text/csv; header=present' : 'application/jsonl' })
  const say = async (line: string): Promise<void> => {
    if (!outgoing.write(`${line}\n`)) await once(outgoing, 'drain')
  }
  if (format === 'csv') await say(CSV_HEADER)
  for await (const line of usage.lines({ from, to, ...by }))
    await say(format === 'csv' ? csvLine(line) : JSON.stringify(line))
  outgoing.end()
}

function json(outgoing: ServerResponse, status: number, value: object): void {
  outgoing.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}

async function body(incoming: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming) {
    size += chunk.length
    if (size > BODY_LIMIT) throw new RangeError('the request is too long')
    chunks.push(chunk)
  }
  return size === 0 ? null : JSON.parse(Buffer.concat(chunks).toString('utf8'))
}

/** @returns null: nobody listens there */
export async function askUsage(
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
