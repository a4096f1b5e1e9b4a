/**
 * Amazon's signature version 4 and Google's, which is the same under other names. One access key and its secret serve both: the key that
 * signs is derived under the scheme's own words, so that a signature of one is never one of the other.
 * Sources: AWS, "Signature Calculations for the Authorization Header"; Google, "V4 signing process with your own program", "Canonical requests".
 */
export type Scheme = 'AWS4' | 'GOOG4'

export type SchemeWords = {
  /** first line of the string to sign, and scheme of an Authorization header */
  algorithm: string
  /** third and fourth part of the credential's scope */
  service: string
  terminator: string
  /** of a presigned request's query fields */
  queryPrefix: string
  dateHeader: string
  digestHeader: string
  /** payload modes beside UNSIGNED-PAYLOAD and a digest */
  streaming: readonly string[]
}

const UNSIGNED_CHUNKS = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER'

export const SCHEMES: Readonly<Record<Scheme, SchemeWords>> = {
  AWS4: {
    algorithm: 'AWS4-HMAC-SHA256',
    service: 's3',
    terminator: 'aws4_request',
    queryPrefix: 'X-Amz-',
    dateHeader: 'x-amz-date',
    digestHeader: 'x-amz-content-sha256',
    streaming: ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER', UNSIGNED_CHUNKS],
  },
  GOOG4: {
    algorithm: 'GOOG4-HMAC-SHA256',
    service: 'storage',
    terminator: 'goog4_request',
    queryPrefix: 'X-Goog-',
    dateHeader: 'x-goog-date',
    digestHeader: 'x-goog-content-sha256',
    // Google has no chunks that are signed
    streaming: [UNSIGNED_CHUNKS],
  },
}

export const SCHEME_NAMES = ['AWS4', 'GOOG4'] as const satisfies readonly Scheme[]
