import { X509Certificate } from 'node:crypto'
import { FormatError } from '../format/fault.ts'
import { signingKey } from '../format/signed.ts'

/** @throws FormatError "malformed" - neither DER nor PEM of a certificate */
export function readCertificate(bytes: Uint8Array, what: string): X509Certificate {
  try {
    return new X509Certificate(bytes)
  } catch (cause) {
    throw new FormatError('malformed', `${what}: wanted an X.509 certificate (DER or PEM)`, { cause })
  }
}

/**
 * The P-256 key of a certificate, judged when a CA is given: issued by that CA itself, valid at `at`.
 *
 * @param at - ms since 1970: when the signature in question says it was made
 * @returns SubjectPublicKeyInfo, DER
 * @throws FormatError "mismatch" - another CA's, or not valid then; "unsupported" - no P-256 key
 */
export function certifiedKey(der: Uint8Array, ca: X509Certificate | null, at: number, what: string): Buffer {
  const certificate = readCertificate(der, what)
  const spki = certificate.publicKey.export({ format: 'der', type: 'spki' })
  signingKey(spki)
  if (ca === null) return spki
  if (!ca.ca)
    throw new FormatError('mismatch', '--ca: wanted the certificate of an authority; its basic constraints say no')
  if (!certificate.checkIssued(ca) || !certificate.verify(ca.publicKey))
    throw new FormatError(
      'mismatch',
      `${what}: not issued by ${oneLine(ca.subject)} but by ${oneLine(certificate.issuer)}`,
    )
  for (const [name, each] of [[what, certificate] as const, ['--ca', ca] as const])
    if (at < each.validFromDate.getTime() || at > each.validToDate.getTime())
      throw new FormatError(
        'mismatch',
        `${name}: valid ${each.validFrom} to ${each.validTo}; the signature is of ${new Date(at).toISOString()}`,
      )
  return spki
}

export function oneLine(name: string): string {
  return JSON.stringify(name.replaceAll('\n', ', ').slice(0, 200))
}
