/** Why a request is not believed or not allowed. Closed list: the edge maps each to one answer. */
export type AccessFault =
  | 'malformed' // an authorisation that no conforming client writes
  | 'unsupported' // an algorithm, payload mode or service that this verifier does not know: refused, never guessed
  | 'unknown-key' // no such access key
  | 'unsigned-header' // a header that changes the meaning of the request stands outside the signature
  | 'bad-token' // a token or ticket that proves nothing here
  | 'skewed' // signed further than 15 minutes from now
  | 'expired' // a presigned URL past its time
  | 'signature-mismatch'
  | 'payload-mismatch' // the bytes are not those whose digest was signed
  | 'malformed-xml' // a document that is no XML, or more of it than is read
  | 'malformed-acl' // no ACL that could be kept: form, size, or an entry that means nothing
  | 'acl-sources' // an ACL asked for in more than one way, or in one that does not fit the resource
  | 'unknown-grantee' // an id that is nobody's
  | 'unknown-email' // an e-mail address that is nobody's
  | 'ambiguous-email' // an e-mail address of more than one
  | 'unsigned-acl' // a change of an ACL by a caller who signs nothing
  | 'other-owner' // a submitted ACL that names another owner than the resource has
  | 'invalid-acl-object' // an object that is named as an ACL and is none, or not for this
  | 'malformed-precondition' // a condition that names no number
  | 'malformed-encryption' // headers on encryption that do not go together, or say nothing
  | 'unsupported-encryption' // a way to encrypt that is not offered
  | 'malformed-form' // fields that no form of ours has, or that say two things
  | 'malformed-export' // an order of an export that does not say what, or says it twice
  | 'malformed-policy' // a document that is no policy of a form
  | 'denied' // believed, but not allowed; also: anonymous where nobody is

/** The one error class of `access/`. Never holds a secret or an expected signature. */
export class AccessError extends Error {
  override readonly name = 'AccessError'
  readonly fault: AccessFault

  constructor(fault: AccessFault, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.fault = fault
  }
}
