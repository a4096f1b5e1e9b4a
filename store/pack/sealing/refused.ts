import { FormatError } from '../../../format/fault.ts'
import { StoreError } from '../../object-store.ts'
import type { Refused } from './messages.ts'

/** What a call met, as it travels. */
export function refusedOf(error: unknown): Refused {
  if (error instanceof StoreError) return { fault: error.fault, message: error.message }
  // the labels of an object are the caller's: too long, too many
  if (error instanceof FormatError && error.fault === 'limit') return { fault: 'forbidden', message: error.message }
  return { fault: 'damaged', message: error instanceof Error ? error.message : String(error) }
}
