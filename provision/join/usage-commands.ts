import type { IncomingMessage } from 'node:http'
import { resolve } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { CommandFault } from '../command-fault.ts'
import type { Quota } from '../hosted/usage/dimension.ts'
import { parseAmount, parseDimension, parsePeriod, parseScope, quotaLine } from '../hosted/usage/spoken.ts'
import { type CommonOptions, type Operator, stateOf, tell, withAdministration } from '../operator.ts'
import { adminSocketPath, askAdmin } from './admin-socket.ts'
import { withProvider } from './one-command.ts'
import { storeRole } from './store-role.ts'

const SCOPE = 'account:NAME, bucket:NAME, user:NAME, everybody (each user) or address (each address)'
const DAY_MS = 86_400_000

export function usageCommands(program: Command, operator: Operator): void {
  const quota = program.command('quota').description('how much may be used: counted from the answer on')
  quota
    .command('set')
    .argument('<scope>', SCOPE)
    .argument('<dimension>', 'what is counted', spoken(parseDimension))
    .argument('<amount>', '1000, 10TB, 512MiB; with /hour, /day, /month, or /second for requests', spoken(parseAmount))
    .description('set a quota, or replace it')
    .addHelpText(
      'after',
      `
Dimensions: reads, writes, bytes-in, bytes-out (per hour, day or month), stored-bytes, stored-objects,
requests (per second), connections (requests at once).
Examples:
  sealift-provider quota set account:acme stored-bytes 10TB
  sealift-provider quota set bucket:film bytes-out 500GB/month
  sealift-provider quota set address requests 50/second`,
    )
    .action(
      async (
        scope: string,
        dimension: Quota['dimension'],
        amount: Pick<Quota, 'amount' | 'period'>,
        _: unknown,
        command: Command,
      ) => {
        const options = command.optsWithGlobals<CommonOptions>()
        const asked: Quota = { ...(await scopeOf(operator, options, scope)), dimension, ...amount }
        await withHosted(operator, options, at => sound(at('PUT', '/v1/quotas', asked)))
        tell(operator, options, asked, [quotaLine(asked)])
      },
    )
  quota
    .command('remove')
    .argument('<scope>', SCOPE)
    .argument('<dimension>', 'what is counted', spoken(parseDimension))
    .argument('[period]', 'of reads, writes and bytes: hour, day or month', spoken(parsePeriod))
    .description('take a quota away')
    .action(
      async (
        scope: string,
        dimension: Quota['dimension'],
        given: Quota['period'] | undefined,
        _: unknown,
        command: Command,
      ) => {
        const options = command.optsWithGlobals<CommonOptions>()
        const period = given ?? (dimension === 'requests' ? 'second' : 'none')
        const asked = { ...(await scopeOf(operator, options, scope)), dimension, period }
        const text = await withHosted(operator, options, at => sound(at('DELETE', '/v1/quotas', asked)))
        const { removed } = JSON.parse(text) as { removed: boolean }
        if (!removed) throw new CommandFault('there is no such quota: `quota list` shows all', 1)
        tell(operator, options, { removed: asked }, ['the quota is gone'])
      },
    )
  quota
    .command('list')
    .description('all quotas')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const quotas = await withHosted(operator, options, async at => {
        const all: Quota[] = []
        for (let next: string | null = ''; next !== null; ) {
          const text: string = await sound(at('GET', `/v1/quotas?limit=1000&cursor=${next}`))
          const page = JSON.parse(text) as { items: Quota[]; next: string | null }
          all.push(...page.items)
          next = page.next
        }
        return all
      })
      tell(operator, options, { quotas }, quotas.map(quotaLine))
    })
  program
    .command('usage')
    .option('--from <time>', 'ISO 8601; default: 30 days ago', spoken(parseTime))
    .option('--to <time>', 'ISO 8601; default: now', spoken(parseTime))
    .option('--account <account>', 'id or name')
    .option('--bucket <bucket>')
    .option('--user <user>', 'id')
    .description('what was used, by hour, account, bucket and user: CSV, or with --json a line of JSON each')
    .addHelpText(
      'after',
      '\nExample:\n  sealift-provider usage --from 2026-11-01 --to 2026-12-01 --account acme > november.csv',
    )
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<
        CommonOptions & { from?: number; to?: number; account?: string; bucket?: string; user?: string }
      >()
      const { from = Date.now() - 30 * DAY_MS, to = Date.now(), account, bucket, user } = options
      const asked = new URLSearchParams({ from: String(from), to: String(to) })
      if (account !== undefined) asked.set('account', await accountId(operator, options, account))
      if (bucket !== undefined) asked.set('bucket', bucket)
      if (user !== undefined) asked.set('user', user)
      asked.set('format', options.json === true ? 'json' : 'csv')
      await withHosted(operator, options, async at => {
        const answer = await at('GET', `/v1/usage?${asked}`)
        if (answer.statusCode !== 200) throw new CommandFault(await textOf(answer), 1)
        for await (const chunk of answer) operator.write(String(chunk))
      })
    })
}

