import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509'
import { commonNameOnly, ECDSA_P256, ECDSA_SHA256 } from './csr.ts'
import { pem } from './pem.ts'

/**
 * A P-256 key in software, for TLS, which cannot use one in a token; and a request for a certificate of it.
 * @returns the key as PKCS#8, PEM; the request as DER
 */
export async function newSoftwareKey(commonName: string): Promise<{ key: string; request: Buffer }> {
  const keys = await webcrypto.subtle.generateKey(ECDSA_P256, true, ['sign', 'verify'])
  const parameters = { name: commonNameOnly(commonName), keys, signingAlgorithm: ECDSA_SHA256 }
  const request = await Pkcs10CertificateRequestGenerator.create(parameters, webcrypto)
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey))
  return { key: pem('PRIVATE KEY', pkcs8), request: Buffer.from(request.rawData) }
}
