/** Certificate request for a key in a token, signed there (PKCS#10, RFC 2986). */
import 'reflect-metadata'
import { Crypto, CryptoKey } from '@peculiar/webcrypto'
import { Name, Pkcs10CertificateRequest, Pkcs10CertificateRequestGenerator } from '@peculiar/x509'
import { p256PublicKey } from '../format/hpke.ts'
import { type Token, TokenError } from './token.ts'

export const ECDSA_P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const
export const ECDSA_SHA256 = { name: 'ECDSA', hash: 'SHA-256' } as const
const REQUEST_BYTES_MAX = 8192
const COMMON_NAME_CHARACTERS_MAX = 64 // ub-common-name, RFC 5280 appendix A.1

/** A WebCrypto whose `sign` with `keys.privateKey` asks the token. The private key object is a name, it holds nothing. */
export type TokenCrypto = { crypto: Crypto; keys: { publicKey: CryptoKey; privateKey: CryptoKey } }

/** @throws TokenError "no-key" - no signing pair of that label */
export async function tokenCrypto(token: Token, label: string): Promise<TokenCrypto> {
  const found = await token.publicKey(label)
  if (found?.suite !== 'ecdsa-p256') throw new TokenError('no-key', `no signing key labelled "${label}" in the token`)
  const base = new Crypto()
  const publicKey = await base.subtle.importKey('spki', found.spki, ECDSA_P256, true, ['verify'])
  const privateKey = Object.assign(new CryptoKey(), {
    type: 'private' as const,
    algorithm: ECDSA_P256,
    extractable: false,
    usages: ['sign' as const],
  })
  const sign = async (
    algorithm: { name: string; hash?: string | { name: string } },
    key: unknown,
    data: ArrayBuffer,
  ) => {
    const hash = typeof algorithm.hash === 'object' ? algorithm.hash.name : algorithm.hash
    if (key !== privateKey || algorithm.name !== 'ECDSA' || hash !== 'SHA-256')
      throw new TokenError('unsupported', 'this crypto signs ECDSA with SHA-256 and the one key in the token only')
    return new Uint8Array(await token.sign(label, new Uint8Array(data))).buffer
  }
  const subtle: typeof base.subtle = Object.create(base.subtle, { sign: { value: sign } })
  const crypto: Crypto = Object.create(base, { subtle: { value: subtle } })
  return { crypto, keys: { publicKey, privateKey } }
}

/** @returns DER of the request for the pair `label`, subject CN = `commonName` */
export async function createRequest(token: Token, label: string, commonName: string): Promise<Buffer> {
  const { crypto, keys } = await tokenCrypto(token, label)
  const parameters = { name: commonNameOnly(commonName), keys, signingAlgorithm: ECDSA_SHA256 }
  const request = await Pkcs10CertificateRequestGenerator.create(parameters, crypto)
  return Buffer.from(request.rawData)
}

/**
 * Reads a request and checks that who made it holds the key: extensions asked for are not looked at.
 *
 * @throws TokenError "refused" - not a P-256 request, or not signed with its own key
 */
export async function readRequest(der: Uint8Array): Promise<{ commonName: string; spki: Buffer }> {
  if (der.length > REQUEST_BYTES_MAX)
    throw new TokenError('refused', `certificate request: at most ${REQUEST_BYTES_MAX} bytes, got ${der.length}`)
  try {
    const request = new Pkcs10CertificateRequest(Buffer.from(der))
    const spki = Buffer.from(request.publicKey.rawData)
    p256PublicKey(spki)
    const [commonName, ...more] = request.subjectName.getField('CN')
    if (commonName === undefined || more.length > 0) throw new TokenError('refused', 'certificate request: want one CN')
    const signed = await request.verify(new Crypto())
    if (!signed) throw new TokenError('refused', 'certificate request: not signed with the key that it names')
    return { commonName: checkedCommonName(commonName), spki }
  } catch (cause) {
    if (cause instanceof TokenError && cause.fault === 'refused') throw cause
    throw new TokenError('refused', 'certificate request: not a PKCS#10 request for a P-256 key', { cause })
  }
}

/** A distinguished name of one CN. @throws TokenError "configuration" - empty, too long, control characters */
export function commonNameOnly(commonName: string): Name {
  // As an object: in a plain string the library takes quotes, commas and # for syntax.
  return new Name([{ CN: [{ utf8String: checkedCommonName(commonName) }] }])
}

function checkedCommonName(commonName: string): string {
  const length = [...commonName].length
  if (length < 1 || length > COMMON_NAME_CHARACTERS_MAX || /\p{Cc}/u.test(commonName))
    throw new TokenError('configuration', `common name: want 1 to ${COMMON_NAME_CHARACTERS_MAX} printable characters`)
  return commonName
}
