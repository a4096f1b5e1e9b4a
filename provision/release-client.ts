import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { type CallClient, callClient } from '../format/call-client.ts'
import { type KeyRelease, RELEASE_FAULTS, ReleaseError } from '../format/release.ts'
import { RELEASE_CALLS } from '../format/release-calls.ts'

/**
 * The authority's release socket as `KeyRelease`.
 * @throws ReleaseError "unavailable" - nobody listens there
 */
export async function connectRelease(path: string): Promise<CallClient<KeyRelease>> {
  const socket = await connectSocket(path, cause => gone(cause))
  return callClient(socket, RELEASE_CALLS, faultOf, gone)
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

function faultOf(fault: string, message: string): ReleaseError {
  return new ReleaseError(RELEASE_FAULTS.find(each => each === fault) ?? 'unavailable', message)
}

function gone(cause?: unknown): ReleaseError {
  return new ReleaseError('unavailable', 'the keystore is not there: try again', { cause })
}
