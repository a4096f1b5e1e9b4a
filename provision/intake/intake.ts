import { join } from 'node:path'
import type { Kysely } from 'kysely'
import { FormatError } from '../../format/fault.ts'
import { verifyJobOrder } from '../../format/job-order.ts'
import type { KeyRelease, StationProof } from '../../format/release.ts'
import { messageHash } from '../../format/signed.ts'
import { makeDirectoryDurable, writeFileDurable } from '../../store/durable.ts'
import { makeDurable, sqliteFile } from '../database/dialect.ts'
import { openDatabase } from '../database/open.ts'
import { checkFreshness, checkGrants, readChain, readVolumes, type Shown } from './chain.ts'
import { keepRecordFiles, resealEpochs } from './epochs.ts'
import { type Finding, type FindingCode, IntakeError, isFatal } from './finding.ts'
import { findingsInto } from './findings.ts'
import { forget } from './forget.ts'
import { judgeItems } from './judge.ts'
import { workMigrations } from './migrations.ts'
import { openNames } from './names.ts'
import { adoptPacks } from './packs.ts'
import { proveParts } from './prove.ts'
import { writeReceipts } from './receipts.ts'
import { registerObjects } from './register.ts'
import { heldReport, makeReport, type Report, reportText } from './report.ts'
import { dropIndexes, makeIndexes, type WorkSchema } from './schema.ts'
import type { Target } from './target.ts'
import { buildTree } from './tree.ts'
import { walkPacks } from './walk.ts'
import { PHASES, type Phase, type Progress, progressOf, type Work } from './work.ts'

export type IntakeOptions = {
  /** directories of the drives; more of the set make it whole */
  drives: string[]
  station: StationProof
  release: KeyRelease
  target: Target
  /** what the customer, or an operator who overrides, says of the newest seal */
  freshness: Shown | null
  /** what is proved of each object before a receipt is signed */
  level?: 'digest' | 'key'
  /** only look: everything is verified that needs no key of an object, nothing is registered or signed */
  check?: true
  clock: () => number
  progress?: (progress: Progress) => void
  /** stops between two commit points */
  signal?: AbortSignal
}

export type Station = {
  /**
   * Takes the drives of one device in. Whatever it was killed at, running it again goes on; a complete one reports the same and changes
   * nothing. One that ended with findings is looked at again, on the drives given now (a repaired copy, the whole set): what it stored
   * stays, what is sound now goes in, under a report and receipts of the next number. What is wrong with the drives is in the report; what throws is to be run again.
   *
   * @throws IntakeError "no-drive" | "stopped"; ReleaseError - the authority's answer to the station itself, or "unavailable"
   */
  takeIn(options: IntakeOptions): Promise<Report>
  close(): Promise<void>
}

/** Drives with less to read are not worth the start of a thread. */
const APART_BYTES = 32 << 20

/**
 * @param directory - holds intake.sqlite, receipts/ and reports/
 * @param apartBytes - drives with as much in their packs are read by threads
 */
export async function openStation(directory: string, apartBytes = APART_BYTES): Promise<Station> {
  await makeDirectoryDurable(directory, 0o700)
  // every phase can be done again from what is left of it: only their ends must not be taken back
  const file = sqliteFile(databaseFile(directory), 'kill')
  const database = await openDatabase<WorkSchema>(file, workMigrations)
  let closing: Promise<void> | undefined
  return {
    takeIn: options => takeIn(database, directory, apartBytes, options),
    close() {
      closing ??= database.destroy()
      return closing
    },
  }
}

function databaseFile(directory: string): string {
  return join(directory, 'intake.sqlite')
}

const CHECKED: readonly Phase[] = PHASES.slice(0, PHASES.indexOf('judge') + 1)

const STEPS: Record<Phase, (work: Work) => Promise<unknown>> = {
  adopt: adoptPacks,
  walk: walkPacks,
  tree: async work => {
    await keepRecordFiles(work)
    await buildTree(work)
  },
  names: openNames,
  judge: judgeItems,
  reseal: resealEpochs,
  prove: proveParts,
  register: registerObjects,
  receipt: writeReceipts,
}

