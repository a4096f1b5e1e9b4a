import type { Kysely } from 'kysely'
import type { DeviceId, JobId } from '../../format/bytes.ts'
import type { Checkpoint } from '../../format/checkpoint.ts'
import type { JobOrder } from '../../format/job-order.ts'
import type { Receipt } from '../../format/receipt.ts'
import type { JobAnswer, KeyRelease, StationProof } from '../../format/release.ts'
import { type FindingCode, IntakeError } from './finding.ts'
import type { WorkSchema } from './schema.ts'
import type { Target } from './target.ts'

export type Progress = { phase: Phase; done: number; total: number; bytesPerSecond: number }
export const PHASES = ['adopt', 'walk', 'tree', 'names', 'judge', 'reseal', 'prove', 'register', 'receipt'] as const
export type Phase = (typeof PHASES)[number]

/** A drive's directory, and what it says of itself; null: unreadable. */
export type Volume = { path: string; drive: string | null }
export type Step = { number: number; treeSize: number; root: Buffer; peaks: Buffer[] }

/** Everything that the phases of one run share. */
export type Work = {
  database: Kysely<WorkSchema>
  /** where it lies: threads open it too */
  file: string
  /** drives with as much in their packs are read by threads */
  apartBytes: number
  /** what its rows bear */
  run: number
  /** what the target knows it by */
  id: string
  /** the finished run before this one: what it stored is stored; null: there is none */
  earlier: number | null
  release: KeyRelease
  target: Target
  station: StationProof
  answer: JobAnswer
  order: JobOrder
  identity: Buffer
  job: JobId
  device: DeviceId
  volumes: Volume[]
  /** every checkpoint's tree, ascending */
  steps: Step[]
  last: Checkpoint
  sealedHash: Buffer
  freshness: Receipt['freshness']
  level: 'digest' | 'key'
  /** keys are asked for as soon as names are known; else when what is asked for is about to go in */
  provesAhead: boolean
  receipts: string
  number: number
  clock: () => number
  /** @throws IntakeError "stopped" - between two commit points */
  progress: (phase: Phase, done: number, total: number, bytes?: number) => void
  find: (code: FindingCode, message: string) => Promise<void>
}

/** What reading a pack needs of it, and can have in a thread of its own. */
export type Keeping = Pick<Work, 'database' | 'run' | 'job' | 'device' | 'identity' | 'find'>

export const PAGE = 500

export function packName(work: Pick<Work, 'job'>, pack: string): string {
  return `${work.job}/${pack}`
}

/** Tells how it goes, and stops where it may be stopped. */
export function progressOf(
  tell: ((progress: Progress) => void) | undefined,
  signal: AbortSignal | undefined,
  now: () => number,
): Work['progress'] {
  let phase: Phase | null = null
  let bytes = 0
  let since = now()
  return (at, done, total, more = 0) => {
    if (at !== phase) {
      phase = at
      bytes = 0
      since = now()
    }
    bytes += more
    const seconds = (now() - since) / 1000
    tell?.({ phase: at, done, total, bytesPerSecond: seconds > 0 ? Math.round(bytes / seconds) : 0 })
    if (signal?.aborted)
      throw new IntakeError('stopped', `intake stopped while it was at "${at}"; run it again and it goes on`)
  }
}
