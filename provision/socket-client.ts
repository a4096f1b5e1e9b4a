import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { type CallClient, callClient, type FaultReader } from '../format/call-client.ts'
import type { Calls } from '../format/codec.ts'

/**
 * An interface of the keystore at a socket: connected at the first call, and again at the first call after the keystore was started anew.
 * Calls under way when it dies fail as `gone` says; none is repeated here.
 */
export function openCalls<Contract extends object>(
  path: string,
  calls: Calls<Contract>,
  faultOf: FaultReader,
  gone: (cause?: unknown) => Error,
): Contract & { close(): void } {
  let connecting: Promise<CallClient<Contract>> | null = null
  let held: CallClient<Contract> | null = null
  let closed = false
  const connect = async (): Promise<CallClient<Contract>> => {
    try {
      const socket = await connectSocket(path, gone)
      held = callClient(socket, calls, faultOf, gone)
      if (closed) held.close()
      return held
    } catch (error) {
      connecting = null
      throw error
    }
  }
  // decided without waiting: calls that come together share one connection
  const client = (): Promise<CallClient<Contract>> => {
    if (closed) return Promise.reject(gone())
    if (held?.ended) {
      held = null
      connecting = null
    }
    connecting ??= connect()
    return connecting
  }
  const names = Object.keys(calls) as (keyof Contract)[]
  const made = Object.fromEntries(
    names.map(name => [
      name,
      async (...given: unknown[]) => {
        const verb = (await client())[name] as (...given: unknown[]) => Promise<unknown>
        return verb(...given)
      },
    ]),
  )
  return {
    ...(made as Contract),
    close() {
      closed = true
      held?.close()
    },
  }
}

/** @param away - what to throw when nobody listens */
export async function connectSocket(path: string, away: (cause: unknown) => Error): Promise<Socket> {
  const socket = createConnection(path)
  try {
    await once(socket, 'connect')
    return socket
  } catch (cause) {
    socket.destroy()
    throw away(cause)
  }
}
