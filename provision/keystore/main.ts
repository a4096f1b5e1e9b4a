/**
 * The keystore process: `main.ts initialise|serve CONFIG`. It says on stdout, as one line of JSON, that it is ready, and ends when its
 * standard input does: with the parent, however that dies.
 */
import { ADMINISTRATION_CALLS, AdministrationError } from '../../format/administration.ts'
import { FormatError } from '../../format/fault.ts'
import { LOGIN_CALLS } from '../../format/login.ts'
import { ReleaseError } from '../../format/release.ts'
import { RELEASE_CALLS } from '../../format/release-calls.ts'
import { TokenError } from '../../hsm/token.ts'
import { administrationError } from './administration.ts'
import { type AuthorityConfig, initialiseAuthority, openAuthority } from './authority.ts'
import { serveCalls } from './call-server.ts'
import { type KeystoreConfig, keystorePaths, readKeystoreConfig } from './config.ts'
import { loginError } from './login.ts'
import { keepProfile, makeProviderToken, openProviderToken } from './provider-token.ts'
import { releaseError } from './refusal.ts'

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

function complain(error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  process.stderr.write(`keystore: ${text}\n`)
}

async function initialise(config: KeystoreConfig): Promise<void> {
  await makeProviderToken(config)
  const token = await openProviderToken(config)
  try {
    await initialiseAuthority(authorityConfig(config, token), config.commonName)
    await keepProfile(config, token)
    say({ initialised: true, tokenOperations: token.operations, suites: token.profile.suites })
  } finally {
    await token.close()
  }
}

async function serve(config: KeystoreConfig): Promise<void> {
  const token = await openProviderToken(config)
  const paths = keystorePaths(config.state)
  const authority = await openAuthority(authorityConfig(config, token))
  const servers = [
    await serveCalls(paths.release, RELEASE_CALLS, authority.release, error => {
      if (error instanceof FormatError) return { fault: 'malformed', message: error.message }
      if (!(error instanceof ReleaseError)) complain(error)
      const { fault, message } = releaseError(error)
      return { fault, message }
    }),
    await serveCalls(paths.administration, ADMINISTRATION_CALLS, authority.administration, error => {
      const known = error instanceof AdministrationError ? error : administrationError(error)
      if (known.fault === 'internal') complain(known.cause)
      return { fault: known.fault, message: known.message }
    }),
    await serveCalls(paths.login, LOGIN_CALLS, authority.login, error => {
      if (error instanceof FormatError) return { fault: 'malformed', message: error.message }
      const { fault, message, cause } = loginError(error)
      if (fault === 'unavailable' && cause !== undefined) complain(cause)
      return { fault, message }
    }),
  ]
  let ending = false
  const end = async () => {
    if (ending) return
    ending = true
    for (const server of servers) await server.close()
    await authority.close()
    await token.close()
    process.exit(0)
  }
  process.stdin.on('end', end).on('error', end).resume()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, end)
  say({
    ready: true,
    processId: process.pid,
    release: paths.release,
    login: paths.login,
    administration: paths.administration,
  })
}

function authorityConfig(
  config: KeystoreConfig,
  token: Awaited<ReturnType<typeof openProviderToken>>,
): AuthorityConfig {
  const { virtualHostSuffix, readersSeeAcl, state } = config
  const databasePath = keystorePaths(state).database
  const decision = { readersSeeAcl }
  return { databasePath, token, virtualHostSuffix, decision, clock: Date.now, tokenProcessId: () => token.processId }
}

// a parent, or a reader of its log, that has gone ends what is said, not what is done
for (const stream of [process.stdout, process.stderr])
  stream.on('error', error => {
    if (!('code' in error) || error.code !== 'EPIPE') throw error
  })

process.umask(0o077)
const [command, path] = process.argv.slice(2)
const commands: Record<string, ((config: KeystoreConfig) => Promise<void>) | undefined> = { initialise, serve }
const run = commands[command ?? '']
try {
  if (run === undefined || path === undefined) throw new Error('want: initialise|serve CONFIG')
  await run(readKeystoreConfig(path))
} catch (error) {
  const fault = error instanceof TokenError ? error.fault : 'failed'
  say({ ready: false, fault, message: error instanceof Error ? error.message : String(error) })
  if (!(error instanceof TokenError)) complain(error)
  process.exit(fault === 'absent' ? 69 : fault === 'exists' ? 73 : fault === 'configuration' ? 78 : 1)
}
