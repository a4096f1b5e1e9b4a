/** A small certificate authority whose key is in a token: one self-signed root, device certificates under it, checked offline. */
import 'reflect-metadata'
import { X509Certificate as NodeCertificate, randomBytes } from 'node:crypto'
import { Crypto } from '@peculiar/webcrypto'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PublicKey,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'
import { p256PublicKey } from '../format/hpke.ts'
import { commonNameOnly, ECDSA_SHA256, readRequest, tokenCrypto } from './csr.ts'
import { type Token, TokenError } from './token.ts'

const CERTIFICATE_BYTES_MAX = 8192

export type Validity = { notBefore: Date; notAfter: Date }

export type CertifiedKey = { commonName: string; spki: Buffer; serial: string } & Validity

/** A self-signed root for the signing key `label`: may sign certificates of devices, of no further authority. @returns DER */
export async function createAuthority(
  token: Token,
  label: string,
  commonName: string,
  validity: Validity,
): Promise<Buffer> {
  const { crypto, keys } = await tokenCrypto(token, label)
  const parameters = {
    serialNumber: newSerial(),
    name: commonNameOnly(commonName),
    ...checkedValidity(validity),
    signingAlgorithm: ECDSA_SHA256,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey, false, crypto),
    ],
  }
  const certificate = await X509CertificateGenerator.createSelfSigned(parameters, crypto)
  return Buffer.from(certificate.rawData)
}

/**
 * Issues a certificate for the key of a request. Name and key come from the request, all else from here.
 *
 * @throws TokenError "refused" - the request does not prove its key, or `authority` is not the certificate of the key `label`
 * @returns DER
 */
export async function issueCertificate(
  token: Token,
  label: string,
  authority: Uint8Array,
  request: Uint8Array,
  validity: Validity,
): Promise<Buffer> {
  const { commonName, spki } = await readRequest(request)
  const { crypto, keys } = await tokenCrypto(token, label)
  const { certificate: root } = parsed(authority, 'authority')
  const ours = await token.publicKey(label)
  if (ours === null || !root.publicKey.export({ format: 'der', type: 'spki' }).equals(ours.spki))
    throw new TokenError('refused', `the authority's certificate is not of the key labelled "${label}"`)
  const { notBefore, notAfter } = checkedValidity(validity)
  if (notBefore < root.validFromDate || notAfter > root.validToDate)
    throw new TokenError('refused', `the authority is valid to ${root.validTo}: no certificate can be longer`)
  const subjectKey = new PublicKey(spki)
  const extensions: Extension[] = [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    await SubjectKeyIdentifierExtension.create(subjectKey, false, crypto),
    await AuthorityKeyIdentifierExtension.create(keys.publicKey, false, crypto),
  ]
  const parameters = {
    serialNumber: newSerial(),
    subject: commonNameOnly(commonName),
    issuer: new X509Certificate(Buffer.from(authority)).subjectName,
    notBefore,
    notAfter,
    signingAlgorithm: ECDSA_SHA256,
    publicKey: subjectKey,
    signingKey: keys.privateKey,
    extensions,
  }
  const certificate = await X509CertificateGenerator.create(parameters, crypto)
  return Buffer.from(certificate.rawData)
}

/**
 * Checks a device certificate against the one authority that is trusted: no network, no store of the system.
 *
 * @throws TokenError "refused" - not issued by `authority`, not valid at `now`, or not what an authority of ours issues
 */
export async function verifyCertificate(
  certificate: Uint8Array,
  authority: Uint8Array,
  now: Date,
): Promise<CertifiedKey> {
  const device = parsed(certificate, 'device')
  const root = parsed(authority, 'authority')
  if (!root.certificate.ca) throw refuse('the authority is none: its certificate may not sign others')
  if (device.certificate.ca) throw refuse('the certificate is of an authority, not of a device')
  if (!root.certificate.verify(root.certificate.publicKey)) throw refuse('the authority did not sign itself')
  if (!device.certificate.checkIssued(root.certificate)) throw refuse('it names another issuer')
  if (!device.certificate.verify(root.certificate.publicKey)) throw refuse('the authority did not sign it')
  for (const [whose, { certificate: each }] of [
    ['authority', root],
    ['device', device],
  ] as const)
    if (!(each.validFromDate <= now && now <= each.validToDate))
      throw refuse(`the ${whose}'s is valid from ${each.validFrom} to ${each.validTo}`)
  // A second reading by another parser: the usages, and one CN.
  const structure = new X509Certificate(Buffer.from(certificate))
  const usages = structure.getExtension(KeyUsagesExtension)?.usages
  if (usages !== KeyUsageFlags.digitalSignature) throw refuse('its key is not for signatures alone')
  if (
    !(await structure.verify(
      { publicKey: new X509Certificate(Buffer.from(authority)), signatureOnly: true },
      new Crypto(),
    ))
  )
    throw refuse('the authority did not sign it')
  const [commonName, ...more] = structure.subjectName.getField('CN')
  if (commonName === undefined || more.length > 0) throw refuse('want one CN')
  return {
    commonName,
    spki: device.spki,
    serial: device.certificate.serialNumber.toLowerCase(),
    notBefore: device.certificate.validFromDate,
    notAfter: device.certificate.validToDate,
  }
}

function parsed(der: Uint8Array, whose: string): { certificate: NodeCertificate; spki: Buffer } {
  if (der.length > CERTIFICATE_BYTES_MAX) throw refuse(`the ${whose}'s has more than ${CERTIFICATE_BYTES_MAX} bytes`)
  let certificate: NodeCertificate
  let spki: Buffer
  try {
    certificate = new NodeCertificate(Buffer.from(der))
    spki = certificate.publicKey.export({ format: 'der', type: 'spki' })
    p256PublicKey(spki)
  } catch (cause) {
    throw new TokenError('refused', `certificate: the ${whose}'s is no X.509 certificate of a P-256 key`, { cause })
  }
  if (!certificate.raw.equals(der)) throw refuse(`the ${whose}'s has bytes after its end, or is not DER`)
  return { certificate, spki }
}

/** 16 random bytes, positive as RFC 5280 §4.1.2.2 asks; hex. */
function newSerial(): string {
  const serial = randomBytes(16)
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40
  return serial.toString('hex')
}

function checkedValidity({ notBefore, notAfter }: Validity): Validity {
  // Certificates know whole seconds: what is issued is what was asked for.
  const whole = (date: Date) => new Date(Math.floor(date.getTime() / 1000) * 1000)
  if (!(notBefore < notAfter)) throw new TokenError('configuration', 'validity: want notBefore before notAfter')
  return { notBefore: whole(notBefore), notAfter: whole(notAfter) }
}

function refuse(what: string): TokenError {
  return new TokenError('refused', `certificate: ${what}`)
}
