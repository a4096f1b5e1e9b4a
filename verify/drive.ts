import { hash } from 'node:crypto'
import path from 'node:path'
import type { DriveId, PackId } from '../format/bytes.ts'
import { type Checkpoint, peekCheckpoint } from '../format/checkpoint.ts'
import { CheckpointChain } from '../format/checkpoint-chain.ts'
import { FormatError } from '../format/fault.ts'
import { parseLeaf } from '../format/leaf.ts'
import { readLeaves, readManifestHead } from '../format/manifest.ts'
import { readPackHeader } from '../format/pack-walk.ts'
import { MESSAGE_LIMIT, messageHash } from '../format/signed.ts'
import { DRIVE, parseVolume } from '../format/volume.ts'
import { filesIn, openFile, readWhole } from './file.ts'
import {
  type CheckedManifest,
  checkManifestFile,
  type EarlierRoots,
  type ManifestChecks,
  newestManifest,
} from './manifest.ts'
import { checkPack, committed } from './pack.ts'
import type { Progress } from './progress.ts'
import { add, type Report, step } from './report.ts'

export type DriveChecks = ManifestChecks & { deep: boolean; progress: (total: number) => Progress }

/** A whole drive, as an auditor without a key reads it. FORMAT.md §15.1 */
export async function checkDrive(folder: string, checks: DriveChecks, report: Report): Promise<void> {
  const file = await newestManifest(path.join(folder, DRIVE.manifest), report)
  if (file === null)
    return add(
      report,
      DRIVE.manifest,
      'truncated',
      'no manifest that can be read: this drive was not sealed, or it is gone',
    )
  const chain = (signer: Buffer, signed: Buffer) => checkChain(folder, signer, signed, report)
  const manifest = await checkManifestFile(file, checks, report, chain)
  if (manifest === null) return
  const drive = await step(report, DRIVE.volume, async () =>
    parseVolume(await readWhole(path.join(folder, DRIVE.volume), 4096)),
  )
  if (drive === null) return
  report.found.drive = `${drive.drive} (number ${drive.number})`
  if (!manifest.checkpoint.drives.includes(drive.drive))
    return add(report, DRIVE.volume, 'mismatch', `drive ${drive.drive} is none of those that the checkpoint names`)
  await checkPacks(folder, drive.drive, manifest, checks, report)
}

/** @returns the roots that the manifest's leaves must give on the way */
async function checkChain(folder: string, signer: Buffer, sealed: Buffer, report: Report): Promise<EarlierRoots> {
  const roots: EarlierRoots = new Map()
  const files: { file: string; number: number }[] = []
  for (const file of await filesIn(path.join(folder, DRIVE.checkpoints))) {
    const number = await step(report, file, async () => peekCheckpoint(await readWhole(file, MESSAGE_LIMIT)).number)
    if (number !== null) files.push({ file, number })
  }
  files.sort((a, b) => a.number - b.number)
  const chain = new CheckpointChain(signer)
  await step(report, DRIVE.checkpoints, async () => {
    for (const { file } of files) {
      const { number, treeSize, root } = chain.take(await readWhole(file, MESSAGE_LIMIT))
      if (treeSize > 0) roots.set(treeSize, { number, root })
    }
    if (!chain.head.equals(messageHash(sealed)))
      throw new FormatError(
        'mismatch',
        `the chain ends in checkpoint ${chain.last?.number ?? 0}, which is not the manifest's`,
      )
    report.found['chain of checkpoints'] = `unbroken, 1 to ${chain.last?.number ?? 0}`
  })
  return roots
}

