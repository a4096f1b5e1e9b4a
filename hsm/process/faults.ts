/** Return codes of PKCS#11 as faults of ours. */
import pkcs11 from 'pkcs11js'
import { TokenError, type TokenFault } from '../token.ts'

const FAULT_OF: Record<number, TokenFault> = {
  3: 'absent', // CKR_SLOT_ID_INVALID
  48: 'absent', // CKR_DEVICE_ERROR
  50: 'absent', // CKR_DEVICE_REMOVED
  224: 'absent', // CKR_TOKEN_NOT_PRESENT
  225: 'absent', // CKR_TOKEN_NOT_RECOGNIZED
  160: 'locked', // CKR_PIN_INCORRECT
  161: 'locked', // CKR_PIN_INVALID
  162: 'locked', // CKR_PIN_LEN_RANGE
  163: 'locked', // CKR_PIN_EXPIRED
  164: 'locked', // CKR_PIN_LOCKED
  258: 'locked', // CKR_USER_PIN_NOT_INITIALIZED
  84: 'unsupported', // CKR_FUNCTION_NOT_SUPPORTED
  112: 'unsupported', // CKR_MECHANISM_INVALID
  113: 'unsupported', // CKR_MECHANISM_PARAM_INVALID
}

/** Keeps a TokenError, names a PKCS#11 code, and says nothing of what was passed in. */
export function tokenError(error: unknown, doing: string): TokenError {
  if (error instanceof TokenError) return error
  if (error instanceof pkcs11.Pkcs11Error)
    return new TokenError(FAULT_OF[error.code] ?? 'device', `${doing}: ${error.message}`)
  const name = error instanceof Error ? error.name : typeof error
  return new TokenError('device', `${doing}: ${name} in the token process`)
}
