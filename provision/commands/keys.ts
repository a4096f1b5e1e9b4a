import { existsSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import type { Command } from 'commander'
import type { Administration } from '../../format/administration.ts'
import type { JobId } from '../../format/bytes.ts'
import type { KeyWork, MasterKey } from '../../format/master-keys.ts'
import { CommandFault } from '../command-fault.ts'
import { type CommonOptions, type Operator, tell, withAdministration } from '../operator.ts'
import { namedKeyCommands } from './named-keys.ts'
import { jobId, wholeNumber } from './values.ts'

type Whose = CommonOptions & { account?: string; output?: string }

const KEY = 'account/name, or id'
const ACCOUNT = "an account's own key: id or name"
const OUTPUT = 'where to write the signed record of what was destroyed; a new file'
const POLL_MS = 500

export function keyCommands(program: Command, operator: Operator): void {
  const key = program.command('key').description('keys in the token: who may use them, rotate, destroy')
  namedKeyCommands(key, operator)
  key
    .command('list')
    .argument('<account>', 'id or name')
    .description('keys of an account, its own first')
    .action(async (account: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const keys = await withAdministration(operator, options, at => at.listKeys(account))
      tell(operator, options, { keys }, keys.map(line))
    })
  key
    .command('rotate')
    .argument('[key]', KEY)
    .option('--account <account>', ACCOUNT)
    .option('--output <file>', OUTPUT)
    .description('a new key pair: all epochs are sealed to it, then the old pair is destroyed; data stays as it is')
    .addHelpText(
      'after',
      '\nCut off, it goes on when the keystore starts; the same command shows how far it is.\nExample:\n  sealift-provider key rotate --account "Studio North" --output rotated.sld',
    )
    .action(async (name: string | undefined, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Whose>()
      const which = whichKey(name, options)
      const done = await withAdministration(operator, options, async at => {
        const { version } = await followed(at, which, options)
        return { version, record: await at.keyDestruction(which, version - 1) }
      })
      const { version, record } = done
      keepRecord(options, record)
      const shown = { rotated: which, version, record: record.toString('base64') }
      tell(operator, options, shown, [
        `key ${which} is at version ${version}; version ${version - 1} is destroyed`,
        ...written(options),
      ])
    })
  key
    .command('destroy')
    .argument('[key]', KEY)
    .option('--account <account>', ACCOUNT)
    .option('--job <job>', "a job's import key", jobId)
    .option('--output <file>', OUTPUT)
    .requiredOption('--yes', 'it cannot be undone: what is under the key can never be opened again')
    .description('destroy a key for ever; of a job: its import key, which closes the job')
    .addHelpText(
      'after',
      `
Of an account's key: every object of the account is gone, but for those under named keys and copies that others made.
Examples:
  sealift-provider key destroy --account "Studio North" --yes --output shredded.sld
  sealift-provider key destroy --job 0123456789abcdef0123456789abcdef --yes`,
    )
    .action(async (name: string | undefined, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Whose & { job?: JobId }>()
      const { job } = options
      if (job !== undefined) {
        if (name !== undefined || options.account !== undefined) throw new CommandFault(ONE_KEY, 2)
        await withAdministration(operator, options, at => at.destroyJobKey(job))
        tell(operator, options, { destroyed: job }, [`import key of job ${job} is destroyed`])
        return
      }
      const which = whichKey(name, options)
      const record = await withAdministration(operator, options, at => at.destroyKey(which, operatorName()))
      keepRecord(options, record)
      tell(operator, options, { destroyed: which, record: record.toString('base64') }, [
        `key ${which} is destroyed: what was under it can never be opened again`,
        ...written(options),
      ])
    })
  key
    .command('record')
    .argument('[key]', KEY)
    .option('--account <account>', ACCOUNT)
    .option('--key-version <n>', 'of which version; default: the last one that was destroyed', wholeNumber)
    .requiredOption('--output <file>', OUTPUT)
    .description('the signed record of a key that was destroyed, once more')
    .action(async (name: string | undefined, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Whose & { keyVersion?: number }>()
      const which = whichKey(name, options)
      const record = await withAdministration(operator, options, at =>
        at.keyDestruction(which, options.keyVersion ?? null),
      )
      keepRecord(options, record)
      tell(operator, options, { record: record.toString('base64') }, written(options))
    })
}

const ONE_KEY = 'want one key: account/name, or --account for its own'

/** Also before anything is destroyed: that its record will have a place. */
function whichKey(name: string | undefined, { account, output }: Whose): string {
  if ((name === undefined) === (account === undefined)) throw new CommandFault(ONE_KEY, 2)
  if (account?.includes('/')) throw new CommandFault('--account: want an account, and no key of it', 2)
  if (output !== undefined && existsSync(output))
    throw new CommandFault(`--output ${output}: it is there, and is not replaced`, 73)
  return name ?? account ?? ''
}

/** Who is at the keyboard, for record and audit. */
function operatorName(): string {
  return userInfo().username.slice(0, 64)
}

/** Has it rotated, telling people how far it is. @returns when it is done */
async function followed(at: Administration, which: string, options: CommonOptions): Promise<KeyWork> {
  const begun = performance.now()
  let work = await at.rotateKey(which, operatorName())
  const doneBefore = work.done
  for (; work.state === 'under-way'; work = await at.keyWork(which)) {
    const seconds = (performance.now() - begun) / 1000
    if (options.json !== true && process.stderr.isTTY)
      process.stderr.write(`\r${progressLine(work, work.done - doneBefore, seconds)}`)
    await delay(POLL_MS)
  }
  if (options.json !== true && process.stderr.isTTY) process.stderr.write('\n')
  if (work.state === 'stopped')
    throw new CommandFault(`the rotation stopped, the old key is there still: ${work.message}`, 65)
  return work
}

export function progressLine({ done, total, message }: KeyWork, since: number, seconds: number): string {
  const rate = seconds > 0 ? since / seconds : 0
  const left = rate > 0 ? `${Math.ceil((total - done) / rate)} s left` : 'no rate yet'
  return `${done} of ${total} epochs, ${Math.round(rate)} a second, ${left}${message === '' ? '' : `; ${message}`}`
}

function keepRecord({ output }: Whose, record: Buffer): void {
  if (output !== undefined) writeFileSync(output, record, { flag: 'wx', flush: true })
}

function written({ output }: Whose): string[] {
  return output === undefined ? [] : [`the signed record is in ${output}: sealift-verify destruction ${output} --ca CA`]
}

function line({ id, name, version, disabled, destroyed, users }: MasterKey): string {
  const state = destroyed ? '  (destroyed)' : disabled ? '  (disabled)' : ''
  const who = users.length === 0 ? '' : `  ${users.length} may use it`
  return `${id}  ${name === '' ? "(the account's own)" : name}  version ${version}${who}${state}`
}
