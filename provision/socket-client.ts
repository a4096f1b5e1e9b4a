import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { type CallClient, callClient, type FaultReader } from '../format/call-client.ts'
import type { Calls } from '../format/codec.ts'
import { KEYSTORE_NAME } from '../format/process-certificate.ts'

/** A Unix socket's path, or a keystore on another machine. */
export type Endpoint = string | RemoteEndpoint
export type RemoteEndpoint = {
  host: string
  port: number
  /** PEM: the CA that both certificates are of, and this process's own */
  authority: string
  certificate: string
  key: string
  /** ALPN: what is said */
  protocol: string
}

/**
 * An interface of the keystore at a socket: connected at the first call, and again at the first call after the keystore was started anew.
 * Calls under way when it dies fail as `gone` says; none is repeated here.
 */
export function openCalls<Contract extends object>(
  endpoint: Endpoint,
  calls: Calls<Contract>,
  faultOf: FaultReader,
  gone: (cause?: unknown) => Error,
): Contract & { close(): void } {
  let connecting: Promise<CallClient<Contract>> | null = null
  let held: CallClient<Contract> | null = null
  let closed = false
  const connect = async (): Promise<CallClient<Contract>> => {
    try {
      const socket = await connectSocket(endpoint, gone)
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
export async function connectSocket(endpoint: Endpoint, away: (cause: unknown) => Error): Promise<Socket> {
  const remote = typeof endpoint !== 'string'
  const socket = remote ? openTls(endpoint) : createConnection(endpoint)
  try {
    await once(socket, remote ? 'secureConnect' : 'connect')
    return socket
  } catch (cause) {
    socket.destroy()
    throw away(cause)
  }
}

/** TLS 1.3, and nobody but the keystore of that very CA: names of hosts say nothing here. */
function openTls({ host, port, authority, certificate, key, protocol }: RemoteEndpoint): Socket {
  return connectTls({
    ...{ host, port, ca: authority, cert: certificate, key, minVersion: 'TLSv1.3', ALPNProtocols: [protocol] },
    checkServerIdentity: (_, { subject }) =>
      subject.CN === KEYSTORE_NAME ? undefined : new Error(`${host}:${port} is not the keystore, but "${subject.CN}"`),
  })
}

/** Why nobody answers, where that is not plain: another CA, a certificate that is refused. */
export function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error) || ('syscall' in cause && cause.syscall === 'connect')) return ''
  return `: ${cause.message}`
}
