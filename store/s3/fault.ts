import { AccessError, type AccessFault } from '../../access/fault.ts'
import { StoreError, type StoreFault } from '../object-store.ts'
import { element, xmlDocument } from './xml-out.ts'

/** Codes the face itself answers with, and their statuses. */
const statuses = {
  AccessDenied: 403,
  AclObjectInUse: 409,
  AmbiguousGrantByEmailAddress: 400,
  AuthorizationHeaderMalformed: 400,
  BadDigest: 400,
  BucketAlreadyExists: 409,
  BucketAlreadyOwnedByYou: 409,
  BucketNotEmpty: 409,
  EntityTooSmall: 400,
  EntityTooLarge: 400,
  IncompleteBody: 400,
  InsufficientStorage: 507,
  InternalError: 500,
  InvalidAccessKeyId: 403,
  InvalidAclObject: 400,
  InvalidArgument: 400,
  InvalidBucketName: 400,
  InvalidDigest: 400,
  InvalidObjectState: 403,
  InvalidPart: 400,
  InvalidPartOrder: 400,
  InvalidPolicyDocument: 400,
  InvalidRange: 416,
  InvalidRequest: 400,
  InvalidToken: 401,
  InvalidURI: 400,
  KeyTooLongError: 400,
  MalformedACLError: 400,
  MalformedPOSTRequest: 400,
  MalformedXML: 400,
  MalformedTrailerError: 400,
  MaxPostPreDataLengthExceededError: 400,
  MetadataTooLarge: 400,
  MethodNotAllowed: 405,
  MissingContentLength: 411,
  NoSuchBucket: 404,
  NoSuchKey: 404,
  NoSuchUpload: 404,
  NoSuchVersion: 404,
  NotImplemented: 501,
  NotModified: 304,
  PreconditionFailed: 412,
  QuotaExceeded: 403,
  RequestTimeout: 400,
  RequestTimeTooSkewed: 403,
  SignatureDoesNotMatch: 403,
  SlowDown: 503,
  UnresolvableGrantByEmailAddress: 400,
  UploadExpired: 410,
  XAmzContentSHA256Mismatch: 400,
} as const

export type S3Code = keyof typeof statuses

const storeCodes: Record<StoreFault, S3Code> = {
  'no-bucket': 'NoSuchBucket',
  'bucket-exists': 'BucketAlreadyOwnedByYou',
  'bucket-taken': 'BucketAlreadyExists',
  'bucket-not-empty': 'BucketNotEmpty',
  'no-upload': 'NoSuchUpload',
  'upload-expired': 'UploadExpired',
  'no-version': 'NoSuchVersion',
  'invalid-part': 'InvalidPart',
  'part-too-small': 'EntityTooSmall',
  'incomplete-body': 'IncompleteBody',
  'precondition-failed': 'PreconditionFailed',
  'invalid-state': 'InvalidObjectState',
  forbidden: 'AccessDenied',
  'read-only': 'AccessDenied',
  'in-use': 'AclObjectInUse',
  'over-quota': 'QuotaExceeded',
  full: 'InsufficientStorage',
  busy: 'SlowDown',
  away: 'SlowDown',
  'source-changed': 'InternalError',
  'source-unreadable': 'InternalError',
  damaged: 'InternalError',
}

const accessCodes: Record<AccessFault, S3Code> = {
  malformed: 'AuthorizationHeaderMalformed',
  unsupported: 'InvalidRequest',
  'unknown-key': 'InvalidAccessKeyId',
  'unsigned-header': 'AccessDenied',
  'bad-token': 'InvalidToken',
  skewed: 'RequestTimeTooSkewed',
  expired: 'AccessDenied',
  'signature-mismatch': 'SignatureDoesNotMatch',
  'payload-mismatch': 'XAmzContentSHA256Mismatch',
  'malformed-xml': 'MalformedXML',
  'malformed-acl': 'MalformedACLError',
  'acl-sources': 'InvalidRequest',
  'unknown-grantee': 'InvalidArgument',
  'unknown-email': 'UnresolvableGrantByEmailAddress',
  'ambiguous-email': 'AmbiguousGrantByEmailAddress',
  'unsigned-acl': 'AccessDenied',
  'other-owner': 'AccessDenied',
  'invalid-acl-object': 'InvalidAclObject',
  'malformed-precondition': 'InvalidArgument',
  'malformed-encryption': 'InvalidArgument',
  'unsupported-encryption': 'NotImplemented',
  'malformed-export': 'InvalidArgument',
  'malformed-form': 'InvalidArgument',
  'malformed-policy': 'InvalidPolicyDocument',
  denied: 'AccessDenied',
}

/** What the face itself finds wrong with a request. `headers` go with the answer. */
export class S3Error extends Error {
  override readonly name = 'S3Error'
  readonly code: S3Code
  readonly headers: [string, string][]

  constructor(code: S3Code, message: string, options?: { cause?: unknown; headers?: [string, string][] }) {
    super(message, options)
    this.code = code
    this.headers = options?.headers ?? []
  }
}

export type Answer = { code: S3Code; status: number; message: string; headers: [string, string][] }

const RETRY: [string, string][] = [['retry-after', '1']]

/** The one table from faults to what goes over the wire; `null`: not an error anybody here knows. */
export function answerOf(error: unknown): Answer | null {
  if (error instanceof S3Error) return answer(error.code, error.message, error.headers)
  if (error instanceof AccessError) {
    // RFC 6750 §3: a client that sent a token is told that it was the token
    const again: [string, string][] =
      error.fault === 'bad-token' ? [['www-authenticate', 'Bearer error="invalid_token"']] : []
    return answer(accessCodes[error.fault], error.message, again)
  }
  if (!(error instanceof StoreError)) return null
  const code = storeCodes[error.fault]
  if (error.fault === 'read-only') return answer(code, `No writes: the device is sealed or locked. ${error.message}`)
  // what is wrong inside is for the log
  if (error.fault === 'damaged')
    return answer(
      code,
      'The medium could not be read or written as it must be; nothing of this request was acknowledged.',
    )
  if (error.fault === 'away')
    return answer(code, 'Where these bytes lie does not answer at this moment. Please try again.', RETRY)
  return answer(code, error.message, error.fault === 'busy' ? RETRY : [])
}

/** What an answer does not say, and the log has to. */
export function isForTheLog(error: unknown, { status }: Answer): boolean {
  return status === 500 || (error instanceof StoreError && error.fault === 'away')
}

export const internalError: Answer = answer('InternalError', 'An internal error occurred. Please try again.')

export function errorXml({ code, message }: Answer, resource: string, requestId: string): string {
  return xmlDocument(
    element('Error', [
      element('Code', code),
      element('Message', message),
      element('Resource', resource),
      element('RequestId', requestId),
    ]),
  )
}

function answer(code: S3Code, message: string, headers: [string, string][] = []): Answer {
  return { code, status: statuses[code], message, headers }
}
