import { setTimeout as delay } from 'node:timers/promises'
import { type KeystoreProcess, type KeystoreProgram, type KeystoreSockets, startKeystore } from './keystore-process.ts'
import type { Endpoint } from './socket-client.ts'

/** Where a keystore is spoken to: its sockets here, or its address elsewhere. */
export type KeystoreEndpoints = Record<keyof KeystoreSockets, Endpoint>

/** A role of the provider besides the keystore: what it opens stays open until it is closed. */
export type Role = {
  /** @param sockets - the keystore's; it may be started anew behind them at any time */
  open(sockets: KeystoreEndpoints): Promise<{ addresses: Address[]; close(): Promise<void> }>
}
type Address = { name: string; address: string }

/** Roles that are open. */
export type Joined = { roles: Address[]; close(): Promise<void> }
export type Provider = Joined & { keystore: { processId: number; keys?: string } & KeystoreSockets }

const BACKOFF_MS_MIN = 100
const BACKOFF_MS_MAX = 30_000

/**
 * The keystore as a process of its own, kept running, and the roles that speak to it. The roles to join are the list that the main
 * gives; the caller holds the state directory's lock.
 *
 * @throws KeystoreStartError - the first start of the keystore failed
 */
export async function openProvider(program: KeystoreProgram, roles: readonly Role[]): Promise<Provider> {
  const closing = new AbortController()
  let keystore = await startKeystore(program)
  const { processId, release, administration, login, keys } = keystore
  const first = { processId, release, administration, login, ...(keys !== null && { keys }) }
  const watch = async (): Promise<void> => {
    for (let failures = 0; !closing.signal.aborted; ) {
      await keystore.ended
      const next = await again(program, failures, closing.signal)
      if (next === null) failures++
      else {
        keystore = next
        failures = 0
      }
    }
  }
  const watched = watch()
  const end = async (): Promise<void> => {
    closing.abort()
    await keystore.close()
    await watched
  }
  try {
    const opened = await joinProvider(first, roles)
    return { keystore: first, roles: opened.roles, close: () => opened.close().finally(end) }
  } catch (error) {
    await end()
    throw error
  }
}

/** Roles alone: the keystore is another's, and may come and go. */
export async function joinProvider(sockets: KeystoreEndpoints, roles: readonly Role[]): Promise<Joined> {
  const opened: { addresses: Address[]; close(): Promise<void> }[] = []
  const close = async (): Promise<void> => {
    for (const role of opened.toReversed()) await role.close()
  }
  try {
    for (const role of roles) opened.push(await role.open(sockets))
  } catch (error) {
    await close()
    throw error
  }
  return { roles: opened.flatMap(({ addresses }) => addresses), close }
}

async function again(program: KeystoreProgram, failures: number, signal: AbortSignal): Promise<KeystoreProcess | null> {
  try {
    await delay(Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** failures), null, { signal })
    const next = await startKeystore(program)
    if (signal.aborted) await next.close()
    return next
  } catch {
    return null // its own stderr and the next try say why; closing ends the loop
  }
}
