import { AccessError } from '../../access/fault.ts'
import { FormatError } from '../../format/fault.ts'
import { RELEASE_FAULTS, ReleaseError } from '../../format/release.ts'
import { TokenError } from '../../hsm/token.ts'

/** A refusal with its reason, which stays inside: the audit names it, the caller hears "denied". */
export function denied(reason: string): ReleaseError {
  return new ReleaseError('denied', reason)
}

/** Whatever went wrong inside a call, as a fault of `KeyRelease`. Bytes that do not parse or open are a refusal like any other. */
export function releaseError(error: unknown): ReleaseError {
  if (error instanceof ReleaseError) return error
  if (error instanceof FormatError) return new ReleaseError('denied', error.message, { cause: error })
  if (error instanceof AccessError) {
    // what is wrong with an ACL that was asked for is said to whoever asked; the rest is a refusal
    const fault = RELEASE_FAULTS.find(each => each === error.fault) ?? 'denied'
    return new ReleaseError(fault, error.message, { cause: error })
  }
  if (error instanceof TokenError) {
    const away = error.fault === 'restarting' || error.fault === 'absent' || error.fault === 'locked'
    return new ReleaseError(away ? 'unavailable' : 'denied', `token: ${error.message}`, { cause: error })
  }
  return new ReleaseError('unavailable', 'the authority failed inside', { cause: error })
}

/** As it leaves the process: every refusal reads the same. */
export function outside(error: ReleaseError): ReleaseError {
  return error.fault === 'denied' ? new ReleaseError('denied', 'denied') : error
}