type Ask = (method: 'GET' | 'PUT' | 'POST' | 'DELETE', path: string, value?: object) => Promise<IncomingMessage>

/** Speaks to the provider that runs there, else to one that is opened for this command alone. */
export async function withHosted<T>(
  operator: Operator,
  options: CommonOptions,
  work: (ask: Ask) => Promise<T>,
): Promise<T> {
  const state = resolve(stateOf(operator, options))
  const socket = adminSocketPath(state)
  const ask: Ask = async (...asked) => {
    const found = await askAdmin(socket, ...asked)
    if (found === null) throw new CommandFault('the provider went away; run the same command again', 75)
    return found
  }
  const there = await askAdmin(socket, 'GET', '/v1/quotas')
  if (there !== null) {
    there.resume()
    return work(ask)
  }
  const onError = (message: string): void => void process.stderr.write(`sealift-provider: ${message}\n`)
  return withProvider(operator, state, [storeRole({ state, s3: null, sockets: ['admin'], onError })], () => work(ask))
}

export async function sound(asked: Promise<IncomingMessage>): Promise<string> {
  const answer = await asked
  const text = await textOf(answer)
  if (answer.statusCode === 200) return text
  throw new CommandFault((JSON.parse(text) as { detail: string }).detail, answer.statusCode === 400 ? 2 : 1)
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of answer) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

/** Names become ids: what is renamed keeps its quota. */
async function scopeOf(operator: Operator, options: CommonOptions, text: string): Promise<Pick<Quota, 'scope' | 'id'>> {
  const { scope, whose } = readScope(text)
  if (scope === 'account') return { scope, id: await accountId(operator, options, whose) }
  if (scope !== 'user') return { scope, id: whose }
  const [account = '', name] = whose.split('/')
  const users = await withAdministration(operator, options, at => at.listUsers(account))
  const own = name === undefined ? users.find(each => each.id === each.account) : users.find(each => each.name === name)
  if (own === undefined) throw new CommandFault(`there is no user ${whose}: want account/name, or an account`, 1)
  return { scope, id: own.id }
}

async function accountId(operator: Operator, options: CommonOptions, account: string): Promise<string> {
  const accounts = await withAdministration(operator, options, at => at.listAccounts())
  const found = accounts.find(each => each.id === account || each.name === account)
  if (found === undefined) throw new CommandFault(`there is no account ${account}`, 1)
  return found.id
}

function parseTime(text: string): number {
  const time = Date.parse(text)
  if (Number.isNaN(time)) throw new RangeError(`"${text}": want a time such as 2026-11-01 or 2026-11-01T12:00:00Z`)
  return time
}

function readScope(text: string): ReturnType<typeof parseScope> {
  try {
    return parseScope(text)
  } catch (error) {
    if (error instanceof RangeError) throw new CommandFault(error.message, 2)
    throw error
  }
}

/** What cannot be read is a mistake of usage. */
function spoken<T>(parse: (text: string) => T): (text: string) => T {
  return text => {
    try {
      return parse(text)
    } catch (error) {
      if (error instanceof RangeError) throw new InvalidArgumentError(error.message)
      throw error
    }
  }
}
