import { once } from 'node:events'
import { chmodSync, rmSync } from 'node:fs'
import { createConnection, createServer, type Socket } from 'node:net'
import type { Calls, Codec } from '../../../format/codec.ts'
import { FormatError } from '../../../format/fault.ts'
import { gathered } from '../../../format/gathered.ts'
import { decodeCall, encodeAnswer, frameCutter } from '../../../format/message-frame.ts'

export type CallServer = { close(): Promise<void> }
export type FaultOf = (error: unknown) => { fault: string; message: string }

const CONNECTIONS_MAX = 64
/** Per connection: beyond either, nothing more is read from it until answers have left. */
const CALLS_MAX = 1024
const CALL_BYTES_MAX = 64 << 20

/**
 * Serves an interface on a Unix socket, 0600. A connection that speaks out of form is closed; a call that asks out of form is answered
 * with the fault that `faultOf` gives for a FormatError.
 *
 * @throws Error code EADDRINUSE - another process serves there
 */
export async function serveCalls<Contract extends object>(
  path: string,
  calls: Calls<Contract>,
  contract: Contract,
  faultOf: FaultOf,
): Promise<CallServer> {
  await removeStale(path)
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    serveConnection(socket, calls, contract, faultOf)
  })
  server.maxConnections = CONNECTIONS_MAX
  server.listen(path)
  await once(server, 'listening')
  chmodSync(path, 0o600)
  return {
    async close() {
      for (const socket of sockets) socket.destroy()
      if (!server.listening) return
      server.close()
      await once(server, 'close')
    },
  }
}

/** One connection, on whatever it goes. */
export function serveConnection<Contract extends object>(
  socket: Socket,
  calls: Calls<Contract>,
  contract: Contract,
  faultOf: FaultOf,
): void {
  const cut = frameCutter()
  const send = gathered(socket)
  let running = 0
  let runningBytes = 0
  const answer = async (body: Buffer): Promise<void> => {
    running++
    runningBytes += body.length
    if (running >= CALLS_MAX || runningBytes >= CALL_BYTES_MAX) socket.pause()
    try {
      const { number, call, ask } = decodeCall(body)
      const reply = await perform(call, ask).then(
        result => encodeAnswer({ number, result }),
        error => encodeAnswer({ number, ...faultOf(error) }),
      )
      if (!socket.destroyed) send(reply)
    } catch {
      socket.destroy() // not a call at all
    } finally {
      running--
      runningBytes -= body.length
      if (socket.isPaused() && running < CALLS_MAX / 2 && runningBytes < CALL_BYTES_MAX / 2) socket.resume()
    }
  }
  const perform = async (name: string, ask: Parameters<Codec<unknown>['take']>[0]) => {
    const codecs = Object.hasOwn(calls, name) ? (Reflect.get(calls, name) as Codecs) : undefined
    if (codecs === undefined) throw new FormatError('malformed', 'no such call')
    const verb = Reflect.get(contract, name) as (...given: unknown[]) => Promise<unknown>
    return codecs.answer.encode(await verb(...codecs.ask.take(ask, name)))
  }
  socket.on('data', (chunk: Buffer) => {
    try {
      for (const body of cut(chunk)) void answer(body)
    } catch {
      socket.destroy() // announced more than the bound
    }
  })
  socket.on('error', () => socket.destroy())
}

type Codecs = { ask: Codec<unknown[]>; answer: Codec<unknown> }

/** A socket file stays behind a process that was killed; one where somebody answers is in use. */
async function removeStale(path: string): Promise<void> {
  const probe = createConnection(path)
  try {
    await once(probe, 'connect')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code !== 'ENOENT' && code !== 'ECONNREFUSED') throw error
    rmSync(path, { force: true })
    return
  } finally {
    probe.destroy()
  }
  throw Object.assign(new Error(`${path}: another process serves there`), { code: 'EADDRINUSE' })
}
