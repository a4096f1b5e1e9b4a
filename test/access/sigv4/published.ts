import { sha256Hex, type WireHeader } from '../../../access/canonical.ts'
import { AccessError } from '../../../access/fault.ts'
import { type Proof, parseProof, type RequestHead, type verifyProof } from '../../../access/proof.ts'
import { presignQuery } from '../../../access/sign.ts'

// AWS, "Authenticating Requests: Signature Calculations", S3 API reference: examples with this published key
export const credentials = { accessKey: 'AKIAIOSFODNN7EXAMPLE', secretKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' }
export const time = new Date('2013-05-24T00:00:00Z')
export const host: WireHeader = ['Host', 'examplebucket.s3.amazonaws.com']
export const scope = { scheme: 'AWS4', date: '20130524', region: 'us-east-1' } as const
export const empty = sha256Hex('')

export const presignRequest: RequestHead = { method: 'GET', rawPath: '/test.txt', rawQuery: '', headers: [host] }
export const presigned = presignQuery(presignRequest, credentials, { region: 'us-east-1', time, expiresSeconds: 86400 })

export function parsed(request: RequestHead): Proof {
  const proof = parseProof(request)
  if (!proof) throw new Error('no proof parsed')
  return proof
}

export function later(seconds: number): Date {
  return new Date(time.getTime() + seconds * 1000)
}

export function fault(verdict: ReturnType<typeof verifyProof>): string | undefined {
  return verdict.ok ? undefined : verdict.fault
}

export function thrown(call: () => unknown): string | undefined {
  try {
    call()
  } catch (error) {
    if (error instanceof AccessError) return error.fault
    throw error
  }
  return undefined
}
