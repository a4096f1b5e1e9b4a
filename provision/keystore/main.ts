/**
 * The keystore process: `main.ts initialise CONFIG`, `main.ts serve CONFIG [HOST:PORT]`. It says on stdout, as one line of JSON, that it is ready, and ends when its
 * standard input does: with the parent, however that dies.
 */
import { ADMINISTRATION_CALLS, AdministrationError } from '../../format/administration.ts'
import { FormatError } from '../../format/fault.ts'
import { LOGIN_CALLS, LoginError } from '../../format/login.ts'
import { ReleaseError } from '../../format/release.ts'
import { RELEASE_CALLS } from '../../format/release-calls.ts'
import { TokenError } from '../../hsm/token.ts'
import { administrationError } from './administration.ts'
import { type AuthorityConfig, initialiseAuthority, openAuthority } from './authority.ts'
import { type CallServer, serveCalls } from './calls/call-server.ts'
import { serveTls } from './calls/tls-server.ts'
import { type KeystoreConfig, keystorePaths, readKeystoreConfig } from './config.ts'
import { keepProfile, makeProviderToken, openProviderToken } from './keys/provider-token.ts'
import { loginError } from './login/login.ts'
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

async function serve(config: KeystoreConfig, keys: { host: string; port: number } | null): Promise<void> {
  const token = await openProviderToken(config)
  const paths = keystorePaths(config.state)
  const authority = await openAuthority(authorityConfig(config, token))
  const served = {
    release: {
      calls: RELEASE_CALLS,
      contract: authority.release,
      refusal: (message: string) => new ReleaseError('denied', message),
      faultOf(error: unknown) {
        if (error instanceof FormatError) return { fault: 'malformed', message: error.message }
        if (!(error instanceof ReleaseError)) complain(error)
        const { fault, message } = releaseError(error)
        return { fault, message }
      },
    },
    administration: {
      calls: ADMINISTRATION_CALLS,
      contract: authority.administration,
      refusal: (message: string) => new AdministrationError('refused', message),
      faultOf(error: unknown) {
        const known = error instanceof AdministrationError ? error : administrationError(error)
        if (known.fault === 'internal') complain(known.cause)
        return { fault: known.fault, message: known.message }
      },
    },
    login: {
      calls: LOGIN_CALLS,
      contract: authority.login,
      refusal: (message: string) => new LoginError('refused', message),
      faultOf(error: unknown) {
        if (error instanceof FormatError) return { fault: 'malformed', message: error.message }
        const { fault, message, cause } = loginError(error)
        if (fault === 'unavailable' && cause !== undefined) complain(cause)
        return { fault, message }
      },
    },
  }
  const servers: CallServer[] = []
  for (const name of ['release', 'administration', 'login'] as const) {
    const { calls, contract, faultOf } = served[name]
    servers.push(await serveCalls<object>(paths[name], calls, contract, faultOf))
  }
  const { processes } = authority
  const onRefused = (from: string, message: string): void =>
    void process.stderr.write(`keystore: refused ${from}: ${message}\n`)
  const remote = keys === null ? null : await serveTls({ ...keys, processes, served, clock: Date.now, onRefused })
  if (remote !== null) servers.push(remote)
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
    ...(remote !== null && { keys: remote.address }),
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

function parseAddress(text: string): { host: string; port: number } {
  const { hostname, port } = new URL(`tls://${text}`)
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) }
}

// a parent, or a reader of its log, that has gone ends what is said, not what is done
for (const stream of [process.stdout, process.stderr])
  stream.on('error', error => {
    if (!('code' in error) || error.code !== 'EPIPE') throw error
  })

process.umask(0o077)
const [command, path, address] = process.argv.slice(2)
try {
  const usage = 'want: initialise CONFIG, or serve CONFIG [HOST:PORT]'
  if (path === undefined) throw new Error(usage)
  if (command === 'initialise') await initialise(readKeystoreConfig(path))
  else if (command === 'serve')
    await serve(readKeystoreConfig(path), address === undefined ? null : parseAddress(address))
  else throw new Error(usage)
} catch (error) {
  const fault = error instanceof TokenError ? error.fault : 'failed'
  say({ ready: false, fault, message: error instanceof Error ? error.message : String(error) })
  if (!(error instanceof TokenError)) complain(error)
  process.exit(fault === 'absent' ? 69 : fault === 'exists' ? 73 : fault === 'configuration' ? 78 : 1)
}
