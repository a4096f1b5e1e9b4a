import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { parsePkcs11Uri } from '../hsm/pkcs11-uri.ts'
import type { DeviceConfig } from './device.ts'

/** What the command line and the environment say; read once, in main. */
export type GivenConfig = { state?: string; drive?: string[]; token?: string }

/** Flags before environment before defaults. @throws TokenError "configuration" - the token's URI */
export function readConfig(given: GivenConfig, environment: NodeJS.ProcessEnv, isRoot: boolean): DeviceConfig {
  const token = given.token ?? environment.SEALIFT_TOKEN
  const drives = given.drive ?? environment.SEALIFT_DRIVES?.split(':').filter(path => path !== '') ?? []
  return {
    stateDirectory: resolve(given.state ?? environment.SEALIFT_STATE ?? defaultState(environment, isRoot)),
    drivePaths: drives.map(path => resolve(path)),
    tokenUri: token === undefined ? null : parsePkcs11Uri(token),
  }
}

function defaultState(environment: NodeJS.ProcessEnv, isRoot: boolean): string {
  return isRoot ? '/var/lib/sealift' : join(environment.XDG_STATE_HOME ?? join(homedir(), '.local/state'), 'sealift')
}
