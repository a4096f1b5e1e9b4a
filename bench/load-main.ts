/** The process that makes the load: an order on stdin, `ready` when every request is made, `go`, then the result on stdout. */
import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import { signRequest } from '../access/sign.ts'
import { openConnection } from './connection.ts'
import type { LoadOrder, LoadResult } from './load.ts'

const PIECE_BYTES = 1 << 20

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const order = JSON.parse((await input.next()).value ?? '') as LoadOrder
const heads = order.keys.map(key => requestHead(order, key))
const body = order.method === 'PUT' ? randomBytes(Math.min(order.bodyBytes, PIECE_BYTES)) : null
const connections = await Promise.all(Array.from({ length: order.connections }, () => openConnection(order.port)))
process.stdout.write('ready\n')
await input.next()

const result: LoadResult = { seconds: 0, answered: 0, failed: 0, firstFailure: null, bytes: 0, medianMs: 0, p99Ms: 0 }
const times = new Float64Array(heads.length)
const fail = (why: string): void => {
  result.failed++
  result.firstFailure ??= why
}
const from = performance.now()
await Promise.all(
  connections.map(async (connection, lane) => {
    for (let at = lane; at < heads.length; at += connections.length) {
      const head = heads[at]
      if (head === undefined) return
      const began = performance.now()
      try {
        const { status, bytes, text } = await connection.send(head, body, order.bodyBytes)
        times[result.answered++] = performance.now() - began
        result.bytes += bytes
        if (status !== 200 && status !== 201 && status !== 204) fail(`${status} ${text}`)
      } catch (error) {
        // a broken connection answers nothing more: its other requests fail with it
        fail(error instanceof Error ? error.message : String(error))
        return
      }
    }
  }),
)
result.seconds = (performance.now() - from) / 1000
const sorted = times.subarray(0, result.answered).sort()
result.medianMs = sorted[Math.floor(sorted.length / 2)] ?? 0
result.p99Ms = sorted[Math.floor(sorted.length * 0.99)] ?? 0
for (const connection of connections) connection.close()
process.stdout.write(`${JSON.stringify(result)}\n`)
process.exit()

/** Signed, the payload not: what a client sends that leaves the digest of the body out. */
function requestHead({ method, port, bucket, bodyBytes, credentials }: LoadOrder, key: string): Buffer {
  const signed = signRequest(
    { method, rawPath: `/${bucket}/${key}`, rawQuery: '', headers: [['host', `127.0.0.1:${port}`]] },
    credentials,
    { region: 'us-east-1', time: new Date(), payload: 'UNSIGNED-PAYLOAD' },
  )
  const headers = [...signed.headers, ...(method === 'PUT' ? [['content-length', String(bodyBytes)]] : [])]
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return Buffer.from(`${method} ${signed.rawPath} HTTP/1.1\r\n${lines}\r\n`, 'latin1')
}
