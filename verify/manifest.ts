import type { X509Certificate } from 'node:crypto'
import { type Checkpoint, peekCheckpoint } from '../format/checkpoint.ts'
import { COMPOSITE, OBJECT, PART, TOMBSTONE } from '../format/envelope.ts'
import { FormatError } from '../format/fault.ts'
import { checkManifest, readManifestHead } from '../format/manifest.ts'
import { Frontier, leafHash } from '../format/merkle.ts'
import { checkSealCode, sealCode } from '../format/seal-code.ts'
import { certifiedKey, oneLine, readCertificate } from './certificate.ts'
import { filesIn, openFile } from './file.ts'
import { type Report, step } from './report.ts'

export type ManifestChecks = { ca: X509Certificate | null; sealCode: string | null }

/** What a manifest that holds says; drive checks go on from here. */
export type CheckedManifest = { file: string; checkpoint: Checkpoint; signedCheckpoint: Buffer; signer: Buffer }

/** Roots that earlier checkpoints signed, by size of the tree: the manifest's leaves must give them on the way. */
export type EarlierRoots = Map<number, { number: number; root: Buffer }>

/**
 * Certificate, signature, seal code, and every leaf against the signed root.
 * @returns null when it does not hold; the report says why
 */
export async function checkManifestFile(
  file: string,
  checks: ManifestChecks,
  report: Report,
  earlier: (signer: Buffer, signedCheckpoint: Buffer) => Promise<EarlierRoots> = async () => new Map(),
): Promise<CheckedManifest | null> {
  const opened = await openFile(file)
  try {
    return await step(report, file, async () => {
      const head = await readManifestHead(opened.read)
      const { createdAt } = head.checkpoint
      const signer = certifiedKey(head.deviceCertificate, checks.ca, createdAt, "the device's certificate")
      report.found.device = `${head.checkpoint.device} ${oneLine(readCertificate(head.deviceCertificate, '').subject)}`
      if (checks.ca === null)
        report.notes.push('who issued the certificate was not checked; give --ca with the CA that you trust')
      const roots = await earlier(signer, head.signedCheckpoint)
      const counts = new Map<number, number>()
      const frontier = Frontier.empty()
      const checkpoint = await checkManifest(opened.read, signer, (leaf, encoded) => {
        counts.set(leaf.kind, (counts.get(leaf.kind) ?? 0) + 1)
        if (roots.size === 0) return
        frontier.append(leafHash(encoded))
        const signed = roots.get(frontier.size)
        if (signed !== undefined && !signed.root.equals(frontier.root()))
          throw new FormatError(
            'tampered',
            `checkpoint ${signed.number} signed other leaves than the manifest begins with`,
          )
      })
      if (checks.sealCode !== null) checkSealCode(checks.sealCode, head.signedCheckpoint)
      else report.notes.push('that this is the newest seal was not checked; give --seal-code')
      Object.assign(report.found, {
        job: checkpoint.job,
        checkpoint: checkpoint.number,
        sealed: new Date(createdAt).toISOString(),
        'seal code': sealCode(head.signedCheckpoint),
        leaves: checkpoint.treeSize,
        'whole objects': counts.get(OBJECT) ?? 0,
        composites: counts.get(COMPOSITE) ?? 0,
        parts: counts.get(PART) ?? 0,
        tombstones: counts.get(TOMBSTONE) ?? 0,
        'visible objects': checkpoint.objects,
        'visible bytes': checkpoint.bytes,
      })
      return { file, checkpoint, signedCheckpoint: head.signedCheckpoint, signer }
    })
  } finally {
    await opened.close()
  }
}

/** The manifest of a drive whose checkpoint has the highest number; null when there is none that can be read. */
export async function newestManifest(folder: string, report: Report): Promise<string | null> {
  let best: { file: string; number: number } | null = null
  for (const file of await filesIn(folder)) {
    const opened = await openFile(file)
    try {
      const head = await step(report, file, () => readManifestHead(opened.read))
      const number = head === null ? 0 : peekCheckpoint(head.signedCheckpoint).number
      if (number > (best?.number ?? 0)) best = { file, number }
    } finally {
      await opened.close()
    }
  }
  return best?.file ?? null
}
