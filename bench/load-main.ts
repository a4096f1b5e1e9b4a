/** The process that makes the load: an order on stdin, `ready` when every request is made, `go`, then the result on stdout. */
import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import { crc32c } from '@node-rs/crc32'
import { openConnection } from './connection.ts'
import { type LoadOrder, type LoadResult, requestHead } from './requests.ts'

const PIECE_BYTES = 1 << 20

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const order = JSON.parse((await input.next()).value ?? '') as LoadOrder
const body = order.method === 'PUT' ? randomBytes(Math.min(order.bodyBytes, PIECE_BYTES)) : null
const checksum = body === null ? null : checksumOf(body, order.bodyBytes)
const heads = order.keys.map(key => {
  const target = { method: order.method, rawPath: `/${order.bucket}/${key}`, rawQuery: '' }
  return requestHead(order, target, order.bodyBytes, checksum)
})
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
      const began = performance.now()
      if (head === undefined || began - from > order.mostSeconds * 1000) return
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

/** CRC-32C of the piece over and over, as far as the body goes. */
function checksumOf(piece: Buffer, bytes: number): string {
  let sum = 0
  for (let left = bytes; left > 0; left -= piece.length) sum = crc32c(piece.subarray(0, left), sum)
  const value = Buffer.alloc(4)
  value.writeUInt32BE(sum >>> 0)
  return value.toString('base64')
}
