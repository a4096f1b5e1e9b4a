import { join } from 'node:path'
import { type Administration, AdministrationError, type AdministrationFault } from '../format/administration.ts'
import { FormatError } from '../format/fault.ts'
import { ReleaseError } from '../format/release.ts'
import { TokenError } from '../hsm/token.ts'
import { lockDirectory } from '../store/lock.ts'
import { StoreError } from '../store/object-store.ts'
import { connectAdministration } from './admin-client.ts'
import { CommandFault } from './command-fault.ts'
import { type KeystoreSockets, KeystoreStartError, startKeystore } from './keystore-process.ts'

/** What every command of the operator needs. */
export type Operator = {
  /** state directory when none is given */
  state: string
  /** program of the keystore process */
  keystoreEntry: string
  write(text: string): void
}
export type CommonOptions = { state?: string; json?: boolean }

export const CONFIG_FILE = 'keystore.json'

/** As the keystore lays them out. */
export function keystoreSockets(state: string): KeystoreSockets {
  return {
    release: join(state, 'keystore.sock'),
    administration: join(state, 'keystore-admin.sock'),
    login: join(state, 'keystore-login.sock'),
  }
}

export function stateOf(operator: Operator, options: CommonOptions): string {
  return options.state ?? operator.state
}

/** Speaks to the keystore that runs there, or to one that is started for this command alone, under the directory's lock. */
export async function withAdministration<T>(
  operator: Operator,
  options: CommonOptions,
  work: (administration: Administration) => Promise<T>,
): Promise<T> {
  const state = stateOf(operator, options)
  const running = await connected(keystoreSockets(state).administration)
  if (running !== null) {
    try {
      return await work(running)
    } finally {
      running.close()
    }
  }
  const lock = lockDirectory(state)
  try {
    const keystore = await startKeystore({ entry: operator.keystoreEntry, config: join(state, CONFIG_FILE) })
    try {
      const client = await connectAdministration(keystore.administration)
      try {
        return await work(client)
      } finally {
        client.close()
      }
    } finally {
      await keystore.close()
    }
  } finally {
    lock.close()
  }
}

/** @returns null - nobody listens there */
export async function connected(path: string) {
  try {
    return await connectAdministration(path)
  } catch (error) {
    if (error instanceof AdministrationError && error.fault === 'unavailable') return null
    throw error
  }
}

/** One result, for people or as one line of JSON. */
export function tell(operator: Operator, options: CommonOptions, value: object, lines: string[]): void {
  operator.write(options.json === true ? `${JSON.stringify(value)}\n` : lines.map(line => `${line}\n`).join(''))
}

const ADMINISTRATION_EXIT: Record<AdministrationFault, number> = {
  exists: 73,
  'not-found': 1,
  state: 1,
  refused: 65,
  malformed: 2,
  tampered: 65,
  unavailable: 69,
  internal: 1,
}

/** The exit code of what went wrong: the one table. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof AdministrationError) return ADMINISTRATION_EXIT[error.fault]
  if (error instanceof KeystoreStartError || error instanceof CommandFault) return error.exitCode
  if (error instanceof ReleaseError) return error.fault === 'unavailable' ? 69 : 77
  if (error instanceof StoreError)
    return error.fault === 'busy' || error.fault === 'away' ? 75 : error.fault === 'forbidden' ? 73 : 74
  if (error instanceof FormatError) return 65
  if (error instanceof TokenError) return error.fault === 'locked' ? 77 : 69
  if (error instanceof Error && 'syscall' in error) return 74
  return 1
}
