import { type Command, Option } from 'commander'
import { ACL_MODES, DEFAULT_EPOCH_LIMITS, type JobInfo, type JobRequest } from '../../format/administration.ts'
import type { JobId } from '../../format/bytes.ts'
import { JOB_MODES, type JobMode, MODE_IN_WORDS } from '../../format/grant.ts'
import { CommandFault } from '../command-fault.ts'
import { type CommonOptions, type Operator, tell, withAdministration } from '../operator.ts'
import { exportCommands } from './exports.ts'
import { jobId, wholeNumber } from './values.ts'

type CreateOptions = CommonOptions & {
  account: string
  bucket: string[]
  mode: JobMode
  days?: number
  acl: JobRequest['acl']
  aclMode: JobRequest['aclMode']
  deletes: JobRequest['deletes']
  versions: JobRequest['versions']
  epochObjects: number
  epochGib: number
  epochSeconds: number
  epochIdleSeconds: number
}

export function jobCommands(program: Command, operator: Operator): void {
  const job = program.command('job').description('orders: what is to be taken in, for whom, who may read it')
  job
    .command('create')
    .requiredOption('--account <account>', 'id or name')
    .requiredOption('--bucket <bucket...>', 'that objects go to, or of an export come from; repeatable')
    .addOption(new Option('--mode <mode>').choices(JOB_MODES).default('write-only'))
    .option('--days <n>', 'of an export: how long it may go on', wholeNumber)
    .option('--acl <acl>', 'of what is taken in: a canned ACL, or BUCKET/OBJECT, an ACL object', 'private')
    .addOption(
      new Option('--acl-mode <mode>', 'an ACL object: its entries of now, or what it says at each read')
        .choices(ACL_MODES)
        .default('copy'),
    )
    .addOption(new Option('--deletes <deletes>').choices(['ignore', 'apply']).default('ignore'))
    .addOption(new Option('--versions <versions>').choices(['latest', 'keep']).default('latest'))
    .option('--epoch-objects <n>', 'objects under one epoch key', wholeNumber, DEFAULT_EPOCH_LIMITS.objects)
    .option('--epoch-gib <n>', 'GiB under one epoch key', wholeNumber, DEFAULT_EPOCH_LIMITS.bytes / 2 ** 30)
    .option('--epoch-seconds <n>', 'longest life of an epoch key', wholeNumber, DEFAULT_EPOCH_LIMITS.seconds)
    .option('--epoch-idle-seconds <n>', 'longest idle time', wholeNumber, DEFAULT_EPOCH_LIMITS.idleSeconds)
    .description('order a job; makes its import key in the token, where it brings objects in')
    .addHelpText(
      'after',
      `
Examples:
  sealift-provider job create --account "Studio North" --bucket rushes --bucket stills
  sealift-provider job create --account "Studio North" --bucket rushes --acl rushes/acls/crew --acl-mode reference
  sealift-provider job create --account "Studio North" --bucket rushes --mode export --days 30`,
    )
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<CreateOptions>()
      const { account, bucket: buckets, mode, acl, aclMode, deletes, versions } = options
      const limits = {
        objects: options.epochObjects,
        bytes: options.epochGib * 2 ** 30,
        seconds: options.epochSeconds,
        idleSeconds: options.epochIdleSeconds,
      }
      const ends = endOf(options, command)
      const made = await withAdministration(operator, options, at =>
        mode === 'export'
          ? at.createExportJob({ account, buckets, endsAt: ends, limits })
          : at.createJob({ account, buckets, mode, acl, aclMode, deletes, versions, limits }),
      )
      tell(operator, options, made, [`job ${made.job}`, MODE_IN_WORDS[made.mode]])
    })
  job
    .command('list')
    .description('all jobs')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const jobs = await withAdministration(operator, options, at => at.listJobs())
      tell(operator, options, { jobs }, jobs.map(line))
    })
  job
    .command('show')
    .argument('<job>', 'id', jobId)
    .description('one job and its devices')
    .action(async (id: JobId, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const shown = await withAdministration(operator, options, at => at.showJob(id))
      const devices = shown.devices.map(
        each => `  device ${each.device}  ${each.epochs} epochs taken over  key ${each.fingerprint}`,
      )
      tell(operator, options, shown, [line(shown), MODE_IN_WORDS[shown.mode], ...devices])
    })

  exportCommands(job, operator)

  const audit = program.command('audit').description('the record of every key that left')
  audit
    .command('verify')
    .description('follow the chain from its first entry')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>()
      const { entries, head } = await withAdministration(operator, options, at => at.verifyAudit())
      const hex = head.toString('hex')
      tell(operator, options, { entries, head: hex }, [`${entries} entries, unbroken; head ${hex}`])
    })
}

/** @returns of an export, when it ends; ms since 1970. @throws CommandFault - options that do not go with the mode */
function endOf({ mode, days }: CreateOptions, command: Command): number {
  if (mode !== 'export') {
    if (days !== undefined)
      throw new CommandFault('--days is of an export: an import ends when its key is destroyed', 2)
    return 0
  }
  const given = OF_IMPORTS.filter(name => command.getOptionValueSource(name) === 'cli')
  if (given.length > 0)
    throw new CommandFault(`an export brings nothing in: it has no --${given.map(dashed).join(', no --')}`, 2)
  if (days === undefined) throw new CommandFault('an export needs an end: --days N', 2)
  return Date.now() + days * DAY_MS
}

const OF_IMPORTS = ['acl', 'aclMode', 'deletes', 'versions'] as const
const DAY_MS = 86_400_000
const dashed = (name: string): string => name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)

function line(job: JobInfo): string {
  const end = job.endsAt === null ? null : `till ${new Date(job.endsAt).toISOString()}`
  return `${job.job}  ${job.state.padEnd(9)}  ${job.accountName}  ${job.mode}  ${job.buckets.join(', ')}  ${end ?? job.acl}`
}
