import { StoreError } from '../object-store.ts'

/**
 * What a medium answered to a write, said so that it tells the next step.
 * @returns the cause itself when it is a fault of ours, or no answer of a file system
 */
export function mediumFault(cause: unknown, path: string): unknown {
  if (cause instanceof StoreError || !(cause instanceof Error) || !('code' in cause)) return cause
  const code = String(cause.code)
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new StoreError(
      'full',
      `${path}: its medium is full; nothing of this was acknowledged. Make room, or add a drive, and try again.`,
      { cause },
    )
  if (!code.startsWith('E') || code.startsWith('ERR_')) return cause
  return new StoreError(
    'damaged',
    `${path}: its medium does not take writes (${code}); nothing of this was acknowledged. Is it still plugged in?`,
    { cause },
  )
}

/** Does writes on a medium; what it answers is told by `mediumFault`. */
export async function onMedium<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw mediumFault(cause, path)
  }
}
