import { renderUnicodeCompact } from 'uqr'
import type { CredentialsAnswer, SealAnswer, StatusAnswer } from '../commander.ts'
import type { CopyProgress, CopyResult, Remark } from '../copy/report.ts'
import { bytesInWords, durationInWords, progressInWords, type Terminal } from '../terminal.ts'
import type { VerifyProgress, VerifyResult } from '../verify.ts'

export function showStatus(terminal: Terminal, status: StatusAnswer): void {
  if (terminal.json) {
    terminal.out(JSON.stringify(status))
    return
  }
  const rows: [string, string | null][] = [
    ['state', status.state],
    ['device', status.device],
    ['job', status.job],
    ['account', status.account],
    ['mode', status.modeInWords],
    ['buckets', status.buckets.join(', ')],
    ['drives', status.drives.map(each => `${each.path} (drive ${each.number})`).join(', ')],
    [
      'objects',
      status.objects === null ? null : `${status.objects.toLocaleString('en-US')}, ${bytesInWords(status.bytes ?? 0)}`,
    ],
    ['endpoint', status.endpoint],
    ['grant ends', status.expires],
    ['wrong codes', status.wrongCodes === 0 ? null : `${status.wrongCodes}; next try in ${status.nextTryInSeconds} s`],
    [
      'recovered',
      status.recovered === null || (status.recovered.objects === 0 && status.recovered.damage === 0)
        ? null
        : `${status.recovered.objects} objects, ${status.recovered.damage} damaged places`,
    ],
  ]
  for (const { bucket, key } of status.recovered?.lost ?? [])
    terminal.say(`lost to damage on the drive, put it again: ${bucket}/${key}`)
  for (const [name, value] of rows) if (value !== null && value !== '') terminal.out(`${name.padEnd(12)} ${value}`)
}

export function showCopyProgress(terminal: Terminal, progress: CopyProgress): void {
  const all = progress.scanned ? { objects: progress.foundObjects, bytes: progress.foundBytes } : null
  terminal.progress(
    progressInWords(
      { objects: progress.objects, bytes: progress.bytes + progress.keptBytes },
      all,
      progress.elapsedSeconds,
      'files',
    ),
  )
}

export function showRemark(terminal: Terminal, remark: Remark): void {
  terminal.say(`${remark.kind}: ${remark.path}: ${remark.reason}`)
}

export function showCopy(terminal: Terminal, result: CopyResult): void {
  terminal.settle()
  if (terminal.json) {
    terminal.out(JSON.stringify(result))
    return
  }
  const rate = bytesInWords(result.bytes / Math.max(result.elapsedSeconds, 0.001))
  terminal.out(
    `${result.files.toLocaleString('en-US')} files and ${result.links.toLocaleString('en-US')} links, ${bytesInWords(result.bytes + result.keptBytes)}, in ${durationInWords(result.elapsedSeconds)} (${rate}/s)`,
  )
  if (result.kept > 0)
    terminal.out(`${result.kept.toLocaleString('en-US')} of them were there already and are unchanged`)
  if (result.skipped + result.renamed + result.changed + result.failed > 0)
    terminal.out(
      `${result.skipped} skipped, ${result.renamed} under another name, ${result.changed} changed while they were read, ${result.failed} failed`,
    )
}

export function showSeal(terminal: Terminal, answer: SealAnswer): void {
  if (terminal.json) {
    terminal.out(JSON.stringify(answer))
    return
  }
  for (const each of answer.unfinished)
    terminal.say(`not shipped: the upload of ${each.bucket}/${each.key} was never completed`)
  terminal.out(`sealed: ${answer.objects.toLocaleString('en-US')} objects, ${bytesInWords(answer.bytes)}`)
  terminal.out('')
  terminal.out(`    seal code   ${answer.code}   (seal ${answer.sealNumber})`)
  terminal.out('')
  // for a camera; elsewhere it would only be noise in a log
  if (terminal.drawn) terminal.out(renderUnicodeCompact(`${answer.code} ${answer.sealNumber}`))
  terminal.out(
    'Send the seal code (or the file seal.json) to the provider by another road than the drive: it proves which seal is the newest.',
  )
}

export function showCredentials(terminal: Terminal, answer: CredentialsAnswer): void {
  if (terminal.json) {
    terminal.out(JSON.stringify(answer))
    return
  }
  terminal.out(`access key   ${answer.accessKey}`)
  terminal.out(`secret key   ${answer.secretKey}`)
  terminal.out(`buckets      ${answer.buckets.join(', ')}`)
  if (answer.endpoint !== null) terminal.out(`endpoint     ${answer.endpoint}`)
}

export function showVerifyProgress(terminal: Terminal, progress: VerifyProgress): void {
  terminal.progress(
    progressInWords(
      { objects: progress.checked, bytes: progress.bytes },
      null,
      progress.elapsedSeconds,
      'objects checked',
    ),
  )
}

/** @returns exit code: 65 when anything is damaged */
export function showVerify(terminal: Terminal, result: VerifyResult): number {
  terminal.settle()
  if (terminal.json) terminal.out(JSON.stringify(result))
  else {
    for (const each of result.damaged) terminal.out(`damaged: ${each.bucket}/${each.key}: ${each.reason}`)
    terminal.out(
      `${result.checked.toLocaleString('en-US')} objects, ${bytesInWords(result.bytes)}: ${result.tags} by every tag, ${result.digests} by digest of the sealed body, ${result.damagedCount} damaged`,
    )
  }
  return result.damagedCount > 0 ? 65 : 0
}
