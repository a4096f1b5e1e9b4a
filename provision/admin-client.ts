import {
  ADMINISTRATION_CALLS,
  ADMINISTRATION_FAULTS,
  type Administration,
  AdministrationError,
} from '../format/administration.ts'
import { type CallClient, callClient } from '../format/call-client.ts'
import { connectSocket, type Endpoint, openCalls, reasonOf } from './socket-client.ts'

/**
 * The authority's administration socket.
 * @throws AdministrationError "unavailable" - nobody listens there
 */
export async function connectAdministration(endpoint: Endpoint): Promise<CallClient<Administration>> {
  const socket = await connectSocket(endpoint, cause => gone(cause))
  return callClient(socket, ADMINISTRATION_CALLS, faultOf, gone)
}

/** The same, connected again whenever the keystore was started anew. */
export function openAdministration(endpoint: Endpoint): Administration & { close(): void } {
  return openCalls<Administration>(endpoint, ADMINISTRATION_CALLS, faultOf, gone)
}

function faultOf(fault: string, message: string): AdministrationError {
  return new AdministrationError(ADMINISTRATION_FAULTS.find(each => each === fault) ?? 'internal', message)
}

function gone(cause?: unknown): AdministrationError {
  return new AdministrationError('unavailable', `the keystore is not running here${reasonOf(cause)}`, { cause })
}
