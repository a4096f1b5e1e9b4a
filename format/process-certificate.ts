import { args, bytes, type Calls, count, flag, listOf, nothing, octets, oneOf, record, text } from './codec.ts'

/**
 * Certificates of the provider's own processes, by which those on other machines speak to the keystore. What a process may ask for follows
 * from its role, which is in the name that the certificate bears.
 */
export interface ProcessAdministration {
  /**
   * @param request - DER of a PKCS#10 request whose CN is `processName(role, name)`; its key stays where it was made
   * @returns the certificate, and the CA that the process knows the keystore by; DER
   */
  issueProcessCertificate(
    role: ProcessRole,
    name: string,
    request: Uint8Array,
  ): Promise<{ certificate: Buffer; authority: Buffer }>
  listProcessCertificates(): Promise<ProcessCertificate[]>
  /** Nobody is let in by it any more, and whoever is in is put out. Fault `not-found`. Doing it again changes nothing. */
  revokeProcessCertificate(serial: string): Promise<void>
}

export const PROCESS_ROLES = ['hosted', 'intake'] as const
export type ProcessRole = (typeof PROCESS_ROLES)[number]
export type ProcessCertificate = {
  serial: string
  role: ProcessRole
  name: string
  expiresAt: number
  revoked: boolean
}

/** What is said over one connection, as ALPN names it. */
export const KEYSTORE_PROTOCOLS = {
  release: 'sealift-release',
  administration: 'sealift-administration',
  login: 'sealift-login',
} as const
export type KeystoreContract = keyof typeof KEYSTORE_PROTOCOLS

/** The CN of the keystore's own certificate. */
export const KEYSTORE_NAME = 'sealift keystore'

/** The CN of a process's certificate. */
export function processName(role: ProcessRole, name: string): string {
  return `sealift ${role} ${name}`
}

const serial = text(64)
const role = oneOf(PROCESS_ROLES)
const name = text(40)
const der = bytes({ max: 8192 })

export const PROCESS_CALLS: Calls<ProcessAdministration> = {
  issueProcessCertificate: {
    ask: args(role, name, octets({ max: 8192 })),
    answer: record<{ certificate: Buffer; authority: Buffer }>({ certificate: der, authority: der }),
  },
  listProcessCertificates: {
    ask: args(),
    answer: listOf(record<ProcessCertificate>({ serial, role, name, expiresAt: count(), revoked: flag }), 100_000),
  },
  revokeProcessCertificate: { ask: args(serial), answer: nothing },
}
