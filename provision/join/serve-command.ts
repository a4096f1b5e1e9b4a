import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { KEYSTORE_PROTOCOLS, type KeystoreContract } from '../../format/process-certificate.ts'
import { lockDirectory } from '../../store/lock.ts'
import { CONFIG_FILE, type CommonOptions, keystoreSockets, type Operator, stateOf } from '../operator.ts'
import { openRelease } from '../release-client.ts'
import { type Joined, joinProvider, type KeystoreEndpoints, openProvider, type Provider, type Role } from '../serve.ts'
import { storeRole } from './store-role.ts'

const ROLES = ['keystore', 'hosted', 'intake', 'admin'] as const
type RoleName = (typeof ROLES)[number]
type ServeOptions = CommonOptions & {
  role: RoleName[]
  listen: string
  log?: string
  logKeys?: boolean
  listenKeys?: string
  listenAdmin?: string
  keystore?: string
  keystoreCa?: string
  certificate?: string
  keyFile?: string
}

export function serveCommand(program: Command, operator: Operator): void {
  program
    .command('serve')
    .addOption(
      new Option('--role <role...>', 'what this process does; keystore, intake and admin are one process each')
        .choices(ROLES)
        .default([...ROLES], 'all'),
    )
    .option('--listen <host:port>', 'the hosted store', '127.0.0.1:9200')
    .option('--listen-admin <host:port>', 'the administration, for programs with a token: loopback only')
    .option('--listen-keys <host:port>', 'the keystore, for processes on other machines: TLS with certificates of both')
    .option('--keystore <url>', 'tls://HOST:PORT of a keystore on another machine')
    .option('--keystore-ca <file>', 'the CA that it is known by, as `keystore certificate issue` wrote it')
    .option('--certificate <file>', "this process's own")
    .option('--key-file <file>', 'its key')
    .option('--log <file>', 'write a line of JSON a request; SIGHUP opens the file anew')
    .option('--log-keys', 'with the names of objects in it')
    .description(
      'run the keystore, the hosted store and the intake station; says what it listens on as one line of JSON',
    )
    .addHelpText(
      'after',
      `
Examples:
  sealift-provider serve --listen 127.0.0.1:9200
  sealift-provider serve --role hosted --listen 127.0.0.1:9202      # a further process beside it
  sealift-provider serve --role keystore --listen-keys 10.0.0.1:9203
  sealift-provider serve --role hosted --keystore tls://10.0.0.1:9203 --keystore-ca keystore-ca.pem \\
    --certificate hosted-1.crt --key-file hosted-1.key`,
    )
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<ServeOptions>()
      const state = resolve(stateOf(operator, options))
      const onError = (message: string): void => void process.stderr.write(`sealift-provider: ${message}\n`)
      const s3 = options.role.includes('hosted')
        ? {
            ...parseListen(options.listen, command),
            log: options.log === undefined ? null : { path: resolve(options.log), keys: options.logKeys === true },
          }
        : null
      const sockets = (['intake', 'admin'] as const).filter(each => options.role.includes(each))
      const admin = options.listenAdmin === undefined ? null : parseListen(options.listenAdmin, command)
      const roles = s3 === null && sockets.length === 0 ? [] : [storeRole({ state, s3, sockets, admin, onError })]
      if (options.keystore !== undefined && options.role.includes('keystore'))
        command.error('error: --keystore is for processes without one: say --role hosted or --role intake', {
          exitCode: 2,
        })
      if (!options.role.includes('keystore')) {
        const keystore =
          options.keystore === undefined ? keystoreSockets(state) : await remoteKeystore(options, command)
        return run(operator, await joinProvider(keystore, roles))
      }
      const lock = lockDirectory(state)
      try {
        await run(operator, await withKeystore(operator, state, roles, keysAddress(options, command)))
      } finally {
        lock.close()
      }
    })
}

function withKeystore(operator: Operator, state: string, roles: Role[], keys: string | null): Promise<Provider> {
  const program = { entry: operator.keystoreEntry, config: join(state, CONFIG_FILE), ...(keys !== null && { keys }) }
  return openProvider(program, roles)
}

function keysAddress({ listenKeys }: ServeOptions, command: Command): string | null {
  if (listenKeys !== undefined && !/^(\[[0-9a-fA-F:]+\]|[^:\s/@]+):\d{1,5}$/.test(listenKeys))
    return command.error(`error: --listen-keys ${listenKeys}: want HOST:PORT`, { exitCode: 2 })
  return listenKeys ?? null
}

/** A keystore that does not let this process in, or is none, is told before anything is served. */
async function remoteKeystore(options: ServeOptions, command: Command): Promise<KeystoreEndpoints> {
  const { keystore = '', keystoreCa, certificate, keyFile, role } = options
  const url = URL.parse(keystore)
  if (url?.protocol !== 'tls:' || url.port === '')
    return command.error(`error: --keystore ${keystore}: want tls://HOST:PORT`, { exitCode: 2 })
  if (keystoreCa === undefined || certificate === undefined || keyFile === undefined)
    return command.error('error: --keystore needs --keystore-ca, --certificate and --key-file', { exitCode: 2 })
  const read = (path: string) => readFile(path, 'utf8')
  const own = { authority: await read(keystoreCa), certificate: await read(certificate), key: await read(keyFile) }
  const at = { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port), ...own }
  const endpoint = (contract: KeystoreContract) => ({ ...at, protocol: KEYSTORE_PROTOCOLS[contract] })
  const release = openRelease(endpoint('release'))
  try {
    // a call of the role
    if (role.includes('hosted')) await release.names([])
    else await release.aclObjectAt({ bucket: 'none', key: 'none' })
  } finally {
    release.close()
  }
  return { release: endpoint('release'), administration: endpoint('administration'), login: endpoint('login') }
}

async function run(operator: Operator, provider: Joined | Provider): Promise<void> {
  const { close, ...open } = provider
  operator.write(`${JSON.stringify({ ready: true, ...open })}\n`)
  await Promise.race((['SIGINT', 'SIGTERM'] as const).map(signal => once(process, signal)))
  await close()
}

/** "host:port", ":port". Plain HTTP is for loopback; anything else stands behind a proxy that ends TLS, and says so. */
function parseListen(text: string, command: Command): { host: string; port: number } {
  const found = /^(\[[0-9a-fA-F:]+\]|[^:\s]*):(\d{1,5})$/.exec(text)
  const port = Number(found?.[2])
  if (found === null || port > 65_535)
    return command.error(`error: --listen ${text}: want HOST:PORT or :PORT`, { exitCode: 2 })
  const host = (found[1] ?? '').replace(/^\[|\]$/g, '')
  if (host !== '' && !LOOPBACK.has(host))
    return command.error(
      `error: --listen ${text}: the store speaks plain HTTP on loopback only; put a proxy that ends TLS before it`,
      { exitCode: 2 },
    )
  return { host: host === '' ? '127.0.0.1' : host, port }
}

const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost'])
