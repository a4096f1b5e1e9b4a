import { AdministrationError, type JobState } from '../../../format/administration.ts'

export type JobKind = 'import' | 'export'
export type JobEvent =
  | 'device-prepared'
  | 'begin-intake'
  | 'end-intake'
  | 'destroy-key'
  | 'begin-export'
  | 'end-export'
  | 'close'

type Table = Partial<Record<JobState, Partial<Record<JobEvent, JobState>>>>

/** What may happen when. A job may be prepared and taken in, or exported, again (a further trip); a closed one stays closed. */
const NEXT: Record<JobKind, Table> = {
  import: {
    ordered: { 'device-prepared': 'prepared', 'destroy-key': 'closed' },
    prepared: { 'device-prepared': 'prepared', 'begin-intake': 'taking-in', 'destroy-key': 'closed' },
    'taking-in': { 'end-intake': 'taken-in', 'begin-intake': 'taking-in' },
    'taken-in': {
      'device-prepared': 'prepared',
      'begin-intake': 'taking-in',
      'end-intake': 'taken-in',
      'destroy-key': 'closed',
    },
    closed: { 'destroy-key': 'closed' },
  },
  export: {
    ordered: { 'device-prepared': 'prepared', close: 'closed' },
    prepared: { 'device-prepared': 'prepared', 'begin-export': 'exporting', close: 'closed' },
    exporting: { 'begin-export': 'exporting', 'end-export': 'exported', close: 'closed' },
    exported: { 'device-prepared': 'prepared', 'begin-export': 'exporting', 'end-export': 'exported', close: 'closed' },
    closed: { close: 'closed' },
  },
}

/** @throws AdministrationError "state" */
export function nextJobState(kind: JobKind, state: JobState, event: JobEvent): JobState {
  const may = NEXT[kind][state] ?? {}
  const next = may[event]
  if (next !== undefined) return next
  const list = Object.keys(may).join(', ')
  throw new AdministrationError('state', `job is ${state}: no ${event} now; what can be done is ${list}`)
}
