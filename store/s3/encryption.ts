import { askOfEncryption, isEncryptionHeader } from '../../access/encryption.ts'
import { hasNamedKeys } from '../ability.ts'
import type { ObjectRecord, ObjectStore } from '../object-store.ts'
import type { Call } from './call.ts'
import { S3Error } from './fault.ts'
import type { S3Request } from './message.ts'

type Asking = Pick<Call, 'request' | 'store' | 'admission'>

/**
 * Refuses what cannot be, before a body is taken in for it: nothing of what a request asks for here is passed over.
 * @throws S3Error "NotImplemented" | "AccessDenied"; AccessError "malformed-encryption" | "unsupported-encryption"
 */
export function checkAskedEncryption({ request, store, admission }: Asking): void {
  // what nobody signed does not reach whoever judges it
  if (checkFormEncryption(request, store) && admission.principal === null)
    throw new S3Error('AccessDenied', 'A key is asked for by a signed request only.')
}

/** Of a form, whose fields are judged whoever sends it. @returns whether a key is named. @throws as above */
export function checkFormEncryption(request: Pick<S3Request, 'headers'>, store: ObjectStore): boolean {
  if (hasNamedKeys(store)) return askOfEncryption(request).kind === 'named'
  const asked = request.headers.find(([name]) => isEncryptionHeader(name.toLowerCase()))
  if (asked) throw new S3Error('NotImplemented', `${asked[0].toLowerCase()} is not implemented here.`)
  return false
}

/** Of a request that chooses no key: a part, a read. Headers of a key that the caller brings along must not be passed over. */
export function checkNoCustomerKey(request: Pick<S3Request, 'headers'>): void {
  const asked = request.headers.find(([name]) =>
    /^x-amz-server-side-encryption-customer-|^x-goog-encryption-(?:key|algorithm)/i.test(name),
  )
  if (asked) throw new S3Error('NotImplemented', `${asked[0].toLowerCase()} is not implemented here.`)
}

/** Under which key the object lies, for stores that say it. */
export function encryptionHeaders({ sealedUnder }: ObjectRecord): [string, string][] {
  if (sealedUnder === undefined) return []
  if (sealedUnder === null) return [['x-amz-server-side-encryption', 'AES256']]
  return [
    ['x-amz-server-side-encryption', 'aws:kms'],
    ['x-amz-server-side-encryption-aws-kms-key-id', sealedUnder],
  ]
}