async function checkPacks(
  folder: string,
  drive: DriveId,
  manifest: CheckedManifest,
  checks: DriveChecks,
  report: Report,
): Promise<void> {
  const { checkpoint } = manifest
  const here = new Map(checkpoint.packs.filter(each => each.drive === drive).map(each => [each.pack, each]))
  const elsewhere = checkpoint.packs.length - here.size
  if (elsewhere > 0) report.notes.push(`${elsewhere} packs of this set lie on other drives: check those too`)
  const found = new Map<PackId, string>()
  for (const file of await filesIn(path.join(folder, DRIVE.packs))) {
    const opened = await openFile(file)
    try {
      const header = await step(report, file, () => readPackHeader(opened.read))
      if (header === null) continue
      if (!here.has(header.pack))
        add(report, file, 'mismatch', `pack ${header.pack} is not one that was signed for this drive`)
      else if (found.has(header.pack)) add(report, file, 'mismatch', `pack ${header.pack} is there twice`)
      else found.set(header.pack, file)
    } finally {
      await opened.close()
    }
  }
  const total = [...here.values()].reduce((sum, each) => sum + each.length, 0)
  const progress = checks.progress(checks.deep ? total : 0)
  let whole = 0
  for (const [pack, signed] of here) {
    const file = found.get(pack)
    if (file === undefined) {
      add(report, DRIVE.packs, 'truncated', `pack ${pack} of ${signed.length} bytes was signed and is not there`)
      continue
    }
    const opened = await openFile(file)
    const count = await step(report, file, () => checkPack(opened, signed, checkpoint, checks.deep, progress))
    await opened.close()
    if (count !== null) whole++
  }
  progress.close()
  report.found.packs = `${whole} of ${here.size} whole${checks.deep ? ', every body read' : ''}`
  if (!checks.deep) report.notes.push('bodies were not read; --deep compares each with its digest')
  else if (whole === here.size) await findMissing(manifest, [...found.values()], elsewhere > 0, report)
}

/** So many leaves are held at a time; a larger set takes a pass over the packs for each such share. */
export const SHARE = 200_000

/** Which leaves have no commit in the packs at hand. */
async function findMissing(manifest: CheckedManifest, packs: string[], more: boolean, report: Report): Promise<void> {
  let missing = 0
  const shares = Math.ceil(manifest.checkpoint.treeSize / SHARE)
  for (let share = 0; share < shares; share++) {
    const wanted = await leavesOf(manifest.file, manifest.checkpoint, share)
    for (const pack of packs) {
      const opened = await openFile(pack)
      try {
        for await (const { sequence, bytes } of committed(opened.read))
          if (wanted.get(sequence)?.hash === hash('sha256', bytes, 'hex')) wanted.delete(sequence)
      } finally {
        await opened.close()
      }
    }
    missing += wanted.size
    if (!more)
      for (const [sequence, { object }] of [...wanted].slice(0, 20))
        add(
          report,
          DRIVE.packs,
          'truncated',
          `object ${object} (sequence ${sequence}) was signed and no pack commits it`,
        )
  }
  if (more) report.notes.push(`${missing} of ${manifest.checkpoint.treeSize} leaves are committed on other drives`)
  else if (missing > 20) report.notes.push(`${missing} objects have no commit; the first are listed`)
}

async function leavesOf(
  file: string,
  checkpoint: Checkpoint,
  share: number,
): Promise<Map<number, { hash: string; object: string }>> {
  const wanted = new Map<number, { hash: string; object: string }>()
  const opened = await openFile(file)
  try {
    const { leavesAt } = await readManifestHead(opened.read)
    let index = 0
    for await (const encoded of readLeaves(opened.read, leavesAt)) {
      if (Math.floor(index++ / SHARE) !== share) continue
      const leaf = parseLeaf(encoded)
      if (wanted.has(leaf.sequence))
        throw new FormatError(
          'malformed',
          `manifest: sequence ${leaf.sequence} twice, up to ${checkpoint.lastSequence}`,
        )
      wanted.set(leaf.sequence, { hash: leaf.envelopeHash.toString('hex'), object: leaf.objectId })
    }
  } finally {
    await opened.close()
  }
  return wanted
}
