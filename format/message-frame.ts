import { asBuffer } from './bytes.ts'
import { type CborValue, decodeCbor, encodeCbor, Fields } from './cbor.ts'
import { FormatError } from './fault.ts'

/**
 * Messages on a local socket: BE32 length ‖ deterministic CBOR. A request is {n, m, p}: number, call, arguments; its answer
 * {n, r} or {n, f, e}: result, or fault and message. Answers come in any order. @see FORMAT.md §13
 */
export const MESSAGE_BYTES_LIMIT = 32 << 20
const LENGTH_BYTES = 4

export type CallMessage = { number: number; call: string; ask: CborValue }
export type AnswerMessage = { number: number; result: CborValue } | { number: number; fault: string; message: string }

function framed(value: CborValue): Buffer {
  const body = encodeCbor(value)
  if (body.length > MESSAGE_BYTES_LIMIT) throw new FormatError('limit', `message: ${body.length} bytes`)
  const head = Buffer.alloc(LENGTH_BYTES)
  head.writeUInt32BE(body.length)
  return Buffer.concat([head, body])
}

export function encodeCall(message: CallMessage): Buffer {
  return framed({ n: message.number, m: message.call, p: message.ask })
}

export function decodeCall(body: Uint8Array): CallMessage {
  const fields = new Fields(decodeCbor(body, MESSAGE_BYTES_LIMIT, 'call'), 'call')
  const out = { number: fields.count('n'), call: fields.text('m', 64), ask: fields.take('p') }
  fields.end()
  return out
}

export function encodeAnswer(message: AnswerMessage): Buffer {
  return framed(
    'fault' in message
      ? { n: message.number, f: message.fault, e: message.message.slice(0, 4096) }
      : { n: message.number, r: message.result },
  )
}

export function decodeAnswer(body: Uint8Array): AnswerMessage {
  const fields = new Fields(decodeCbor(body, MESSAGE_BYTES_LIMIT, 'answer'), 'answer')
  const number = fields.count('n')
  const out = fields.has('f')
    ? { number, fault: fields.text('f', 64), message: fields.text('e', 16 << 10) }
    : { number, result: fields.take('r') }
  fields.end()
  return out
}

/**
 * Cuts a stream into message bodies. The length is judged before anything is kept for it.
 * @throws FormatError "limit" - a message above the bound; the stream is of no use after it
 */
export function frameCutter(): (chunk: Uint8Array) => Buffer[] {
  let held: Buffer[] = []
  let heldBytes = 0
  let wanted: number | null = null
  const take = (length: number): Buffer => {
    const all = held.length === 1 ? (held[0] ?? Buffer.alloc(0)) : Buffer.concat(held)
    held = all.length > length ? [all.subarray(length)] : []
    heldBytes = all.length - length
    return all.subarray(0, length)
  }
  return chunk => {
    held.push(asBuffer(chunk))
    heldBytes += chunk.length
    const out: Buffer[] = []
    for (;;) {
      if (wanted === null) {
        if (heldBytes < LENGTH_BYTES) return out
        wanted = take(LENGTH_BYTES).readUInt32BE(0)
        if (wanted > MESSAGE_BYTES_LIMIT)
          throw new FormatError('limit', `message: at most ${MESSAGE_BYTES_LIMIT} bytes, announced ${wanted}`)
      }
      if (heldBytes < wanted) return out
      out.push(take(wanted))
      wanted = null
    }
  }
}
