import { X509Certificate } from 'node:crypto'
import type { Kysely } from 'kysely'
import { AdministrationError } from '../../../format/administration.ts'
import {
  KEYSTORE_NAME,
  type ProcessAdministration,
  type ProcessRole,
  processName,
} from '../../../format/process-certificate.ts'
import { issueCertificate, verifyCertificate } from '../../../hsm/certificate.ts'
import { readRequest } from '../../../hsm/csr.ts'
import { pem } from '../../../hsm/pem.ts'
import { newSoftwareKey } from '../../../hsm/software-key.ts'
import { type Token, TokenError } from '../../../hsm/token.ts'
import type { KeystoreSchema } from '../../database/keystore-schema.ts'
import type { Facts } from '../facts.ts'
import { TOKEN_KEYS } from '../keys/token-keys.ts'

/** A process that was let in. */
export type Admitted = { serial: string; role: ProcessRole; name: string; expiresAt: number }

export type Processes = ProcessAdministration & {
  /** Judges what TLS has shown. @throws TokenError "refused" - says why */
  admit(certificate: Uint8Array): Promise<Admitted>
  /** Called with the serial of each that is revoked. */
  onRevoked(listener: (serial: string) => void): void
  /** What the keystore shows: a key that only this process ever has. PEM. */
  identity(): Promise<{ key: string; certificate: string; authority: string }>
}

const DAY_MS = 86_400_000
const CERTIFICATE_DAYS = 730
/** clocks of two machines */
const BEFORE_MS = 300_000

export function processesOf(on: {
  database: Kysely<KeystoreSchema>
  token: Token
  facts: Facts
  clock: () => number
}): Processes {
  const { database, token, facts, clock } = on
  const listeners: ((serial: string) => void)[] = []
  const issue = async (request: Uint8Array): Promise<Buffer> => {
    const now = clock()
    const notBefore = new Date(Math.max(now - BEFORE_MS, facts.validFrom.getTime()))
    const validity = { notBefore, notAfter: new Date(now + CERTIFICATE_DAYS * DAY_MS) }
    return issueCertificate(token, TOKEN_KEYS.ca, facts.caCertificate, request, validity)
  }
  const rowOf = (serial: string) =>
    database.selectFrom('process_certificates').selectAll().where('serial', '=', serial).executeTakeFirst()
  return {
    async issueProcessCertificate(role, name, request) {
      if (!/^[a-z0-9][a-z0-9.-]*$/.test(name))
        throw new AdministrationError('malformed', 'process: want a name of a-z, 0-9, "." and "-"')
      const { commonName } = await soundRequest(request)
      if (commonName !== processName(role, name))
        throw new AdministrationError(
          'refused',
          `request: it is for "${commonName}", want "${processName(role, name)}"`,
        )
      const certificate = await issue(request)
      const { serialNumber, validToDate } = new X509Certificate(certificate)
      const serial = serialNumber.toLowerCase()
      const row = { serial, role, name, expires_at: validToDate.getTime(), revoked_at: null }
      await database.insertInto('process_certificates').values(row).execute() // commit point: from here on it lets in
      return { certificate, authority: facts.caCertificate }
    },
    async listProcessCertificates() {
      const rows = await database.selectFrom('process_certificates').selectAll().orderBy('expires_at').execute()
      return rows.map(({ serial, role, name, expires_at, revoked_at }) => ({
        ...{ serial, role, name },
        expiresAt: expires_at,
        revoked: revoked_at !== null,
      }))
    },
    async revokeProcessCertificate(serial) {
      if ((await rowOf(serial)) === undefined)
        throw new AdministrationError('not-found', `there is no certificate ${serial} of a process`)
      await database
        .updateTable('process_certificates')
        .set({ revoked_at: clock() })
        .where('serial', '=', serial)
        .where('revoked_at', 'is', null)
        .execute() // commit point: from here on it lets nobody in
      for (const each of listeners) each(serial)
    },
    async admit(certificate) {
      const shown = await verifyCertificate(certificate, facts.caCertificate, new Date(clock()))
      const row = await rowOf(shown.serial)
      // a device's, or the keystore's own
      if (row === undefined || processName(row.role, row.name) !== shown.commonName)
        throw new TokenError('refused', `certificate: "${shown.commonName}" is of no process of the provider`)
      if (row.revoked_at !== null) throw new TokenError('refused', 'certificate: it was revoked')
      return { serial: row.serial, role: row.role, name: row.name, expiresAt: shown.notAfter.getTime() }
    },
    onRevoked: listener => void listeners.push(listener),
    async identity() {
      const { key, request } = await newSoftwareKey(KEYSTORE_NAME)
      return {
        key,
        certificate: pem('CERTIFICATE', await issue(request)),
        authority: pem('CERTIFICATE', facts.caCertificate),
      }
    },
  }
}

async function soundRequest(request: Uint8Array): Promise<{ commonName: string }> {
  try {
    return await readRequest(request)
  } catch (cause) {
    if (!(cause instanceof TokenError && cause.fault === 'refused')) throw cause
    throw new AdministrationError('refused', cause.message, { cause })
  }
}
