import 'reflect-metadata'
import { createHash, webcrypto, X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { SubjectAlternativeNameExtension, X509CertificateGenerator } from '@peculiar/x509'
import { writeFileDurable } from '../store/durable.ts'

export type TlsIdentity = { cert: string; key: string; fingerprint: string }

const YEARS_MS = 5 * 365 * 24 * 3600 * 1000

/**
 * A software key and a self-signed certificate for the S3 endpoint, made once. Node's TLS cannot use a key in a token; clients trust this
 * one by its fingerprint, or by `--ca-bundle` with the file.
 */
export async function tlsIdentity(directory: string, now: Date): Promise<TlsIdentity> {
  const certPath = join(directory, 'tls.crt')
  const keyPath = join(directory, 'tls.key')
  if (!existsSync(certPath) || !existsSync(keyPath)) await make(certPath, keyPath, now)
  const cert = await readFile(certPath, 'utf8')
  const fingerprint = createHash('sha256').update(new X509Certificate(cert).raw).digest('hex')
  return { cert, key: await readFile(keyPath, 'utf8'), fingerprint }
}

async function make(certPath: string, keyPath: string, now: Date): Promise<void> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [hostname()] }],
    notBefore: now,
    notAfter: new Date(now.getTime() + YEARS_MS),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new SubjectAlternativeNameExtension([
        { type: 'dns', value: hostname() },
        { type: 'dns', value: 'localhost' },
        { type: 'ip', value: '127.0.0.1' },
      ]),
    ],
  })
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  await writeFileDurable(
    keyPath,
    Buffer.from(`-----BEGIN PRIVATE KEY-----\n${pkcs8.replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`),
    0o600,
  )
  await writeFileDurable(certPath, Buffer.from(certificate.toString('pem')), 0o644)
}
