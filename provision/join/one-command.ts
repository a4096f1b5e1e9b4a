import { join } from 'node:path'
import { lockDirectory } from '../../store/lock.ts'
import { CONFIG_FILE, connected, keystoreSockets, type Operator } from '../operator.ts'
import { type Joined, joinProvider, openProvider, type Role } from '../serve.ts'

/**
 * The provider for one command, where none runs that does it: beside the keystore that runs, else with one that is started for it, under the
 * directory's lock.
 */
export async function withProvider<T>(
  operator: Operator,
  state: string,
  roles: readonly Role[],
  work: () => Promise<T>,
): Promise<T> {
  const sockets = keystoreSockets(state)
  const running = await connected(sockets.administration)
  if (running !== null) {
    running.close()
    return closing(await joinProvider(sockets, roles), work)
  }
  const lock = lockDirectory(state)
  try {
    return await closing(
      await openProvider({ entry: operator.keystoreEntry, config: join(state, CONFIG_FILE) }, roles),
      work,
    )
  } finally {
    lock.close()
  }
}

async function closing<T>(provider: Joined, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } finally {
    await provider.close()
  }
}
