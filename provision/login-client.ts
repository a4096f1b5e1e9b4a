import { LOGIN_CALLS, LOGIN_FAULTS, type Login, LoginError } from '../format/login.ts'
import { type Endpoint, openCalls, reasonOf } from './socket-client.ts'

/** The authority's login socket. */
export function openLogin(endpoint: Endpoint): Login & { close(): void } {
  return openCalls<Login>(endpoint, LOGIN_CALLS, faultOf, gone)
}

function faultOf(fault: string, message: string): LoginError {
  return new LoginError(LOGIN_FAULTS.find(each => each === fault) ?? 'unavailable', message)
}

function gone(cause?: unknown): LoginError {
  return new LoginError('unavailable', `the keystore is not there${reasonOf(cause)}; try again`, { cause })
}
