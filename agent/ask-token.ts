import { TokenError } from '../hsm/token.ts'
import { StoreError } from '../store/object-store.ts'

/**
 * Asks the token for the store: what it answers instead is told as something to try again, since nothing is acknowledged without it.
 * @throws StoreError "busy" - its cause is the token's own fault
 */
export async function askToken<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (!(cause instanceof TokenError)) throw cause
    throw new StoreError('busy', `The token does not answer as it must: ${cause.message}. Try again.`, { cause })
  }
}
