import { type Command, InvalidArgumentError, Option } from 'commander'
import { ACL_MODES, DEFAULT_EPOCH_LIMITS, type JobInfo, type JobRequest } from '../../format/administration.ts'
import { type JobId, parseId } from '../../format/bytes.ts'
import { MODE_IN_WORDS } from '../../format/grant.ts'
import { type CommonOptions, type Operator, tell, withAdministration } from '../operator.ts'

type CreateOptions = CommonOptions & {
  account: string
  bucket: string[]
  mode: JobRequest['mode']
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
    .requiredOption('--bucket <bucket...>', 'target bucket; repeatable')
    .addOption(new Option('--mode <mode>').choices(['write-only', 'readable']).default('write-only'))
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
    .description('order a job; makes its import key in the token')
    .addHelpText(
      'after',
      `
Examples:
  sealift-provider job create --account "Studio North" --bucket rushes --bucket stills
  sealift-provider job create --account "Studio North" --bucket rushes --acl rushes/acls/crew --acl-mode reference`,
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
      const request = { account, buckets, mode, acl, aclMode, deletes, versions, limits }
      const made = await withAdministration(operator, options, at => at.createJob(request))
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

export function jobId(text: string): JobId {
  if (!/^[0-9a-f]{32}$/.test(text)) throw new InvalidArgumentError('want the 32 hex digits of a job')
  return parseId<JobId>(text, 'job')
}

export function wholeNumber(text: string): number {
  const number = /^\d{1,12}$/.test(text) ? Number(text) : 0
  if (number < 1) throw new InvalidArgumentError('want a whole number from 1')
  return number
}

function line(job: JobInfo): string {
  return `${job.job}  ${job.state.padEnd(9)}  ${job.accountName}  ${job.mode}  ${job.buckets.join(', ')}  ${job.acl}`
}
