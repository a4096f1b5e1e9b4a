import 'reflect-metadata'
import { generateKeyPairSync, type KeyObject, randomBytes, sign, webcrypto } from 'node:crypto'
import { BasicConstraintsExtension, PublicKey, X509CertificateGenerator } from '@peculiar/x509'
import type { Sign } from '../../format/signed.ts'

/** A key that signs, in this process: what a token does elsewhere. */
export type Signer = { spki: Buffer; privateKey: KeyObject; sign: Sign }

export function newSigner(): Signer {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return {
    spki: publicKey.export({ format: 'der', type: 'spki' }),
    privateKey,
    sign: async message => sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' }),
  }
}

const ECDSA = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/** A certificate for `subject`, by `issuer` (itself for an authority). DER. */
export async function certify(
  subject: Signer,
  name: string,
  issuer: Signer,
  issuerName: string,
  valid: { from: number; to: number },
): Promise<Buffer> {
  const pkcs8 = issuer.privateKey.export({ format: 'der', type: 'pkcs8' })
  const signingKey = await webcrypto.subtle.importKey('pkcs8', pkcs8, ECDSA, true, ['sign'])
  const certificate = await X509CertificateGenerator.create(
    {
      serialNumber: randomBytes(8).toString('hex'),
      subject: `CN=${name}`,
      issuer: `CN=${issuerName}`,
      notBefore: new Date(valid.from),
      notAfter: new Date(valid.to),
      signingAlgorithm: ECDSA,
      publicKey: new PublicKey(subject.spki),
      signingKey,
      extensions: [new BasicConstraintsExtension(subject === issuer, undefined, true)],
    },
    webcrypto,
  )
  return Buffer.from(certificate.rawData)
}
