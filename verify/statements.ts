import type { X509Certificate } from 'node:crypto'
import path from 'node:path'
import { peekCheckpoint } from '../format/checkpoint.ts'
import { CustodyChain, readCustodyLog } from '../format/custody.ts'
import { GRANT_LIMIT, parseGrantFile, peekGrant } from '../format/grant.ts'
import { PROOF_LIMIT, parseProof, verifyProof } from '../format/proof.ts'
import { verifyReceipt } from '../format/receipt.ts'
import { checkReceiptFile, readReceiptFileHead } from '../format/receipt-file.ts'
import { DRIVE } from '../format/volume.ts'
import { certifiedKey, oneLine, readCertificate } from './certificate.ts'
import { VerifyError } from './fault.ts'
import { filesIn, openFile, readWhole } from './file.ts'
import { type Report, step } from './report.ts'

export const NO_CA = 'who issued the certificate was not checked; give --ca with the CA that you trust'

/** One object's inclusion in a signed set. FORMAT.md §7.7 */
export async function checkProofFile(file: string, ca: X509Certificate | null, report: Report): Promise<void> {
  await step(report, file, async () => {
    const proof = parseProof(await readWhole(file, PROOF_LIMIT))
    const { createdAt } = peekCheckpoint(proof.checkpoint)
    const signer = certifiedKey(proof.certificate, ca, createdAt, "the device's certificate")
    if (ca === null) report.notes.push(NO_CA)
    const { leaf, checkpoint } = verifyProof(proof, signer)
    if (checkpoint.state !== 'sealed')
      report.notes.push(`the checkpoint is not a seal; its state is ${checkpoint.state}`)
    Object.assign(report.found, {
      object: leaf.objectId,
      sequence: leaf.sequence,
      committed: new Date(leaf.committedAt).toISOString(),
      bytes: leaf.plaintextLength,
      'sealed bytes': leaf.bodyLength,
      [`sealed ${leaf.digestId === 1 ? 'BLAKE3-256' : 'SHA-256'}`]: leaf.bodyDigest.toString('hex'),
      job: checkpoint.job,
      device: checkpoint.device,
      checkpoint: `${checkpoint.number}, ${checkpoint.state}`,
      place: `leaf ${proof.index} of ${checkpoint.treeSize}`,
    })
  })
}

/** The provider's receipts, every line. FORMAT.md §9.3 */
export async function checkReceipts(file: string, ca: X509Certificate | null, report: Report): Promise<void> {
  const opened = await openFile(file)
  try {
    await step(report, file, async () => {
      const head = await readReceiptFileHead(opened.read)
      const own = certifiedKey(head.signerCertificate, null, 0, "the receipt signer's certificate")
      const { issuedAt } = verifyReceipt(head.signedReceipt, own)
      const signer = certifiedKey(head.signerCertificate, ca, issuedAt, "the receipt signer's certificate")
      if (ca === null) report.notes.push(NO_CA)
      let bytes = 0
      const held: string[] = []
      let heldCount = 0
      const receipt = await checkReceiptFile(opened.read, signer, line => {
        if (line.outcome === 'stored') bytes += line.size
        else if (heldCount++ < 20) held.push(`held: ${line.bucket}/${line.key}: ${line.reason}`)
      })
      Object.assign(report.found, {
        signer: oneLine(readCertificate(head.signerCertificate, '').subject),
        job: receipt.job,
        device: receipt.device,
        account: receipt.account,
        issued: new Date(receipt.issuedAt).toISOString(),
        level: receipt.level,
        freshness: receipt.freshness,
        lines: receipt.lines,
        held: receipt.held,
        'bytes stored': bytes,
        'sources of stored lines may be deleted': receipt.level !== 'digest' && receipt.freshness !== 'overridden',
      })
      report.notes.push(...held)
    })
  } finally {
    await opened.close()
  }
}

/** A device's custody log. FORMAT.md §10 */
export async function checkCustody(
  file: string,
  ca: X509Certificate | null,
  certificateFile: string | null,
  report: Report,
): Promise<void> {
  const opened = await openFile(file)
  try {
    await step(report, file, async () => {
      const certificate = await custodyCertificate(file, certificateFile)
      const chain = new CustodyChain(certifiedKey(certificate, null, 0, "the device's certificate"))
      if (ca === null) report.notes.push(NO_CA)
      let first: number | null = null
      try {
        for await (const entry of readCustodyLog(opened.read)) {
          const event = chain.take(entry)
          if (first === null) {
            first = event.at
            certifiedKey(certificate, ca, event.at, "the device's certificate")
            Object.assign(report.found, {
              device: event.device,
              job: event.job,
              first: new Date(event.at).toISOString(),
            })
          }
          report.found.last = `${new Date(event.at).toISOString()} ${event.event}`
          report.found[`events ${event.event}`] = Number(report.found[`events ${event.event}`] ?? 0) + 1
        }
      } finally {
        report.found.events = chain.head.number
      }
    })
  } finally {
    await opened.close()
  }
}

async function custodyCertificate(file: string, certificateFile: string | null): Promise<Buffer> {
  if (certificateFile !== null) {
    const bytes = await readWhole(certificateFile, 64 << 10)
    return Buffer.from(readCertificate(bytes, certificateFile).raw)
  }
  const folder = path.dirname(file)
  const grant = path.join(folder, DRIVE.grant)
  if (!(await filesIn(folder)).includes(grant))
    throw new VerifyError('usage', `${file}: no grant lies beside it; give --certificate with the device's certificate`)
  return peekGrant(parseGrantFile(await readWhole(grant, GRANT_LIMIT)).signed).deviceCertificate
}
