import { type Lock, lockDirectory } from '../store/lock.ts'
import { StoreError } from '../store/object-store.ts'
import { AgentError } from './fault.ts'

/** Holds a directory of the device for this process alone. @throws AgentError "busy" - another has it */
export function hold(directory: string): Lock {
  try {
    return lockDirectory(directory)
  } catch (error) {
    if (error instanceof StoreError && error.fault === 'busy')
      throw new AgentError('busy', error.message, { cause: error })
    throw error
  }
}
