import { once } from 'node:events'
import { join, resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { lockDirectory } from '../../store/lock.ts'
import { CONFIG_FILE, type CommonOptions, keystoreSockets, type Operator, stateOf } from '../operator.ts'
import { type Joined, joinProvider, openProvider, type Provider, type Role } from '../serve.ts'
import { storeRole } from './store-role.ts'

const ROLES = ['keystore', 'hosted', 'intake', 'usage'] as const
type RoleName = (typeof ROLES)[number]
type ServeOptions = CommonOptions & { role: RoleName[]; listen: string; log?: string; logKeys?: boolean }

export function serveCommand(program: Command, operator: Operator): void {
  program
    .command('serve')
    .addOption(
      new Option('--role <role...>', 'what this process does; keystore, intake and usage are one process each')
        .choices(ROLES)
        .default([...ROLES], 'all'),
    )
    .option('--listen <host:port>', 'the hosted store', '127.0.0.1:9200')
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
  sealift-provider serve --role hosted --listen 127.0.0.1:9202      # a further process beside it`,
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
      const sockets = (['intake', 'usage'] as const).filter(each => options.role.includes(each))
      const roles = s3 === null && sockets.length === 0 ? [] : [storeRole({ state, s3, sockets, onError })]
      if (!options.role.includes('keystore')) return run(operator, await joinProvider(keystoreSockets(state), roles))
      const lock = lockDirectory(state)
      try {
        await run(operator, await withKeystore(operator, state, roles))
      } finally {
        lock.close()
      }
    })
}

function withKeystore(operator: Operator, state: string, roles: Role[]): Promise<Provider> {
  return openProvider({ entry: operator.keystoreEntry, config: join(state, CONFIG_FILE) }, roles)
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
