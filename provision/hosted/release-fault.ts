import { AccessError, type AccessFault } from '../../access/fault.ts'
import { ReleaseError, type ReleaseFault } from '../../format/release.ts'
import { StoreError } from '../../store/object-store.ts'

/** What the authority says no with, as the store and its face say it. Whatever tells an attacker more stays in the audit. */
const told: Record<ReleaseFault, (message: string) => Error> = {
  'no-credential': () => new AccessError('unknown-key', 'The access key you provided is not known here.'),
  'bad-proof': () =>
    new AccessError(
      'signature-mismatch',
      'The signature does not match; check the secret key, the clock and the signing method.',
    ),
  'bad-token': message => new AccessError('bad-token', message),
  expired: () => new AccessError('expired', 'Request has expired'),
  skewed: () => new AccessError('skewed', 'The difference between the request time and the current time is too large.'),
  disabled: () => new AccessError('denied', 'Access Denied'),
  denied: () => new StoreError('forbidden', 'Access Denied'),
  'not-found': () => new StoreError('forbidden', 'Access Denied'),
  held: () => new StoreError('forbidden', 'Access Denied'),
  malformed: () => new StoreError('forbidden', 'Access Denied'),
  exists: message => new StoreError('bucket-taken', message),
  replaced: () => new StoreError('precondition-failed', 'another ACL object lies there'),
  'unsigned-acl': asTold('unsigned-acl'),
  'malformed-acl': asTold('malformed-acl'),
  'acl-sources': asTold('acl-sources'),
  'unknown-grantee': asTold('unknown-grantee'),
  'unknown-email': asTold('unknown-email'),
  'ambiguous-email': asTold('ambiguous-email'),
  'other-owner': asTold('other-owner'),
  'invalid-acl-object': asTold('invalid-acl-object'),
  'malformed-policy': asTold('malformed-policy'),
  'malformed-form': asTold('malformed-form'),
  policy: asTold('denied'),
  unavailable: () => new StoreError('busy', 'The keys are not reachable at this moment. Please try again.'),
}

/** What is wrong with an ACL or a form is told as the authority tells it: whoever asked for it has to know. */
function asTold(fault: AccessFault): (message: string) => Error {
  return message => new AccessError(fault, message)
}

/** Asks the authority. @throws AccessError | StoreError "forbidden" | "busy" */
export async function asked<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    if (!(error instanceof ReleaseError)) throw error
    const fault = told[error.fault](error.message)
    fault.cause = error
    throw fault
  }
}
