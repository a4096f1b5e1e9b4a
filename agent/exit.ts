import { FormatError } from '../format/fault.ts'
import { TokenError } from '../hsm/token.ts'
import { StoreError } from '../store/object-store.ts'
import { AgentError, type AgentFault } from './fault.ts'

const BY_FAULT: Record<AgentFault, number> = {
  usage: 2,
  configuration: 78,
  absent: 69,
  locked: 77,
  busy: 75,
  integrity: 65,
  refused: 77,
  failed: 1,
}

/** Exit code of a command that ended with this error: the table of docs/exit-codes. */
export function exitCode(error: unknown): number {
  if (error instanceof AgentError) return BY_FAULT[error.fault]
  if (error instanceof FormatError) return error.fault === 'wrong-code' ? 77 : 65
  if (error instanceof TokenError) return error.fault === 'locked' ? 77 : error.fault === 'configuration' ? 78 : 69
  if (error instanceof StoreError) {
    if (error.fault === 'busy') return error.cause instanceof TokenError ? exitCode(error.cause) : 75
    if (error.fault === 'damaged') return 65
    if (error.fault === 'full') return 74
    if (error.fault === 'read-only' || error.fault === 'forbidden') return 77
    return 1
  }
  return 1
}

/** The cause that says most: an error of ours somewhere in the chain. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
