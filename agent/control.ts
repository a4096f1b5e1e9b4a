import { once } from 'node:events'
import { chmod, rm } from 'node:fs/promises'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { exitCode, messageOf } from './exit.ts'
import { AgentError } from './fault.ts'

/**
 * The CLI speaks to a running `serve` over `control.sock` in the state directory: JSON lines. One request a connection; the answer is
 * any number of `progress` lines and one `ok` or `fault` line. Whoever may open the socket (0600) may command the device.
 */
export type ControlRequest = { command: string; args: Record<string, unknown> }
export type ControlAnswer = { progress: unknown } | { ok: unknown } | { fault: { exit: number; message: string } }

/** Does one command; `progress` may be called as often as it likes. */
export type Commander = (
  request: ControlRequest,
  progress: (value: unknown) => void,
  signal: AbortSignal,
) => Promise<unknown>

const LINE_LIMIT = 1 << 20

export function controlPath(stateDirectory: string): string {
  return join(stateDirectory, 'control.sock')
}

export async function serveControl(
  stateDirectory: string,
  commander: Commander,
): Promise<{ close: () => Promise<void> }> {
  const path = controlPath(stateDirectory)
  // the state directory is locked by this process: a socket that is there is a dead one's
  await rm(path, { force: true })
  const sockets = new Set<Socket>()
  const server: Server = createServer(socket => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    void answer(socket, commander)
  })
  server.listen(path)
  await once(server, 'listening')
  await chmod(path, 0o600)
  return {
    async close() {
      const closed = new Promise<void>(resolve => server.close(() => resolve()))
      for (const socket of sockets) socket.end()
      await closed
    },
  }
}

async function answer(socket: Socket, commander: Commander): Promise<void> {
  const gone = new AbortController()
  socket.once('close', () => gone.abort())
  const say = (line: ControlAnswer): void => {
    if (socket.writable) socket.write(`${JSON.stringify(line)}\n`)
  }
  try {
    const request = parseRequest(await firstLine(socket))
    say({ ok: (await commander(request, value => say({ progress: value }), gone.signal)) ?? null })
  } catch (error) {
    say({ fault: { exit: exitCode(error), message: messageOf(error) } })
  }
  socket.end()
}

async function firstLine(socket: Socket): Promise<string> {
  let held = ''
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    held += String(chunk)
    const end = held.indexOf('\n')
    if (end >= 0) return held.slice(0, end)
    if (held.length > LINE_LIMIT) throw new AgentError('usage', 'control request: too long')
  }
  throw new AgentError('usage', 'control request: cut short')
}

function parseRequest(line: string): ControlRequest {
  const value: unknown = JSON.parse(line)
  if (value === null || typeof value !== 'object' || !('command' in value) || typeof value.command !== 'string')
    throw new AgentError('usage', 'control request: wanted {"command": …, "args": {…}}')
  const args = 'args' in value && value.args !== null && typeof value.args === 'object' ? { ...value.args } : {}
  return { command: value.command, args }
}

/** The fault that a running agent answered with, its exit code kept. */
export class RemoteFault extends Error {
  override readonly name = 'RemoteFault'
  readonly exit: number

  constructor(exit: number, message: string) {
    super(message)
    this.exit = exit
  }
}

/**
 * Asks the running agent; null when none runs.
 * @throws RemoteFault - what the agent answered
 */
export async function askAgent(
  stateDirectory: string,
  request: ControlRequest,
  progress: (value: unknown) => void,
): Promise<{ answer: unknown } | null> {
  const socket = createConnection(controlPath(stateDirectory))
  try {
    await once(socket, 'connect')
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ECONNREFUSED'))
      return null
    throw error
  }
  socket.write(`${JSON.stringify(request)}\n`)
  try {
    for await (const line of createInterface({ input: socket })) {
      const value = JSON.parse(line) as ControlAnswer
      if ('progress' in value) progress(value.progress)
      else if ('ok' in value) return { answer: value.ok }
      else throw new RemoteFault(value.fault.exit, value.fault.message)
    }
  } finally {
    socket.destroy()
  }
  throw new AgentError('absent', 'the running agent went away before it answered')
}
