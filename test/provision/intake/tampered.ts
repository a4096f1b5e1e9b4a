/** A sealed drive, and what is expected of an intake after each harm to it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import type { FindingCode } from '../../../provision/intake/finding.ts'
import type { IntakeOptions } from '../../../provision/intake/intake.ts'
import { bytesOf, PLAIN, putText, readAll } from '../../store/pack/device.ts'
import { openAuthority } from '../authority.ts'
import { type Dock, openDock } from '../dock.ts'
import { type Job, makeJob } from '../job.ts'
import { packsOf } from './harm.ts'

/** What one whole drive holds: seal 1 in the first pack, two more objects under seal 2 in the second. */
export const contents = new Map<string, string>([
  ...Array.from({ length: 8 }, (_, at): [string, string] => [`k${at}`, `number ${at}`]),
  ['k1', 'overwritten'],
  ['multi', 'of one part'],
  ['late0', 'after the first seal'],
  ['late1', 'the last'],
])
export const ALL = contents.size

export type Made = {
  authority: ReturnType<typeof openAuthority>
  job: Job
  code: string
  older: { drives: string[]; remove(): void }
  olderCode: string
  seal: Buffer
}
/** One drive for all rows of a file; each row harms a copy. */
export async function makeSealed(): Promise<Made> {
  const authority = openAuthority()
  const job = await makeJob(authority)
  const store = await job.open()
  for (let at = 0; at < 8; at++) await putText(store, `k${at}`, `number ${at}`)
  await putText(store, 'k1', 'overwritten')
  await putText(store, 'gone', 'taken back')
  await store.delete('b', 'gone')
  const upload = await store.createUpload('b', 'multi', PLAIN)
  await store.putPart(upload.id, 1, bytesOf('of one part'), { finish: () => ({ etag: 'p1' }) })
  await store.putPart(upload.id, 2, bytesOf('of no object'), { finish: () => ({ etag: 'p2' }) })
  await store.completeUpload(upload.id, [{ partNumber: 1, etag: 'p1' }], { finish: () => ({ etag: 'm-1' }) })
  const first = await store.seal()
  const older = job.copy()
  await store.reopen()
  await putText(store, 'late0', 'after the first seal')
  await putText(store, 'late1', 'the last')
  const last = await store.seal()
  await store.close()
  const seal = readFileSync(join(job.device.drives[0]?.path ?? '', 'seal.json'))
  return { authority, job, code: last.code, older, olderCode: first.code, seal }
}
export function removeSealed(made: Made): void {
  made.older.remove()
  made.job.remove()
}

export type Row = {
  harm: string
  do?: (drive: string) => unknown
  codes: FindingCode[]
  /** names that do not go in; the rest must, and read as it was. 'all': nothing does */
  lost?: string[] | 'all'
  /** further things that are said of the same harm */
  also?: FindingCode[]
  with?: (drive: string) => Partial<IntakeOptions>
  freshness?: IntakeOptions['freshness']
  prepare?: (dock: Dock) => unknown
}
export const [firstPack, lastPack] = [
  (drive: string) => packsOf(drive)[0] ?? '',
  (drive: string) => packsOf(drive).at(-1) ?? '',
]

export const titleOf = (row: Row): string =>
  `${row.harm}: ${row.codes.join(', ') || 'nothing is said'}${row.lost === 'all' ? '; nothing goes in' : ''}`

/**
 * The row's harm to a copy of the drive; what must be said, what must go in.
 * @param apartBytes - 0: the packs are read by threads
 */
export async function run(row: Row, made: Made, apartBytes?: number): Promise<void> {
  const { job, code } = made
  const dock = await openDock(made.authority, undefined, apartBytes)
  const copy = job.copy()
  const [drive = ''] = copy.drives
  try {
    await row.prepare?.(dock)
    await row.do?.(drive)
    const freshness = row.freshness === undefined ? { kind: 'seal-code' as const, code } : row.freshness
    const report = await dock.takeIn(job, null, { drives: copy.drives, freshness, ...row.with?.(drive) })
    const found = new Set(report.findings.map(each => each.code))
    for (const wanted of row.codes) assert.ok(found.has(wanted), `${wanted} among ${[...found]}`)
    const allowed = new Set([...row.codes, ...(row.also ?? [])])
    assert.equal(
      [...found].filter(each => !allowed.has(each)),
      [],
      'nothing else is said',
    )
    const lost = row.lost === 'all' ? [...contents.keys()] : (row.lost ?? [])
    assert.is(report.counts.stored, ALL - lost.length)
    assert.is(report.outcome, row.lost === 'all' ? 'held' : row.codes.length > 0 ? 'with-findings' : 'complete')
    assert.is(report.receipts === null, row.lost === 'all')
    const mine = dock.hosted.store(dock.authority.callerOf(job.order.account))
    for (const [key, text] of row.lost === 'all' || row.prepare ? [] : contents) {
      const read = await mine.get('b', key)
      assert.is(read && (await readAll(read.body)).toString('utf8'), lost.includes(key) ? null : text, key)
    }
  } finally {
    copy.remove()
    await dock.close()
  }
}
