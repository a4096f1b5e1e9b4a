import { type KeyRelease, RELEASE_FAULTS, ReleaseError } from '../format/release.ts'
import { RELEASE_CALLS } from '../format/release-calls.ts'
import { type Endpoint, openCalls, reasonOf } from './socket-client.ts'

/** The authority's release socket as `KeyRelease`. */
export function openRelease(endpoint: Endpoint): KeyRelease & { close(): void } {
  return openCalls<KeyRelease>(endpoint, RELEASE_CALLS, faultOf, gone)
}

function faultOf(fault: string, message: string): ReleaseError {
  return new ReleaseError(RELEASE_FAULTS.find(each => each === fault) ?? 'unavailable', message)
}

function gone(cause?: unknown): ReleaseError {
  return new ReleaseError('unavailable', `the keystore is not there${reasonOf(cause)}; try again`, { cause })
}
