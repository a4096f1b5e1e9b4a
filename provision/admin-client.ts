import {
  ADMINISTRATION_CALLS,
  ADMINISTRATION_FAULTS,
  type Administration,
  AdministrationError,
} from '../format/administration.ts'
import { type CallClient, callClient } from '../format/call-client.ts'
import { connectSocket } from './socket-client.ts'

/**
 * The authority's administration socket.
 * @throws AdministrationError "unavailable" - nobody listens there
 */
export async function connectAdministration(path: string): Promise<CallClient<Administration>> {
  const socket = await connectSocket(path, cause => gone(cause))
  return callClient(socket, ADMINISTRATION_CALLS, faultOf, gone)
}

function faultOf(fault: string, message: string): AdministrationError {
  return new AdministrationError(ADMINISTRATION_FAULTS.find(each => each === fault) ?? 'internal', message)
}

function gone(cause?: unknown): AdministrationError {
  return new AdministrationError('unavailable', 'the keystore is not running here', { cause })
}
