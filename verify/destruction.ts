import type { X509Certificate } from 'node:crypto'
import { DESTRUCTION_FILE_LIMIT, parseDestructionFile, verifyDestruction } from '../format/destruction.ts'
import { certifiedKey, oneLine, readCertificate } from './certificate.ts'
import { readWhole } from './file.ts'
import { type Report, step } from './report.ts'
import { NO_CA } from './statements.ts'

/** The provider's word that a key is gone. FORMAT.md §9.4 */
export async function checkDestruction(file: string, ca: X509Certificate | null, report: Report): Promise<void> {
  await step(report, file, async () => {
    const { signed, signerCertificate } = parseDestructionFile(await readWhole(file, DESTRUCTION_FILE_LIMIT))
    const what = "the signer's certificate"
    const record = verifyDestruction(signed, certifiedKey(signerCertificate, null, 0, what))
    certifiedKey(signerCertificate, ca, record.destroyedAt, what)
    if (ca === null) report.notes.push(NO_CA)
    const { cause, keyName } = record
    Object.assign(report.found, {
      signer: oneLine(readCertificate(signerCertificate, '').subject),
      destroyed: new Date(record.destroyedAt).toISOString(),
      cause: cause === 'shredded' ? 'destroyed for ever' : 'replaced by its next version',
      account: `${record.accountName} (${record.account})`,
      key: keyName === '' ? "the account's own" : keyName,
      version: record.version,
      'SHA-256 of its public key': record.keyDigest.toString('hex'),
      [cause === 'shredded' ? 'epochs that never open again' : 'epochs sealed anew']: record.epochs,
      'asked by': record.by,
      'audit row': record.auditRow,
      'audit head': record.auditHead.toString('hex'),
    })
  })
}
