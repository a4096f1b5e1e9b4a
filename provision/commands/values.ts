import { InvalidArgumentError } from 'commander'
import { type JobId, parseId } from '../../format/bytes.ts'

/** What commands read from their arguments. @throws InvalidArgumentError each */

export function jobId(text: string): JobId {
  if (!/^[0-9a-f]{32}$/.test(text)) throw new InvalidArgumentError('want the 32 hex digits of a job')
  return parseId<JobId>(text, 'job')
}

export function wholeNumber(text: string): number {
  const number = /^\d{1,12}$/.test(text) ? Number(text) : 0
  if (number < 1) throw new InvalidArgumentError('want a whole number from 1')
  return number
}
