import { AdministrationError, type JobState } from '../../format/administration.ts'

export type JobEvent = 'device-prepared' | 'begin-intake' | 'end-intake' | 'destroy-key'

/** What may happen when. A job may be prepared and taken in again (a further trip); a closed one stays closed. */
const NEXT: Record<JobState, Partial<Record<JobEvent, JobState>>> = {
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
}

/** @throws AdministrationError "state" */
export function nextJobState(state: JobState, event: JobEvent): JobState {
  const next = NEXT[state][event]
  if (next !== undefined) return next
  const may = Object.keys(NEXT[state]).join(', ')
  throw new AdministrationError('state', `job is ${state}: no ${event} now; what can be done is ${may}`)
}
