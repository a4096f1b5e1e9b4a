/** One kept-alive HTTP/1.1 connection, one request at a time, with no more parsing than a status and a length need. */
import { connect, type Socket } from 'node:net'

export type Reply = { status: number; bytes: number; text: string }
export type Connection = {
  send(head: Buffer, body: Buffer | null, bodyBytes: number): Promise<Reply>
  close(): void
}

const TEXT_KEPT = 300
const HEAD_END = Buffer.from('\r\n\r\n')

export async function openConnection(port: number): Promise<Connection> {
  const socket = connect(port, '127.0.0.1')
  socket.setNoDelay(true)
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  let waiting: { resolve: (reply: Reply) => void; reject: (error: Error) => void } | null = null
  let head: Buffer | null = Buffer.alloc(0)
  let reply: Reply = { status: 0, bytes: 0, text: '' }
  let left = 0
  const fail = (error: Error): void => {
    waiting?.reject(error)
    waiting = null
  }
  const takeBody = (chunk: Buffer): void => {
    left -= chunk.length
    reply.bytes += chunk.length
    if (reply.status >= 300 && reply.text.length < TEXT_KEPT) reply.text += chunk.toString('utf8', 0, TEXT_KEPT)
    if (left > 0) return
    head = Buffer.alloc(0)
    const done = waiting
    waiting = null
    if (left < 0) done?.reject(new Error('more came than was announced'))
    else done?.resolve(reply)
  }
  socket.on('data', (chunk: Buffer) => {
    if (head === null) return takeBody(chunk)
    head = head.length === 0 ? chunk : Buffer.concat([head, chunk])
    const end = head.indexOf(HEAD_END)
    if (end < 0) return
    const text = head.toString('latin1', 0, end)
    const rest = head.subarray(end + HEAD_END.length)
    const status = Number(text.slice(9, 12))
    const length = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1]
    if (length === undefined && status !== 204)
      return fail(new Error(`an answer without a length: ${text.slice(0, TEXT_KEPT)}`))
    reply = { status, bytes: 0, text: '' }
    left = Number(length ?? 0)
    head = null
    takeBody(rest)
  })
  socket.on('error', fail)
  socket.on('close', () => fail(new Error('the connection was closed')))
  return {
    send(requestHead, body, bodyBytes) {
      return new Promise((resolve, reject) => {
        waiting = { resolve, reject }
        socket.cork()
        socket.write(requestHead)
        if (body !== null && bodyBytes <= body.length) socket.write(body.subarray(0, bodyBytes))
        socket.uncork()
        if (body !== null && bodyBytes > body.length) stream(socket, body, bodyBytes).catch(reject)
      })
    },
    close: () => socket.destroy(),
  }
}

/** The same piece again and again, as fast as it is taken. */
async function stream(socket: Socket, piece: Buffer, bytes: number): Promise<void> {
  for (let left = bytes; left > 0; left -= piece.length) {
    if (socket.destroyed) return
    if (!socket.write(left < piece.length ? piece.subarray(0, left) : piece))
      await new Promise<void>(resolve => {
        const go = (): void => {
          socket.off('drain', go)
          socket.off('close', go)
          resolve()
        }
        socket.once('drain', go)
        socket.once('close', go)
      })
  }
}
