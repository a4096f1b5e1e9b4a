import { type DeviceId, idBytes } from './bytes.ts'
import { Fields } from './cbor.ts'
import { FormatError } from './fault.ts'
import { parseSigned, type Sign, signMessage, unverifiedFields, verifySigned } from './signed.ts'
import { keyId } from './wrap-suite.ts'

/**
 * What a fresh device hands to the provider: its identity and transport keys, signed by the identity key. `sealift identity request`
 * writes it, `sealift-provider device prepare` reads it. @see FORMAT.md §8.4
 */
export type DeviceRequest = {
  device: DeviceId
  /** PKCS#10, DER: the certificate is issued from it */
  csr: Buffer
  /** SPKI of the identity key, as in the CSR */
  identity: Buffer
  transport: { suite: 0x0010 | 0x0020; spki: Buffer }
  /** signed token profile, as the token room writes it */
  profile: Buffer
}

const REQUEST_LIMIT = 256 << 10

export function signDeviceRequest(request: DeviceRequest, sign: Sign): Promise<Buffer> {
  return signMessage(
    'device-request',
    {
      v: 1,
      device: idBytes(request.device),
      csr: request.csr,
      identity: request.identity,
      transport: { suite: request.transport.suite, spki: request.transport.spki },
      profile: request.profile,
    },
    sign,
  )
}

/**
 * Proves that whoever wrote it holds the identity key; that this is the device that was meant is for the operator to know.
 * @throws FormatError "tampered" | "malformed" | "unsupported"
 */
export function readDeviceRequest(bytes: Uint8Array): DeviceRequest {
  const message = parseSigned(bytes, 'device-request', REQUEST_LIMIT)
  const { identity } = takeFields(unverifiedFields(message))
  return takeFields(verifySigned(message, identity))
}

function takeFields(fields: Fields): DeviceRequest {
  fields.version(1)
  const transport = new Fields(fields.take('transport'), 'device request: transport')
  const suite = transport.count('suite', 0xffff)
  if (suite !== 0x0010 && suite !== 0x0020)
    throw new FormatError('unsupported', `device request: transport suite ${suite}`)
  const request: DeviceRequest = {
    device: fields.id('device'),
    csr: fields.bytes('csr', { max: 16 << 10 }),
    identity: fields.bytes('identity', { max: 1024 }),
    transport: { suite, spki: transport.bytes('spki', { max: 1024 }) },
    profile: fields.bytes('profile', { max: 128 << 10 }),
  }
  transport.end()
  fields.end()
  return request
}

/** Short name of an identity key for people to compare: 8 groups of 4 hex digits. */
export function fingerprint(spki: Uint8Array): string {
  return keyId(spki).toString('hex').match(/.{4}/g)?.join(' ') ?? ''
}
