import { AccessError } from '../../../access/fault.ts'

/** The fault of what was thrown; null: nothing was. Any other error goes on. */
export function faultOf(run: () => unknown): string | null {
  try {
    run()
    return null
  } catch (error) {
    if (error instanceof AccessError) return error.fault
    throw error
  }
}