async function takeIn(
  database: Kysely<WorkSchema>,
  directory: string,
  apartBytes: number,
  options: IntakeOptions,
): Promise<Report> {
  const { station, release, clock } = options
  if (options.drives.length === 0) throw new IntakeError('no-drive', 'give at least one drive')
  const findings: Finding[] = []
  const find = (code: FindingCode, message: string) => void findings.push({ code, message })
  const answer = await release.job(station)
  const order = orderOf(answer, find)
  const grants = answer.devices.filter(each => each.device === station.device)
  const identity = grants[0]?.identitySpki
  if (identity === undefined) find('wrong-device', `device ${station.device} is none of job ${station.job}`)
  const volumes = await readVolumes(options.drives, station.job, station.device, find)
  const issued = grants.map(each => each.grantHash)
  await checkGrants(volumes, issued, find)
  const chain =
    identity === undefined || volumes.length === 0
      ? { steps: [], last: null, signed: Buffer.alloc(0) }
      : await readChain(volumes, identity, issued, find)
  checkFreshness(options.freshness, chain, find)
  const { last } = chain
  if (last === null || order === null || identity === undefined || findings.some(each => isFatal(each.code))) {
    const report = heldReport(
      {
        job: station.job,
        device: station.device,
        freshness: findings.some(each => each.code === 'not-fresh')
          ? 'not-shown'
          : (options.freshness?.kind ?? 'not-shown'),
        seal: last === null ? null : { number: last.number, objects: last.objects, bytes: last.bytes },
        drives: volumes,
      },
      findings,
    )
    await keepReport(directory, `${station.job}-${station.device}-held`, report)
    return report
  }
  const sealedHash = messageHash(chain.signed)
  const row = await beginRun(database, sealedHash.toString('hex'), station, clock())
  if (row.report !== null) return JSON.parse(row.report) as Report
  const run = row.row
  const earlier = await rowOf(database, row.earlier)
  const level = await levelOf(database, earlier, options.level ?? 'key')
  const work: Work = {
    ...{
      database,
      run,
      id: row.id,
      earlier,
      release,
      target: options.target,
      station,
      answer,
      order,
      identity,
      volumes,
      last,
      sealedHash,
      clock,
    },
    job: station.job,
    device: station.device,
    steps: chain.steps,
    freshness: options.freshness?.kind ?? 'overridden',
    level,
    // what an earlier run stored is asked about no more: which that is, judging says
    provesAhead: level === 'key' && earlier === null && options.check === undefined,
    receipts: join(directory, 'receipts'),
    number: row.number,
    progress: progressOf(options.progress, options.signal, clock),
    find: findingsInto(database, run),
    file: databaseFile(directory),
    apartBytes,
  }
  for (const { code, message } of findings) await work.find(code, message)
  for (const drive of last.drives)
    if (!volumes.some(each => each.drive === drive))
      await work.find('drive-missing', `drive ${drive} of the set is not among those given`)
  const phases = options.check ? CHECKED : PHASES
  // another run may have ended since this one was stopped, and taken them away
  if (phaseNumber(row.phase) > PHASES.indexOf('walk')) await makeIndexes(database, 'commits')
  if (phaseNumber(row.phase) > PHASES.indexOf('tree')) await makeIndexes(database, 'items')
  for (const phase of phases.slice(phaseNumber(row.phase))) {
    work.progress(phase, 0, last.treeSize)
    await STEPS[phase](work)
    await database
      .updateTable('runs')
      .set({ phase: PHASES[PHASES.indexOf(phase) + 1] ?? 'receipt' })
      .where('row', '=', run)
      .execute()
    await makeDurable(database)
  }
  if (options.check) return { ...(await makeReport(work, row.started_at)), receipts: null }
  const report = await makeReport(work, row.started_at)
  await keepReport(directory, `${station.job}-${row.number}`, report)
  // the commit point of the whole: from here on the run is finished, and is answered from this row
  await database
    .updateTable('runs')
    .set({ report: JSON.stringify(report) })
    .where('row', '=', run)
    .execute()
  await makeDurable(database)
  // rows leave faster than they would leave their indexes; whoever comes next makes them again
  await dropIndexes(database, 'commits')
  await dropIndexes(database, 'items')
  if (earlier !== null) await forget(database, earlier, 'all')
  await forget(database, run, report.outcome === 'complete' ? 'all' : 'work')
  return report
}

/** What went in unproved stays so: receipts of later runs say no more of it. */
async function levelOf(database: Kysely<WorkSchema>, earlier: number | null, asked: Work['level']) {
  if (earlier === null) return asked
  const unproved = await database
    .selectFrom('items')
    .select('idx')
    .where('run', '=', earlier)
    .where('state', '=', 'stored')
    .where('proved', '=', 0)
    .limit(1)
    .executeTakeFirst()
  return unproved === undefined ? asked : 'digest'
}

function phaseNumber(name: string): number {
  return Math.max(0, PHASES.map(String).indexOf(name))
}

function orderOf(answer: Awaited<ReturnType<KeyRelease['job']>>, find: (code: FindingCode, message: string) => void) {
  try {
    return verifyJobOrder(answer.order, answer.orderSpki)
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    find('order-refused', error.message)
    return null
  }
}

/** The run to go on with: one that is not finished, or is complete; else a new one after the last. */
async function beginRun(database: Kysely<WorkSchema>, seal: string, station: StationProof, now: number) {
  return database.transaction().execute(async change => {
    const there = await change
      .selectFrom('runs')
      .selectAll()
      .where('seal', '=', seal)
      .orderBy('number', 'desc')
      .limit(1)
      .executeTakeFirst()
    if (there !== undefined && (there.report === null || isComplete(there.report))) return there
    const top = await change
      .selectFrom('runs')
      .select(({ fn }) => fn.max('number').as('number'))
      .where('job', '=', station.job)
      .executeTakeFirst()
    const rows = await change
      .selectFrom('runs')
      .select(({ fn }) => fn.max('row').as('row'))
      .executeTakeFirst()
    const number = (top?.number ?? 0) + 1
    const row = {
      id: `${seal}-${number}`,
      row: (rows?.row ?? 0) + 1,
      seal,
      job: station.job,
      device: station.device,
      number,
      earlier: there?.id ?? '',
      phase: 'adopt',
      started_at: now,
      report: null,
    }
    await change.insertInto('runs').values(row).execute()
    return row
  })
}

async function rowOf(database: Kysely<WorkSchema>, id: string): Promise<number | null> {
  if (id === '') return null
  const row = await database.selectFrom('runs').select('row').where('id', '=', id).executeTakeFirst()
  return row?.row ?? null
}

function isComplete(report: string): boolean {
  return (JSON.parse(report) as Report).outcome === 'complete'
}

async function keepReport(directory: string, name: string, report: Report): Promise<void> {
  const reports = join(directory, 'reports')
  await makeDirectoryDurable(reports, 0o700)
  await writeFileDurable(join(reports, `${name}.json`), Buffer.from(`${JSON.stringify(report, null, 2)}\n`), 0o600)
  await writeFileDurable(join(reports, `${name}.txt`), Buffer.from(reportText(report)), 0o600)
}
