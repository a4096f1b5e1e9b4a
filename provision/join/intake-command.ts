import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Report } from '../intake/report.ts'
import type { Progress } from '../intake/work.ts'
import { type CommonOptions, type Operator, stateOf } from '../operator.ts'
import { askIntake, intakeSocketPath } from './intake-socket.ts'
import { withProvider } from './one-command.ts'
import { storeRole } from './store-role.ts'
import type { IntakeRequest } from './take-in.ts'

type IntakeOptions = CommonOptions & {
  sealCode?: string
  sealFile?: string
  overrideFreshness?: string
  level: 'digest' | 'key'
  check?: boolean
}

const PLAIN_EVERY_MS = 5000

export function intakeCommand(program: Command, operator: Operator): void {
  program
    .command('intake')
    .argument('<drive...>', 'directories of the drives of one device')
    .option('--seal-code <code>', 'the 16 symbols that the customer sent apart')
    .option('--seal-file <file>', "the customer's seal.json, sent apart (never the one on the drive)")
    .option('--override-freshness <who>', 'take in without either; written into report and receipts')
    .option('--check', 'only look at the drive: nothing is taken in, no receipt is signed')
    .option('--level <level>', 'what is proved before a receipt is signed: digest or key', 'key')
    .description('verify a returned drive and take its objects in; running it again goes on where it was')
    .addHelpText('after', '\nExample:\n  sealift-provider intake /media/drive1 --seal-code GGRM-EQRT-ZKRG-XKJ4')
    .action(async (drives: string[], _: unknown, command: Command) => {
      const options = command.optsWithGlobals<IntakeOptions>()
      const request: IntakeRequest = {
        drives: drives.map(each => resolve(each)),
        freshness: freshnessOf(options, command),
        level: options.level,
        check: options.check === true,
      }
      const report = await takeIn(operator, options, request)
      operator.write(options.json === true ? `${JSON.stringify(report)}\n` : `${wordsOf(report).join('\n')}\n`)
      if (report.outcome !== 'complete') process.exitCode = 65
    })
}

function freshnessOf(options: IntakeOptions, command: Command): IntakeRequest['freshness'] {
  const given = [options.sealCode, options.sealFile, options.overrideFreshness].filter(each => each !== undefined)
  if (given.length > 1)
    return command.error('error: give one of --seal-code, --seal-file, --override-freshness', { exitCode: 2 })
  if (options.sealCode !== undefined) return { kind: 'seal-code', code: options.sealCode }
  if (options.sealFile !== undefined) return { kind: 'seal-file', path: resolve(options.sealFile) }
  return options.overrideFreshness === undefined ? null : { kind: 'overridden', by: options.overrideFreshness }
}

/** By the provider that runs there, else by one that is opened for this command alone. */
async function takeIn(operator: Operator, options: CommonOptions, request: IntakeRequest): Promise<Report> {
  const state = resolve(stateOf(operator, options))
  const show = progressLine()
  try {
    const answered = await askIntake(intakeSocketPath(state), request, show)
    if (answered !== null) return answered
    const onError = (message: string): void => void process.stderr.write(`sealift-provider: ${message}\n`)
    return await withProvider(
      operator,
      state,
      [storeRole({ state, s3: null, sockets: ['intake'], onError })],
      async () => {
        const report = await askIntake(intakeSocketPath(state), request, show)
        if (report === null) throw new Error('the intake station did not open')
        return report
      },
    )
  } finally {
    if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')
  }
}

function progressLine(): (progress: Progress) => void {
  let last = performance.now()
  return ({ phase, done, total, bytesPerSecond }) => {
    const text = `${phase}: ${done.toLocaleString('en-US')} of ${total.toLocaleString('en-US')}${bytesPerSecond > 0 ? `, ${(bytesPerSecond / 1e6).toFixed(0)} MB/s` : ''}`
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
    else if (performance.now() - last > PLAIN_EVERY_MS) {
      last = performance.now()
      process.stderr.write(`${text}\n`)
    }
  }
}

function wordsOf(report: Report): string[] {
  const { counts } = report
  const lines = [
    `job ${report.job}, device ${report.device}: ${report.outcome}`,
    `${counts.stored.toLocaleString('en-US')} objects stored (${counts.storedBytes.toLocaleString('en-US')} bytes), ${counts.held.toLocaleString('en-US')} held`,
    `freshness: ${report.freshness}`,
  ]
  for (const { code, message } of report.findings) lines.push(`${code}: ${message}`)
  for (const { name, reason } of report.held) lines.push(`held: ${name}: ${reason}`)
  if (report.receipts !== null) lines.push(`receipts: ${report.receipts}`)
  return lines
}
