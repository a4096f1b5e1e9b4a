import { COMPOSITE, OBJECT } from '../../format/envelope.ts'
import type { Receipt } from '../../format/receipt.ts'
import { CODES, type Finding, isFatal } from './finding.ts'
import { nameOf } from './item.ts'
import { receiptPath } from './receipts.ts'
import { APPLIED_DELETE } from './register.ts'
import type { ItemState } from './schema.ts'
import type { Work } from './work.ts'

/** Held objects listed by name in the report; all of them are in the receipts. */
const HELD_LISTED = 10_000

export type Report = {
  job: string
  device: string
  outcome: 'complete' | 'with-findings' | 'held'
  freshness: Receipt['freshness'] | 'not-shown'
  seal: { number: number; objects: number; bytes: number } | null
  drives: { path: string; drive: string | null }[]
  counts: {
    stored: number
    storedBytes: number
    held: number
    superseded: number
    takenBack: number
    dropped: number
    deleted: number
  }
  held: { name: string; reason: string }[]
  findings: Finding[]
  receipts: string | null
  seconds: number
  bytesPerSecond: number
}

/** Nothing went in: the chain itself, or its freshness, is not shown. */
export function heldReport(
  about: Pick<Report, 'job' | 'device' | 'freshness' | 'seal' | 'drives'>,
  findings: Finding[],
): Report {
  const counts = { stored: 0, storedBytes: 0, held: 0, superseded: 0, takenBack: 0, dropped: 0, deleted: 0 }
  return { ...about, outcome: 'held', counts, held: [], findings, receipts: null, seconds: 0, bytesPerSecond: 0 }
}

export async function makeReport(work: Work, startedAt: number): Promise<Report> {
  const { database, run } = work
  const whole: number[] = [OBJECT, COMPOSITE]
  const rows = await database
    .selectFrom('items')
    .select(['state', 'kind'])
    .select(({ fn, eb }) => [
      fn.countAll<number>().as('count'),
      fn.sum<number | null>('size').as('bytes'),
      fn.sum<number>(eb.case().when('reason', '=', APPLIED_DELETE).then(1).else(0).end()).as('deleted'),
    ])
    .where('run', '=', run)
    .groupBy(['state', 'kind'])
    .execute()
  const count = (state: ItemState, kinds: number[] | null = whole) => {
    const found = rows.filter(row => row.state === state && (kinds?.includes(row.kind) ?? true))
    return {
      count: found.reduce((sum, row) => sum + row.count, 0),
      bytes: found.reduce((sum, row) => sum + (row.bytes ?? 0), 0),
    }
  }
  const stored = count('stored')
  const held = await database
    .selectFrom('items')
    .select(['bucket', 'key', 'object_id', 'kind', 'number', 'reason'])
    .where('run', '=', run)
    .where('state', '=', 'held')
    .where('kind', 'in', whole)
    .orderBy('idx')
    .limit(HELD_LISTED)
    .execute()
  const findings = await findingsOf(work)
  const seconds = Math.max(0.001, (work.clock() - startedAt) / 1000)
  const { number, objects, bytes } = work.last
  return {
    job: work.job,
    device: work.device,
    outcome: findings.length === 0 ? 'complete' : 'with-findings',
    freshness: work.freshness,
    seal: { number, objects, bytes },
    drives: work.volumes.map(({ path, drive }) => ({ path, drive })),
    counts: {
      stored: stored.count,
      storedBytes: stored.bytes,
      held: count('held').count,
      superseded: count('superseded').count,
      takenBack: count('taken-back').count,
      dropped: count('dropped', null).count,
      deleted: rows.reduce((sum, row) => sum + row.deleted, 0),
    },
    held: held.map(row => ({ name: nameOf(row), reason: row.reason })),
    findings,
    receipts: receiptPath(work),
    seconds,
    bytesPerSecond: Math.round(work.last.packs.reduce((sum, pack) => sum + pack.length, 0) / seconds),
  }
}

async function findingsOf(work: Work): Promise<Finding[]> {
  const rows = await work.database
    .selectFrom('findings')
    .select(['code', 'message'])
    .where('run', '=', work.run)
    .orderBy('code')
    .orderBy('message')
    .execute()
  return rows.flatMap(({ code, message }) => {
    const known = CODES.find(each => each === code)
    return known === undefined ? [] : [{ code: known, message }]
  })
}

/** For people. */
export function reportText(report: Report): string {
  const { counts } = report
  const lines = [
    `Intake of job ${report.job}, device ${report.device}: ${report.outcome}`,
    `freshness: ${report.freshness}`,
    ...report.drives.map(({ path, drive }) => `drive ${drive ?? '(unreadable)'} at ${path}`),
    `stored ${counts.stored} objects, ${counts.storedBytes} bytes; held ${counts.held}`,
    `left out: ${counts.superseded} older versions, ${counts.takenBack} taken back, ${counts.dropped} parts of no object; deleted ${counts.deleted}`,
    `took ${report.seconds.toFixed(1)} s, ${report.bytesPerSecond} bytes/s`,
    ...(report.receipts === null ? ['no receipts: nothing went in'] : [`receipts: ${report.receipts}`]),
    ...report.findings.map(({ code, message }) => `${isFatal(code) ? 'STOPPED' : 'found'} ${code}: ${message}`),
    ...report.held.map(({ name, reason }) => `held ${name}: ${reason}`),
  ]
  return `${lines.join('\n')}\n`
}
